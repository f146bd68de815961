//! `barid sessions`.

mod pair;
mod passkey;
mod picture;
mod qr;
mod view;
mod watch;

use std::io::{BufRead, IsTerminal};

use anyhow::{Result, bail};
use barid_domain::{Clock, SessionId, SystemClock};
use barid_proto::session_pool::v1::{
    GetSessionRequest, ListSessionsRequest, ListSessionsResponse, LogoutSessionRequest, Session, SessionState, session::Connector,
    session_service_client::SessionServiceClient,
};

use crate::{
    cli::Sessions,
    client::{Client, explain},
    output::{Table, age, json, name, plain, say, until},
};

const SESSION: &str = "barid.session_pool.v1.Session";

pub(crate) async fn run(command: Sessions) -> Result<()> {
    match command {
        Sessions::Pair(pair) => pair::run(pair).await,
        Sessions::List { json, server } => list(&server.connect().await?, json).await,
        Sessions::Status { id, json: as_json, server } => {
            let session = get(&server.connect().await?, id).await?;
            say(&if as_json { json(SESSION, &session)? } else { described(&session) })
        }
        Sessions::Logout { id, yes, server } => logout(&server.connect().await?, id, yes).await,
    }
}

async fn get(client: &Client, id: SessionId) -> Result<Session> {
    let request = GetSessionRequest { tenant_id: client.tenant.clone(), id: id.to_string() };
    let session = SessionServiceClient::new(client.connection.clone()).get_session(request).await;
    Ok(session.map_err(|status| explain(&status))?.into_inner())
}

async fn list(client: &Client, as_json: bool) -> Result<()> {
    let mut sessions = Vec::new();
    let mut request = ListSessionsRequest { tenant_id: client.tenant.clone(), page_size: 1000, page_token: String::new() };
    loop {
        let page = SessionServiceClient::new(client.connection.clone()).list_sessions(request.clone()).await;
        let page = page.map_err(|status| explain(&status))?.into_inner();
        sessions.extend(page.sessions);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if as_json {
        let all = ListSessionsResponse { sessions, next_page_token: String::new() };
        return say(&json("barid.session_pool.v1.ListSessionsResponse", &all)?);
    }
    if sessions.is_empty() {
        return say("The tenant has no sessions. POST /v1/sessions registers a number.");
    }
    let mut table = Table::new(["SESSION", "NUMBER", "BY", "STATE", "USED", "NAME", "WHY"]);
    for session in &sessions {
        table.row([
            session.id.clone(),
            session.phone_number.clone(),
            connector(session).to_owned(),
            state(session),
            age(session.last_used_time.as_ref(), SystemClock.now()),
            session.display_name.clone(),
            why(session),
        ]);
    }
    say(&table.to_string())
}

async fn logout(client: &Client, id: SessionId, yes: bool) -> Result<()> {
    if !yes {
        let session = get(client, id).await?;
        if !std::io::stdin().is_terminal() {
            bail!("nobody is there to confirm it; repeat the command with --yes");
        }
        let number = plain(&session.phone_number);
        say(&format!("{number} will send nothing until it is paired again. Unlink it? [y/N]"))?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !answer.trim().eq_ignore_ascii_case("y") {
            bail!("nothing was changed");
        }
    }
    let request = LogoutSessionRequest { tenant_id: client.tenant.clone(), id: id.to_string() };
    let session = SessionServiceClient::new(client.connection.clone()).logout_session(request).await;
    let session = session.map_err(|status| explain(&status))?.into_inner();
    say(&format!("{id} is unlinked ({}). `barid sessions pair {id}` links it again.", state(&session)))
}

/// Everything that someone who looks after a session wants to know, a line each.
fn described(session: &Session) -> String {
    let now = SystemClock.now();
    let ago = |time: &Option<prost_types::Timestamp>| match time {
        Some(_) => format!("{} ago", age(time.as_ref(), now)),
        None => "never".to_owned(),
    };
    let mut lines = vec![
        ("session", session.id.clone()),
        ("tenant", session.tenant_id.clone()),
        ("number", session.phone_number.clone()),
        ("name", session.display_name.clone()),
        ("by", connector(session).to_owned()),
        ("state", state(session)),
        ("why", why(session)),
        ("last used", ago(&session.last_used_time)),
        ("created", ago(&session.create_time)),
    ];
    if let Some(Connector::Web(web)) = &session.connector {
        lines.push(("linked", ago(&web.link_time)));
        lines.push(("device name", web.device_name.clone()));
        lines.push(("pinned", if web.pinned { "yes" } else { "no" }.to_owned()));
    }
    let lines = lines.into_iter().filter(|(_, value)| !value.is_empty());
    lines.map(|(title, value)| format!("{title:<12}{}", plain(&value))).collect::<Vec<_>>().join("\n")
}

fn connector(session: &Session) -> &'static str {
    match session.connector {
        Some(Connector::Cloud(_)) => "cloud",
        Some(Connector::Web(_)) => "web",
        None => "-",
    }
}

fn state(session: &Session) -> String {
    name(session.state().as_str_name(), "SESSION_STATE_")
}

/// Why it is as it is, and what to do about it.
fn why(session: &Session) -> String {
    let mut why = session.state_reason.clone();
    if let Some(left) = until(session.resume_time.as_ref(), SystemClock.now()) {
        why = format!("{why} (goes on in {left})");
    }
    if session.state() == SessionState::LoggedOut && why.is_empty() {
        why = format!("pair it: barid sessions pair {}", session.id);
    }
    why.trim().to_owned()
}
