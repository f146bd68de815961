//! What was not sent in time is not sent, whatever it waited for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_proto::queue::v1::{Failure, Message, MessageState, RetryMessageRequest, SendMessageRequest, outcome::Outcome};
use barid_testkit::eventually;
use prost_types::Timestamp;

use crate::house::{House, claim_id};

fn for_seconds(seconds: i64) -> SendMessageRequest {
    let ttl = Some(prost_types::Duration { seconds, nanos: 0 });
    SendMessageRequest { recipient: "201234567890".into(), text: "invoice".into(), ttl, ..SendMessageRequest::default() }
}

async fn begin() -> Result<(House, TenantId, SessionId)> {
    let house = House::start().await?;
    let (tenant, session) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    Ok((house, tenant, session))
}

async fn expired(house: &House, tenant: TenantId, id: &str) -> Result<Message> {
    eventually(Duration::from_secs(10), || async {
        let message = house.message(tenant, id).await?;
        ensure!(message.state() == MessageState::Expired, "{message:?}");
        Ok(message)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_session_too_long_is_never_claimed() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let id = house.send_request(tenant, session, for_seconds(1)).await?;
    let message = expired(&house, tenant, &id).await?;
    assert_eq!((message.reason.as_str(), message.reason_text.as_str()), ("expired", "It could not be sent before its expiry."));
    assert_eq!(message.history.last().context("a step")?.reason, "expired");
    assert!(house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_does_not_live_longer_for_it() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    for back in [Outcome::Returned as fn(Failure) -> Outcome, Outcome::Retry] {
        let id = house.send_request(tenant, session, for_seconds(2)).await?;
        let claimed = house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.remove(0);
        // The session pauses for longer than the message is worth sending.
        let in_an_hour = claimed_at(&house, tenant, &id).await?.seconds + 3600;
        let not_before = Some(Timestamp { seconds: in_an_hour, nanos: 0 });
        house.report(&claimed, back(Failure { reason: "rate_limited".into(), not_before })).await?;
        let message = house.message(tenant, &id).await?;
        assert_eq!(message.due_time.context("due")?.seconds, in_an_hour);
        expired(&house, tenant, &id).await?;
    }
    Ok(())
}

async fn claimed_at(house: &House, tenant: TenantId, id: &str) -> Result<Timestamp> {
    house.message(tenant, id).await?.history.last().context("a step")?.time.context("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_says_how_long_its_messages_are_worth_sending() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let life = async |request: SendMessageRequest| {
        let id = house.send_request(tenant, session, request).await?;
        let message = house.message(tenant, &id).await?;
        anyhow::Ok(message.expire_time.context("expires")?.seconds - message.due_time.context("due")?.seconds)
    };
    let plain = || SendMessageRequest { ttl: None, ..for_seconds(1) };
    assert_eq!(life(plain()).await?, 48 * 3600);
    house.change(tenant, |tenant| tenant.message_ttl = Some(prost_types::Duration { seconds: 6 * 3600, nanos: 0 })).await;
    eventually(Duration::from_secs(10), || async {
        ensure!(life(plain()).await? == 6 * 3600, "the change is not known yet");
        Ok(())
    })
    .await?;
    assert_eq!(life(for_seconds(60)).await?, 60, "and a message has the last word");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_sent_again_lives_as_long_again() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let id = house.send_request(tenant, session, for_seconds(2)).await?;
    let claimed = house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.remove(0);
    house.report(&claimed, Outcome::Dead(Failure { reason: "undeliverable".into(), not_before: None })).await?;
    let first = house.message(tenant, &id).await?.expire_time.context("expires")?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let request = RetryMessageRequest { id: id.clone(), ..RetryMessageRequest::default() };
    house.messages().retry_message(House::on_behalf_of(tenant, request)).await?;
    let claimed = eventually(Duration::from_secs(1), || async {
        house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.into_iter().next().context("nothing to claim")
    })
    .await?;
    assert_eq!((claimed.message_id.as_str(), claimed.attempt), (id.as_str(), 2));
    let again = house.message(tenant, &id).await?.expire_time.context("expires")?;
    ensure!(again.seconds >= first.seconds + 2, "{first:?} {again:?}");
    Ok(())
}
