use std::time::Duration;

use anyhow::{Context, Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_proto::queue::v1::{
    Acknowledged, ClaimedMessage, Failure, Lane, MessageState, SendMessageRequest, claimed_message::Form, outcome::Outcome,
};
use barid_testkit::eventually;

use crate::house::{House, claim_id};

fn text(message: &ClaimedMessage) -> &str {
    match &message.form {
        Some(Form::Free(free)) => &free.text,
        _ => "",
    }
}

fn sent(provider_id: &str) -> Outcome {
    Outcome::Acknowledged(Acknowledged { provider_id: provider_id.into() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_owner_gets_nothing_and_its_late_commands_change_nothing() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    let id = house.send(tenant, session, "201234567890", "hello").await?;
    let unfenced = house.claim(&claim_id(), &[(session, 1, 10)]).await?;
    assert_eq!((unfenced.messages.len(), unfenced.stale_sessions.len()), (0, 1), "who was never fenced owns nothing");

    assert_eq!(house.fence(session, 1).await?, 1);
    let old = house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages;
    assert_eq!(old.len(), 1);
    assert_eq!(house.fence(session, 2).await?, 2);
    assert_eq!(house.fence(session, 1).await?, 2, "an epoch never falls");
    let id2 = house.send(tenant, session, "201234567891", "next").await?;
    assert_eq!(house.claim(&claim_id(), &[(session, 1, 10)]).await?.stale_sessions, [session.to_string()]);
    let new = house.claim(&claim_id(), &[(session, 2, 10)]).await?.messages;
    assert_eq!(new.iter().map(|message| &message.message_id).collect::<Vec<_>>(), [&id2]);

    // What the old owner knows as a fact still counts.
    assert_eq!(house.report(&old[0], sent("wamid.1")).await?, 1);
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Sent);
    assert_eq!(house.report(&old[0], Outcome::Retry(Failure::default())).await?, 0, "and its late command does not");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_claim_gives_the_same_messages() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    for index in 0..5 {
        house.send(tenant, session, &format!("20100000000{index}"), "hello").await?;
    }
    let claim = claim_id();
    let first = house.claim(&claim, &[(session, 1, 3)]).await?.messages;
    let again = house.claim(&claim, &[(session, 1, 3)]).await?.messages;
    assert_eq!(first.len(), 3);
    assert_eq!(first, again);
    let rest = house.claim(&claim_id(), &[(session, 1, 3)]).await?.messages;
    assert_eq!(rest.len(), 2);
    assert!(rest.iter().all(|message| !first.contains(message)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_claim_serves_many_sessions_of_many_tenants() -> Result<()> {
    let house = House::start().await?;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        for index in 0..3 {
            house.send(tenant, session, &format!("20100000000{index}"), "hello").await?;
        }
        sessions.push((session, 1, 2));
    }
    let claimed = house.claim(&claim_id(), &sessions).await?.messages;
    for (session, ..) in sessions {
        assert_eq!(claimed.iter().filter(|message| message.session_id == session.to_string()).count(), 2);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_keeps_its_order() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    for index in 0..3 {
        house.send(tenant, session, "201234567890", &format!("part {index}")).await?;
    }
    for index in 0..3 {
        let claimed = house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages;
        assert_eq!(claimed.iter().map(text).collect::<Vec<_>>(), [format!("part {index}")], "the next one waits for the outcome");
        assert!(house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.is_empty());
        house.report(&claimed[0], sent(&format!("wamid.{index}"))).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn immediate_messages_pass_a_batch_that_waits() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    for index in 0..30 {
        let request = SendMessageRequest {
            recipient: format!("2010000000{index:02}"),
            text: "batch".into(),
            lane: Lane::Batch.into(),
            ..SendMessageRequest::default()
        };
        house.send_request(tenant, session, request).await?;
    }
    house.send(tenant, session, "201234567890", "now").await?;
    let claimed = house.claim(&claim_id(), &[(session, 1, 5)]).await?.messages;
    assert!(claimed.iter().any(|message| text(message) == "now"), "{claimed:?}");
    assert_eq!(claimed.len(), 5, "and the rest of the claim is not wasted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_retried_after_one_two_and_four_seconds_and_then_dead() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let id = house.send(tenant, session, "201234567890", "hello").await?;
    for _ in 0..4 {
        let claimed = eventually(Duration::from_secs(10), || async {
            let claimed = house.claim(&claim_id(), &[(session, 1, 1)]).await?.messages;
            claimed.into_iter().next().context("not due yet")
        })
        .await?;
        house.report(&claimed, Outcome::Retry(Failure { reason: "rejected".into(), not_before: None })).await?;
    }
    let message = house.message(tenant, &id).await?;
    assert_eq!(
        (message.state(), message.dead_letter, message.attempt, message.reason.as_str()),
        (MessageState::Failed, true, 4, "rejected")
    );
    let time = |index: usize| message.history[index].time.expect("a time");
    // queued, then (sending, queued) three times, then sending and failed.
    for (failed, wait) in [(2, 1.0), (4, 2.0), (6, 4.0)] {
        let gap = (time(failed + 1).seconds - time(failed).seconds) as f64 + f64::from(time(failed + 1).nanos - time(failed).nanos) / 1e9;
        ensure!(gap >= wait, "after failure at {failed} only {gap} s");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_returned_costs_no_retry() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let id = house.send(tenant, session, "201234567890", "hello").await?;
    for round in 1..=10 {
        let claimed = house.claim(&claim_id(), &[(session, 1, 1)]).await?.messages;
        assert_eq!(claimed.len(), 1, "round {round}");
        house.report(&claimed[0], Outcome::Returned(Failure { reason: "meta_unavailable".into(), not_before: None })).await?;
    }
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Queued);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_keeps_its_order_across_a_retry() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    house.send(tenant, session, "201234567890", "first").await?;
    house.send(tenant, session, "201234567890", "second").await?;
    let first = house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.remove(0);
    house.report(&first, Outcome::Retry(Failure { reason: "rejected".into(), not_before: None })).await?;
    assert!(house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.is_empty(), "the second does not overtake the first");
    let again = eventually(Duration::from_secs(10), || async {
        house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.into_iter().next().context("not due yet")
    })
    .await?;
    assert_eq!(text(&again), "first");
    Ok(())
}
