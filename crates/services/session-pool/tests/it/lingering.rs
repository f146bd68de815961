//! Connections that linger, for receipts and replies, and end before their time.

use std::time::Duration;

use anyhow::{Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_testkit::eventually;
use serde_json::json;

use crate::{
    house::{House, PHONE},
    web::CUSTOMER,
};

impl House {
    /// A linked device that sent something and lingers.
    async fn lingers(&self, phone: &str) -> Result<(TenantId, SessionId)> {
        let from = self.linked(phone).await?;
        self.sends(from).await?;
        Ok(from)
    }

    async fn sends(&self, from: (TenantId, SessionId)) -> Result<()> {
        let message = self.ledger.text(from.0, from.1, CUSTOMER, "طلبك جاهز");
        let id = message.message_id.clone();
        self.ledger.accept(vec![message]).await;
        self.acknowledged(&id).await?;
        Ok(())
    }

    /// Sessions that are connected, and how often devices of these phones logged in.
    async fn connected(&self) -> Result<String> {
        self.database.execute(&["SELECT count(*) FROM session_pool.sessions WHERE state = 4"]).await
    }

    pub async fn logins(&self, phone: &str) -> Result<u64> {
        let account = phone.trim_start_matches('+');
        let account = self.whatsapp.control("GET", &format!("/sim/web/accounts/{account}"), json!(null)).await?;
        Ok(account["devices"][0]["logins"].as_u64().unwrap_or_default())
    }

    async fn connects_again(&self, phone: &str, before: u64) -> Result<()> {
        eventually(Duration::from_secs(15), || async {
            let (connected, logins) = (self.connected().await?, self.logins(phone).await?);
            ensure!(connected == "1" && logins > before, "{connected} are connected after {logins} logins, and {before} before");
            Ok(())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_lingers_and_is_lost_is_made_again_although_nothing_waits() -> Result<()> {
    let (house, replica) = House::start().await?;
    house.lingers(PHONE).await?;
    let before = house.logins(PHONE).await?;
    house.whatsapp.arm(json!({"kind": "web_close", "at": "now", "count": 1})).await?;
    house.connects_again(PHONE, before).await?;
    tokio::time::sleep(2 * house.config.pool.min_warm + Duration::from_secs(1)).await;
    assert_eq!(house.connected().await?, "1", "it lingers on, and was not only visited");
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_after_a_takeover_is_tried_again_although_nothing_waits() -> Result<()> {
    let (house, first) = House::start().await?;
    let (_, session) = house.lingers(PHONE).await?;
    let before = house.logins(PHONE).await?;
    first.stop().await;
    let visited = format!("SELECT visited_at FROM session_pool.sessions WHERE id = '{}'", session.uuid());
    let visit = house.database.execute(&[&visited]).await?;
    house.whatsapp.arm(json!({"kind": "web_refused", "at": "login", "count": 2})).await?;
    let second = house.replica().await?;
    eventually(Duration::from_secs(10), || async {
        let stats = house.whatsapp.control("GET", "/sim/stats", json!(null)).await?;
        ensure!(stats["faults"]["web_refused"] == 2, "{}", stats["faults"]);
        Ok(())
    })
    .await?;
    assert_eq!(house.database.execute(&[&visited]).await?, visit, "a login that fails is no visit");
    house.connects_again(PHONE, before).await?;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lingered_when_a_replica_fell_silent_lingers_when_it_is_heard_of_again() -> Result<()> {
    let mut house = House::build().await?;
    house.config.pool.heartbeat_ttl = Duration::from_millis(900);
    let replica = house.replica().await?;
    house.lingers(PHONE).await?;
    let before = house.logins(PHONE).await?;
    house.database.execute(&["REVOKE INSERT, UPDATE ON session_pool.replicas FROM barid_session_pool_engine"]).await?;
    eventually(Duration::from_secs(10), || async {
        let account = house.whatsapp.control("GET", &format!("/sim/web/accounts/{}", PHONE.trim_start_matches('+')), json!(null)).await?;
        ensure!(account["devices"][0]["online"] == false, "it is connected still: {account}");
        Ok(())
    })
    .await?;
    house.database.execute(&["GRANT INSERT, UPDATE ON session_pool.replicas TO barid_session_pool_engine"]).await?;
    house.connects_again(PHONE, before).await?;
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_its_turn_when_a_replica_left_waits_for_nobody() -> Result<()> {
    let mut house = House::build().await?;
    (house.config.pool.linger, house.config.pool.min_warm) = (Duration::from_millis(1), Duration::from_secs(60));
    let replica = house.replica().await?;
    house.lingers(PHONE).await?;
    assert_eq!(house.connected().await?, "1");
    replica.stop().await;
    let nobodys = house.database.execute(&["SELECT count(*) FROM session_pool.owners WHERE replica_id::text LIKE '00000000-%'"]).await?;
    assert_eq!(nobodys, "1", "its next owner would connect it for nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_cannot_log_in_gives_back_what_it_was_handed_and_gets_nothing_more() -> Result<()> {
    let mut house = House::build().await?;
    house.config.pool.slots = 40;
    house.config.pool.heartbeat_ttl = Duration::from_secs(3);
    let first = house.replica().await?;
    for index in 0..24 {
        house.lingers(&format!("+2010000003{index:02}")).await?;
    }
    house.config.web.url = "ws://127.0.0.1:1/ws/chat".into();
    let second = house.replica().await?;
    let takers = async || house.database.execute(&["SELECT count(*) FROM session_pool.replicas WHERE takes"]).await;
    eventually(Duration::from_secs(20), || async {
        let takers = takers().await?;
        ensure!(takers == "1", "{takers} take sessions");
        Ok(())
    })
    .await?;
    eventually(Duration::from_secs(40), || async {
        let (shares, connected) = (house.shares().await?, house.connected().await?);
        ensure!(shares == [0, 24] && connected == "24", "{shares:?}, {connected} are connected");
        Ok(())
    })
    .await?;
    let epochs = async || house.database.execute(&["SELECT sum(epoch), max(epoch) FROM session_pool.owners"]).await;
    let settled = epochs().await?;
    let moved = eventually(3 * house.config.pool.heartbeat_ttl, || async {
        ensure!(epochs().await? != settled, "nothing moves");
        Ok(())
    });
    assert!(moved.await.is_err(), "sessions are handed over to one that cannot connect them: {settled}, then {}", epochs().await?);
    first.stop().await;
    second.stop().await;
    Ok(())
}
