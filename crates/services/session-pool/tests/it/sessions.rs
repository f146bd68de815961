use anyhow::Result;
use barid_domain::TenantId;
use barid_proto::{
    session_pool::v1::{
        ActivateSessionRequest, CloudConnector, DeactivateSessionRequest, DeleteSessionRequest, ListSessionsRequest, Session, SessionState,
        UpdateSessionRequest, session::Connector,
    },
    status::reason,
};
use prost_types::FieldMask;
use tonic::{Code, Status};

use crate::house::{House, PHONE, TOKEN, nobody, on_behalf, session};

impl House {
    async fn update(&self, tenant: TenantId, id: &str, session: Session, mask: &[&str]) -> Result<Session, Status> {
        let paths = mask.iter().map(ToString::to_string).collect();
        let request =
            UpdateSessionRequest { id: id.into(), session: Some(session), update_mask: Some(FieldMask { paths }), ..Default::default() };
        Ok(self.sessions().update_session(on_behalf(tenant, request)).await?.into_inner())
    }

    async fn list(&self, tenant: TenantId, page_size: i32, page_token: &str) -> Result<(Vec<String>, String), Status> {
        let request = ListSessionsRequest { page_size, page_token: page_token.into(), ..Default::default() };
        let answer = self.sessions().list_sessions(on_behalf(tenant, request)).await?.into_inner();
        Ok((answer.sessions.into_iter().map(|session| session.id).collect(), answer.next_page_token))
    }

    pub async fn activate(&self, tenant: TenantId, id: &str) -> Result<Session, Status> {
        let request = ActivateSessionRequest { id: id.into(), ..Default::default() };
        Ok(self.sessions().activate_session(on_behalf(tenant, request)).await?.into_inner())
    }

    pub async fn deactivate(&self, tenant: TenantId, id: &str) -> Result<Session, Status> {
        let request = DeactivateSessionRequest { id: id.into(), ..Default::default() };
        Ok(self.sessions().deactivate_session(on_behalf(tenant, request)).await?.into_inner())
    }

    pub async fn delete(&self, tenant: TenantId, id: &str) -> Result<(), Status> {
        let request = DeleteSessionRequest { id: id.into(), ..Default::default() };
        self.sessions().delete_session(on_behalf(tenant, request)).await.map(drop)
    }

    /// The kinds of a session's events, oldest first.
    pub async fn kinds(&self, tenant: TenantId) -> Result<Vec<String>> {
        let sql = format!("SELECT kind FROM session_pool.events WHERE tenant_id = '{}' ORDER BY seq", tenant.uuid());
        Ok(self.database.execute(&[&sql]).await?.lines().map(str::to_owned).collect())
    }
}

fn cloud(session: &Session) -> &CloudConnector {
    let Some(Connector::Cloud(cloud)) = &session.connector else { panic!("a cloud session") };
    cloud
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_keeps_its_sessions() -> Result<()> {
    let (house, replica) = House::start().await?;
    let (tenant, other) = (house.tenant(), house.tenant());
    let created = house.create(tenant, Session { phone_number: "0100 123 4567".into(), ..session("100001") }).await?;
    assert!(created.id.starts_with("ses_") && created.create_time.is_some());
    assert_eq!((created.phone_number.as_str(), created.messages_per_minute), (PHONE, 4800));
    assert_eq!((created.state(), cloud(&created).access_token.as_str()), (SessionState::Cold, ""));
    assert_eq!(house.get(tenant, &created.id).await?, created);
    let second = house.create(tenant, Session { inactive: true, ..session("100002") }).await?;
    assert_eq!(second.state(), SessionState::Inactive);

    let (first_page, token) = house.list(tenant, 1, "").await?;
    let (second_page, end) = house.list(tenant, 1, &token).await?;
    assert_eq!((first_page, second_page, end), (vec![created.id.clone()], vec![second.id.clone()], String::new()));
    assert_eq!(house.list(tenant, 0, "nonsense").await.expect_err("no token").code(), Code::InvalidArgument);

    let changes = Session { display_name: "Counter".into(), messages_per_minute: 60, ..session("100001") };
    let updated = house.update(tenant, &created.id, changes, &["messages_per_minute"]).await?;
    assert_eq!((updated.display_name.as_str(), updated.messages_per_minute), ("Front desk", 60));
    assert_eq!(house.deactivate(tenant, &created.id).await?.state(), SessionState::Inactive);
    assert_eq!(house.deactivate(tenant, &created.id).await?.state(), SessionState::Inactive);
    assert_eq!(house.activate(tenant, &created.id).await?.state(), SessionState::Cold);

    let strange = [
        house.get(other, &created.id).await.map(drop),
        house.update(other, &created.id, session("100001"), &["display_name"]).await.map(drop),
        house.activate(other, &created.id).await.map(drop),
        house.deactivate(other, &created.id).await.map(drop),
        house.delete(other, &created.id).await,
        house.get(other, "ses_nonsense").await.map(drop),
    ];
    for refused in strange {
        let status = refused.expect_err("another tenant's");
        assert_eq!((status.code(), reason(&status).as_deref()), (Code::NotFound, Some("NOT_FOUND")));
    }
    assert_eq!(house.list(other, 0, "").await?.0, Vec::<String>::new());

    house.delete(tenant, &created.id).await?;
    assert_eq!(house.get(tenant, &created.id).await.expect_err("gone").code(), Code::NotFound);
    assert_eq!(house.delete(tenant, &created.id).await.expect_err("gone").code(), Code::NotFound);
    assert_eq!(house.kinds(tenant).await?, ["created", "created", "updated", "deactivated", "activated", "deleted"]);
    let again = house.create(other, session("100001")).await?;
    assert_ne!(again.id, created.id, "the number is free again");
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_its_field_and_remedy() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let tenant = house.tenant();
    let with = |change: fn(&mut CloudConnector)| {
        let mut session = session("100001");
        let Some(Connector::Cloud(cloud)) = &mut session.connector else { panic!("a cloud session") };
        change(cloud);
        session
    };
    let cases = [
        (Session { phone_number: "12".into(), ..session("1") }, "session.phoneNumber"),
        (Session { connector: None, ..session("1") }, "session.cloud"),
        (Session { messages_per_minute: 60_001, ..session("1") }, "session.messagesPerMinute"),
        (with(|cloud| cloud.access_token.clear()), "session.cloud.accessToken"),
        (with(|cloud| cloud.access_token = "with\nbreak".into()), "session.cloud.accessToken"),
        (with(|cloud| cloud.app.clear()), "session.cloud.app"),
        (with(|cloud| cloud.phone_number_id.clear()), "session.cloud.phoneNumberId"),
    ];
    for (wrong, field) in cases {
        let status = house.create(tenant, wrong).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().contains(field), "{field} in {}", status.message());
    }
    let known = house.create(tenant, session("100001")).await?;
    let status = house.update(tenant, &known.id, session("100001"), &["state"]).await.expect_err("no such field");
    assert!(status.code() == Code::InvalidArgument && status.message().contains("updateMask"), "{status}");
    assert_eq!(house.create(nobody(), session("5")).await.expect_err("no tenant").code(), Code::NotFound);

    for who in [tenant, house.tenant()] {
        let status = house.create(who, session("100001")).await.expect_err("taken");
        assert_eq!((status.code(), reason(&status).as_deref()), (Code::AlreadyExists, Some("NUMBER_TAKEN")));
        assert!(!status.message().contains("ten_") && !status.message().contains("ses_"), "{status}");
    }
    let own = house.create(tenant, session("100002")).await?;
    let taken = house.update(tenant, &own.id, session("100001"), &["cloud.phone_number_id"]).await.expect_err("taken");
    assert_eq!(taken.code(), Code::AlreadyExists);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn number_and_token_are_never_stored_in_clear() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let tenant = house.tenant();
    let created = house.create(tenant, session("100001")).await?;
    let row = house.database.execute(&["SELECT s::text FROM session_pool.sessions s"]).await?;
    let events = house.database.execute(&["SELECT encode(payload, 'hex') FROM session_pool.events"]).await?;
    for clear in [&PHONE[1..], TOKEN] {
        for text in [clear.to_owned(), hex::encode(clear)] {
            assert!(!row.contains(&text) && !events.contains(&text), "{clear} shows");
        }
    }
    house.delete(tenant, &created.id).await?;
    let left = house.database.execute(&["SELECT length(phone) + length(credentials) FROM session_pool.sessions"]).await?;
    assert_eq!(left, "0", "nothing of them stays");
    Ok(())
}
