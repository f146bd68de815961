use std::time::Duration;

use anyhow::{Context, Result, ensure};
use barid_domain::SessionId;
use barid_proto::queue::v1::outcome::Outcome;
use barid_testkit::eventually;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::house::{House, PHONE};

const NUMBER: &str = "100001";
const CUSTOMER: &str = "+201112223334";

impl House {
    async fn quick() -> Result<Self> {
        let mut house = Self::build().await?;
        house.config.pool.heartbeat_ttl = Duration::from_millis(900);
        house.config.cloud.connect_timeout = Duration::from_millis(300);
        house.config.cloud.request_timeout = Duration::from_millis(600);
        Ok(house)
    }

    fn patience(&self) -> TimeDelta {
        TimeDelta::from_std(self.config.pool.heartbeat_ttl + self.config.cloud.request_timeout).expect("short")
    }

    /// When an epoch of a session was fenced.
    async fn fenced(&self, session: SessionId, epoch: u64) -> Result<DateTime<Utc>> {
        let session = session.to_string();
        eventually(Duration::from_secs(20), || async {
            let books = self.ledger.books();
            let found = books.fenced.iter().find(|(found, at, _)| *found == session && *at == epoch);
            found.map(|(.., at)| *at).with_context(|| format!("{:?}", books.fenced))
        })
        .await
    }

    /// How many sessions each replica owns, the fewest first.
    pub async fn shares(&self) -> Result<Vec<usize>> {
        let sql = "SELECT (SELECT count(*) FROM session_pool.owners o WHERE o.replica_id = r.id) FROM session_pool.replicas r ORDER BY 1";
        self.database.execute(&[sql]).await?.lines().map(|count| Ok(count.trim().parse()?)).collect()
    }

    fn epochs_claimed(&self) -> Vec<u64> {
        let mut epochs: Vec<u64> = self.ledger.books().claimed.iter().map(|(_, epoch)| *epoch).collect();
        epochs.dedup();
        epochs
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_owners_session_is_taken_over_after_its_time_and_not_before() -> Result<()> {
    let house = House::quick().await?;
    let first = house.replica().await?;
    let from = house.laundry(NUMBER).await?;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    house.acknowledged(&id).await?;
    first.kill();
    let second = house.replica().await?;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    let taken = house.fenced(from.1, 2).await?;
    let last = house.database.execute(&["SELECT extract(epoch FROM min(heartbeat_at)) FROM session_pool.replicas"]).await?;
    let last = DateTime::from_timestamp_micros((last.parse::<f64>()? * 1e6) as i64).context("a time")?;
    assert!(taken - last >= house.patience(), "taken over after {}", taken - last);
    house.acknowledged(&id).await?;
    assert_eq!(house.epochs_claimed(), [1, 2]);
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_an_owner_that_leaves_are_taken_over_at_once() -> Result<()> {
    let mut house = House::build().await?;
    // Whoever waits for this waits longer than the test.
    house.config.pool.heartbeat_ttl = Duration::from_secs(60);
    let first = house.replica().await?;
    let from = house.laundry(NUMBER).await?;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    house.acknowledged(&id).await?;
    let second = house.replica().await?;
    first.stop().await;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    house.acknowledged(&id).await?;
    assert_eq!(house.epochs_claimed(), [1, 2]);
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_only_one_sends() -> Result<()> {
    let house = House::build().await?;
    let (first, second) = (house.replica().await?, house.replica().await?);
    let from = house.laundry(NUMBER).await?;
    let mut messages = Vec::new();
    for customer in 0..60 {
        messages.push(house.text(from, NUMBER, &format!("+2011122{customer:05}")).await?);
    }
    let ids: Vec<String> = messages.iter().map(|message| message.message_id.clone()).collect();
    house.ledger.accept(messages).await;
    for id in &ids {
        house.acknowledged(id).await?;
    }
    assert_eq!(house.epochs_claimed(), [1]);
    assert_eq!((house.whatsapp.count("distinct").await?, house.whatsapp.count("duplicates").await?), (60, 0));
    first.stop().await;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whose_epoch_is_stale_lets_go_and_comes_back_above_it() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let from = house.laundry(NUMBER).await?;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    house.acknowledged(&id).await?;
    house.ledger.books().fences.insert(from.1.to_string(), 50);
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    house.acknowledged(&id).await?;
    assert_eq!(house.epochs_claimed(), [1, 51], "nothing was claimed under an epoch that another may have");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_not_heard_of_is_silent_until_it_is() -> Result<()> {
    let house = House::quick().await?;
    let _replica = house.replica().await?;
    let from = house.laundry(NUMBER).await?;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    house.acknowledged(&id).await?;

    house.database.execute(&["REVOKE INSERT, UPDATE ON session_pool.replicas FROM barid_session_pool_engine"]).await?;
    eventually(Duration::from_secs(10), || async {
        let age =
            house.database.execute(&["SELECT max(heartbeat_at) < now() - interval '900 milliseconds' FROM session_pool.replicas"]).await?;
        ensure!(age == "t", "it was heard of");
        Ok(())
    })
    .await?;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    // A number of ticks go by, as the heart's tries to beat show.
    let looks = house.ledger.books().claimed.len();
    let silent = eventually(Duration::from_secs(1), || async {
        ensure!(house.ledger.books().claimed.len() > looks, "silent");
        Ok(())
    });
    assert!(silent.await.is_err(), "it claimed without a heartbeat");
    house.database.execute(&["GRANT INSERT, UPDATE ON session_pool.replicas TO barid_session_pool_engine"]).await?;
    house.acknowledged(&id).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_joins_gets_its_share_while_every_message_goes_once() -> Result<()> {
    let mut house = House::build().await?;
    house.config.pool.heartbeat_ttl = Duration::from_secs(3);
    let first = house.replica().await?;
    let mut laundries = Vec::new();
    for number in 100_001..100_061 {
        laundries.push((house.laundry(&number.to_string()).await?, number.to_string()));
    }
    let send = async || {
        let mut messages = Vec::new();
        for (from, number) in &laundries {
            messages.push(house.text(*from, number, CUSTOMER).await?);
        }
        let ids: Vec<String> = messages.iter().map(|message| message.message_id.clone()).collect();
        house.ledger.accept(messages).await;
        anyhow::Ok(ids)
    };
    let mut sent = send().await?;
    for id in &sent {
        house.acknowledged(id).await?;
    }
    assert_eq!(house.shares().await?, [60]);

    let second = house.replica().await?;
    for _ in 0..5 {
        sent.extend(send().await?);
        house.acknowledged(&sent[sent.len() - 1]).await?;
    }
    eventually(Duration::from_secs(20), || async {
        let shares = house.shares().await?;
        // The cap of 60 between two is 37, and 4 more are kept.
        ensure!(shares.len() == 2 && shares[0] >= 19 && shares[0] + shares[1] == 60, "{shares:?}");
        Ok(())
    })
    .await?;
    sent.extend(send().await?);
    for id in &sent {
        house.acknowledged(id).await?;
    }
    let count = sent.len() as u64;
    assert_eq!((house.whatsapp.count("distinct").await?, house.whatsapp.count("duplicates").await?), (count, 0));
    let most = house.database.execute(&["SELECT max(epoch) FROM session_pool.owners"]).await?;
    assert_eq!(most, "2", "none was passed back");
    first.stop().await;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_not_heard_of_lets_no_session_rest_for_it_may_be_anothers() -> Result<()> {
    let mut house = House::quick().await?;
    house.config.cloud.request_timeout = Duration::from_secs(10);
    let _replica = house.replica().await?;
    let from = house.laundry(NUMBER).await?;
    house.whatsapp.arm(json!({"kind": "delay", "delay_ms": 3000, "count": 1})).await?;
    house.whatsapp.arm(json!({"kind": "error_code", "code": 130_429, "retry_after": 60, "count": 1})).await?;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    eventually(Duration::from_secs(10), || async {
        ensure!(!house.ledger.books().claimed.is_empty(), "not under way");
        Ok(())
    })
    .await?;
    house.database.execute(&["REVOKE INSERT, UPDATE ON session_pool.replicas FROM barid_session_pool_engine"]).await?;
    let reason = |outcome| if let Outcome::Returned(failure) = outcome { Some(failure.reason) } else { None };
    assert_eq!(house.outcome(&id, reason).await?, "rate_limited", "facts are told by anyone");
    let state = async || house.database.execute(&["SELECT state FROM session_pool.sessions"]).await;
    let rests = eventually(Duration::from_secs(1), || async {
        let state = state().await?;
        ensure!(state == "6", "{state}");
        Ok(())
    });
    assert!(rests.await.is_err(), "it was paused by one whose lease is over");
    house.database.execute(&["GRANT INSERT, UPDATE ON session_pool.replicas TO barid_session_pool_engine"]).await?;
    eventually(Duration::from_secs(10), || async {
        let state = state().await?;
        ensure!(state == "6", "{state}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_device_that_went_to_another_is_let_go_of_until_that_one_is_gone() -> Result<()> {
    let (house, replica) = House::start().await?;
    let from = house.linked(PHONE).await?;
    let send = async || {
        let message = house.ledger.text(from.0, from.1, CUSTOMER, "طلبك جاهز");
        let id = message.message_id.clone();
        house.ledger.accept(vec![message]).await;
        id
    };
    house.acknowledged(&send().await).await?;
    let before = house.logins(PHONE).await?;
    let other = "11111111-1111-1111-1111-111111111111";
    house
        .database
        .execute(&[
            &format!("INSERT INTO session_pool.replicas (id, heartbeat_at) VALUES ('{other}', now() + interval '1 hour')"),
            &format!("UPDATE session_pool.owners SET replica_id = '{other}', epoch = epoch + 1"),
        ])
        .await?;
    let second = send().await;
    eventually(Duration::from_secs(10), || async {
        let account = house.whatsapp.control("GET", &format!("/sim/web/accounts/{}", PHONE.trim_start_matches('+')), json!(null)).await?;
        ensure!(account["devices"][0]["online"] == false, "it is connected still: {account}");
        Ok(())
    })
    .await?;
    let (claims, touched) = (house.ledger.books().claimed.len(), async || {
        ensure!(house.logins(PHONE).await? > before || house.ledger.books().claimed.len() > 3, "it is left alone");
        Ok(())
    });
    assert!(eventually(Duration::from_secs(3), touched).await.is_err(), "it was connected or claimed for, after {claims} claims");
    assert_eq!(house.database.execute(&["SELECT replica_id FROM session_pool.owners"]).await?, other);
    house.database.execute(&["DELETE FROM session_pool.replicas WHERE heartbeat_at > now() + interval '1 minute'"]).await?;
    house.acknowledged(&second).await?;
    replica.stop().await;
    Ok(())
}
