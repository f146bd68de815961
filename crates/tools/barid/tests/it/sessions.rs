//! `barid sessions list`, `status` and `logout`, and what is said when something is wrong.

use std::process::Stdio;

use anyhow::Result;
use barid_proto::session_pool::v1::{
    ActivateSessionRequest, CheckNumbersRequest, CheckNumbersResponse, CloudConnector, CreateSessionRequest, DeactivateSessionRequest,
    DeleteSessionRequest, GetSessionRequest, ListSessionsRequest, ListSessionsResponse, LogoutSessionRequest, Session, SessionState,
    UpdateSessionRequest, WebConnector,
    session::Connector,
    session_service_server::{SessionService, SessionServiceServer},
};
use barid_proto::status::not_found;
use serde_json::Value;
use tonic::{Request, Response, Status};

use crate::{
    command,
    house::{House, ORGANISATION_KEY, PLATFORM_KEY, TENANT_KEY},
    pairings::SESSION,
    shown, text,
};

/// Two sessions, one on each page.
struct Sessions;

fn sessions() -> [Session; 2] {
    let web = Session {
        id: SESSION.to_owned(),
        phone_number: "+201234567890".to_owned(),
        display_name: "Main\x1b[2J".to_owned(),
        state: SessionState::LoggedOut.into(),
        connector: Some(Connector::Web(WebConnector::default())),
        ..Session::default()
    };
    let cloud = Session {
        id: "ses_01h455vb4pex5vsknk084sn02r".to_owned(),
        phone_number: "+4915112345678".to_owned(),
        state: SessionState::Paused.into(),
        state_reason: "WhatsApp asked for a rest".to_owned(),
        connector: Some(Connector::Cloud(CloudConnector::default())),
        ..Session::default()
    };
    [web, cloud]
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn list_sessions(&self, request: Request<ListSessionsRequest>) -> Answer<ListSessionsResponse> {
        let [web, cloud] = sessions();
        let (session, next) = if request.into_inner().page_token.is_empty() { (web, "2") } else { (cloud, "") };
        Ok(Response::new(ListSessionsResponse { sessions: vec![session], next_page_token: next.to_owned() }))
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Answer<Session> {
        let id = request.into_inner().id;
        let found = sessions().into_iter().find(|session| session.id == id);
        Ok(Response::new(found.ok_or_else(|| not_found("session", &id))?))
    }

    async fn logout_session(&self, request: Request<LogoutSessionRequest>) -> Answer<Session> {
        self.get_session(Request::new(GetSessionRequest { id: request.into_inner().id, ..GetSessionRequest::default() })).await
    }

    async fn create_session(&self, _: Request<CreateSessionRequest>) -> Answer<Session> {
        Err(Status::unimplemented("not asked"))
    }

    async fn update_session(&self, _: Request<UpdateSessionRequest>) -> Answer<Session> {
        Err(Status::unimplemented("not asked"))
    }

    async fn delete_session(&self, _: Request<DeleteSessionRequest>) -> Answer<()> {
        Err(Status::unimplemented("not asked"))
    }

    async fn activate_session(&self, _: Request<ActivateSessionRequest>) -> Answer<Session> {
        Err(Status::unimplemented("not asked"))
    }

    async fn deactivate_session(&self, _: Request<DeactivateSessionRequest>) -> Answer<Session> {
        Err(Status::unimplemented("not asked"))
    }

    async fn check_numbers(&self, _: Request<CheckNumbersRequest>) -> Answer<CheckNumbersResponse> {
        Err(Status::unimplemented("not asked"))
    }
}

/// Standard output when it went well, else standard error.
pub async fn told(url: &str, key: &str, arguments: &[&str]) -> Result<Result<String, String>> {
    let mut command = command(arguments);
    command.env("BARID_SERVER", url).env("BARID_KEY", key).env_remove("BARID_TENANT").stdin(Stdio::null());
    let output = command.output().await?;
    Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

#[tokio::test]
async fn sessions_are_listed_shown_and_unlinked() -> Result<()> {
    let house = House::start("").await?;
    let _pool = house.session_pool(|server| server.add(SessionServiceServer::new(Sessions))).await?;
    let list = told(&house.url, TENANT_KEY, &["sessions", "list"]).await?.expect("a list");
    let lines: Vec<Vec<&str>> =
        list.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(lines[0], ["SESSION", "NUMBER", "BY", "STATE", "USED", "NAME", "WHY"], "{list}");
    let pair = format!("pair it: barid sessions pair {SESSION}");
    assert_eq!(lines[1], [SESSION, "+201234567890", "web", "logged out", "-", "Main [2J", &pair], "{list}");
    assert_eq!(lines[2][3..], ["paused", "-", "WhatsApp asked for a rest"], "{list}");
    let json: Value = serde_json::from_str(&told(&house.url, TENANT_KEY, &["sessions", "list", "--json"]).await?.expect("JSON"))?;
    assert_eq!(json["sessions"][1]["phoneNumber"], "+4915112345678");

    let status = told(&house.url, TENANT_KEY, &["sessions", "status", SESSION]).await?.expect("a session");
    assert!(status.contains("\nnumber      +201234567890\n") && status.contains("\nlinked      never\n"), "{status}");
    let unsure = told(&house.url, TENANT_KEY, &["sessions", "logout", SESSION]).await?.expect_err("nobody confirms it");
    assert!(unsure.contains("--yes"), "{unsure}");
    let unlinked = told(&house.url, TENANT_KEY, &["sessions", "logout", SESSION, "--yes"]).await?.expect("unlinked");
    assert!(unlinked.starts_with(&format!("{SESSION} is unlinked")), "{unlinked}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_remedy() -> Result<()> {
    let house = House::start("").await?;
    let list = ["sessions", "list"];
    let away = told(&house.url, TENANT_KEY, &list).await?.expect_err("nobody serves it");
    assert!(away.contains("A service behind the gateway is away"), "{away}");
    let _pool = house.session_pool(|server| server.add(SessionServiceServer::new(Sessions))).await?;
    for (key, arguments, expected) in [
        ("", &list[..], "put it into the variable BARID_KEY"),
        ("nonsense", &list[..], "Put a key that is valid into BARID_KEY"),
        ("two\nlines", &list[..], "alone on one line"),
        (ORGANISATION_KEY, &list[..], "Name the tenant with --tenant"),
        (PLATFORM_KEY, &list[..], "give the key of that tenant"),
        (TENANT_KEY, &["pool", "status"], "give the platform's key"),
        (TENANT_KEY, &["sessions", "status", "ses_01h455vb4pex5vsknk084sn02z"], "`barid sessions list` shows what there is"),
        (TENANT_KEY, &["sessions", "status", "msg_1"], "ses_"),
        (TENANT_KEY, &["sessions", "list", "--server", "http://127.0.0.1:1"], "no gateway answers at http://127.0.0.1:1: start one"),
        (TENANT_KEY, &["sessions", "list", "--server", "127.0.0.1:8080"], "give one such as http://127.0.0.1:8080"),
        (TENANT_KEY, &["sessions", "list", "--key-file", "/nowhere/key"], "the key file /nowhere/key cannot be read"),
    ] {
        let told = told(&house.url, key, arguments).await?.expect_err(expected);
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert!(key.is_empty() || !told.contains(key), "the key is not shown: {told}");
    }
    let (home, tenant) = (tempfile::tempdir()?, house.tenant.to_string());
    let file = home.path().join("key");
    std::fs::write(&file, format!("{ORGANISATION_KEY}\n"))?;
    let by_file = ["sessions", "list", "--key-file", &shown(&file), "--tenant", &tenant];
    assert!(told(&house.url, "nonsense", &by_file).await?.is_ok(), "the file goes before the variable");
    Ok(())
}
