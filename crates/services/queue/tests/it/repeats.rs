//! Where messages go out under ids of ours, an unknown outcome is settled by sending again, and the phone shows one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use barid_domain::{Clock, MessageId, SessionId, SystemClock, TenantId};
use barid_proto::{
    queue::v1::{
        Acknowledged, ClaimedMessage, Failure, ListDemandRequest, MessageState, Outcome as Report, ReceiptKind, SendMessageRequest,
        outcome::Outcome,
    },
    timestamp,
};
use barid_testkit::eventually;
use chrono::TimeDelta;

use crate::house::{House, claim_id};

const CUSTOMER: &str = "201234567890";

fn unknown() -> Outcome {
    Outcome::Uncertain(Failure { reason: "no_answer".into(), not_before: None })
}

fn acknowledged(message: &ClaimedMessage) -> Outcome {
    Outcome::Acknowledged(Acknowledged { provider_id: message.wire_id.clone() })
}

async fn states(house: &House, tenant: TenantId, id: &str) -> Result<Vec<(MessageState, u32)>> {
    Ok(house.message(tenant, id).await?.history.iter().map(|entry| (entry.state(), entry.attempt)).collect())
}

async fn begin() -> Result<(House, TenantId, SessionId)> {
    let house = House::start().await?;
    let (tenant, session) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    Ok((house, tenant, session))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_on_the_wire_is_known_before_any_answer() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let id = house.send(tenant, session, CUSTOMER, "hello").await?;
    assert_eq!(house.message(tenant, &id).await?.provider_id, "");
    let claimed = house.claim_web(session, 1).await?.remove(0);
    let uuid = id.parse::<MessageId>()?.uuid();
    ensure!(claimed.wire_id.starts_with("3EB0") && claimed.wire_id.len() == 22, "{}", claimed.wire_id);
    assert_eq!(
        claimed.wire_id,
        house
            .database
            .execute(&[&format!("SELECT '3EB0' || upper(substr(encode(sha256(decode(replace('{uuid}', '-', ''), 'hex')), 'hex'), 1, 18))")])
            .await?
    );
    assert_eq!(house.message(tenant, &id).await?.provider_id, claimed.wire_id);
    // A receipt that comes before the ack finds its message at once.
    let told = house.receipt(session, &claimed.wire_id, "", ReceiptKind::Delivered).await?;
    assert_eq!((told.applied, told.parked), (1, 0));
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Delivered);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_sent_again_under_the_same_id() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let id = house.send(tenant, session, CUSTOMER, "hello").await?;
    let first = house.claim_web(session, 1).await?.remove(0);
    house.report(&first, unknown()).await?;
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Uncertain);
    let demand = house.ledger.clone().list_demand(ListDemandRequest::default()).await?.into_inner();
    assert_eq!(demand.sessions.first().map(|session| session.immediate), Some(1), "the session is wanted for it");
    let second = house.claim_web(session, 1).await?.remove(0);
    assert_eq!((second.wire_id.as_str(), second.attempt), (first.wire_id.as_str(), 2));
    assert_eq!(house.report(&first, Outcome::Retry(Failure::default())).await?, 0, "a late command of the first attempt");
    house.report(&second, acknowledged(&second)).await?;
    use MessageState::{Queued, Sending, Sent, Uncertain};
    assert_eq!(states(&house, tenant, &id).await?, [(Queued, 0), (Sending, 1), (Uncertain, 1), (Sending, 2), (Sent, 2)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn uncertainty_costs_no_retry() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let id = house.send(tenant, session, CUSTOMER, "hello").await?;
    // As many as would be failures enough for a dead letter.
    for attempt in 1..=4 {
        let claimed = eventually(Duration::from_secs(20), || async {
            house.claim_web(session, 1).await?.into_iter().next().context("not again yet")
        })
        .await?;
        assert_eq!(claimed.attempt, attempt);
        house.report(&claimed, unknown()).await?;
    }
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Uncertain);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_owners_messages_are_the_new_owners_at_once() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let id = house.send(tenant, session, CUSTOMER, "hello").await?;
    let written = house.claim_web(session, 1).await?.remove(0);
    // The owner wrote it and died. Its successor has it with its first claim.
    house.fence(session, 2).await?;
    let again = house.claim_web(session, 2).await?.remove(0);
    assert_eq!((again.message_id.as_str(), again.wire_id.as_str()), (id.as_str(), written.wire_id.as_str()));
    assert_eq!((again.attempt, again.epoch), (2, 2));
    // It was alive after all, and its ack is a fact.
    assert_eq!(house.report(&written, acknowledged(&written)).await?, 1);
    house.report(&again, acknowledged(&again)).await?;
    use MessageState::{Queued, Sending, Sent, Uncertain};
    assert_eq!(states(&house, tenant, &id).await?, [(Queued, 0), (Sending, 1), (Uncertain, 1), (Sending, 2), (Sent, 2)]);
    assert_eq!(house.message(tenant, &id).await?.history[2].reason, "owner_lost");
    assert!(house.claim_web(session, 2).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_stands_already_takes_nothing_from_its_owner() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let id = house.send(tenant, session, CUSTOMER, "hello").await?;
    house.claim_web(session, 1).await?;
    house.fence(session, 1).await?;
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Sending);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_finds_what_an_owner_forgot() -> Result<()> {
    let house = House::start_with("doubt_after = \"500ms\"").await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    house.send(tenant, session, CUSTOMER, "hello").await?;
    let first = house.claim_web(session, 1).await?.remove(0);
    let again =
        eventually(Duration::from_secs(20), || async { house.claim_web(session, 1).await?.into_iter().next().context("not again yet") })
            .await?;
    assert_eq!((again.wire_id, again.attempt), (first.wire_id, 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_repeated_waits_for_whatsapps_word() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let taken = house.send(tenant, session, CUSTOMER, "taken").await?;
    house.claim(&claim_id(), &[(session, 1, 10)]).await?;
    house.fence(session, 2).await?;
    assert_eq!(house.message(tenant, &taken).await?.state(), MessageState::Sending, "the new owner does not guess");
    let told = house.send(tenant, session, "201234567891", "told").await?;
    let claimed = house.claim(&claim_id(), &[(session, 2, 10)]).await?.messages.remove(0);
    house.report(&claimed, unknown()).await?;
    assert_eq!(house.message(tenant, &told).await?.state(), MessageState::Uncertain);
    assert!(house.claim(&claim_id(), &[(session, 2, 10)]).await?.messages.is_empty());
    assert!(house.claim_web(session, 2).await?.is_empty(), "not even by one who could, had it been sent that way");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_session_that_repeats_is_given_what_is_uncertain() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    house.send(tenant, session, CUSTOMER, "hello").await?;
    let claimed = house.claim_web(session, 1).await?.remove(0);
    house.report(&claimed, unknown()).await?;
    assert!(house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.is_empty());
    assert_eq!(house.claim_web(session, 1).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_what_is_sent_again() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let batch =
        |text: &str, lane: i32| SendMessageRequest { recipient: CUSTOMER.into(), text: text.into(), lane, ..SendMessageRequest::default() };
    let first = house.send_request(tenant, session, batch("first", 2)).await?;
    let claimed = house.claim_web(session, 1).await?.remove(0);
    // However urgent, and however long ago it was: half a minute is the most that anything else is held back.
    house.send_request(tenant, session, batch("second", 1)).await?;
    let later = Report {
        message_id: first.clone(),
        attempt: 1,
        time: Some(timestamp(SystemClock.now() - TimeDelta::minutes(5))),
        outcome: Some(unknown()),
    };
    let reports = barid_proto::queue::v1::ReportOutcomesRequest { outcomes: vec![later] };
    house.ledger.clone().report_outcomes(reports).await?;
    let again = house.claim_web(session, 1).await?;
    assert_eq!(again.iter().map(|message| &message.message_id).collect::<Vec<_>>(), [&first]);
    assert!(house.claim_web(session, 1).await?.is_empty());
    house.report(&again[0], acknowledged(&claimed)).await?;
    assert_eq!(house.claim_web(session, 1).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_ends_with_the_expiry_as_unknown() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let request = SendMessageRequest {
        recipient: CUSTOMER.into(),
        text: "hello".into(),
        expire_time: Some(timestamp(SystemClock.now() + TimeDelta::seconds(8))),
        ..SendMessageRequest::default()
    };
    let id = house.send_request(tenant, session, request).await?;
    let claimed = house.claim_web(session, 1).await?.remove(0);
    house.report(&claimed, unknown()).await?;
    eventually(Duration::from_secs(40), || async {
        let message = house.message(tenant, &id).await?;
        ensure!(message.state() == MessageState::Failed, "still {:?}", message.state());
        Ok(())
    })
    .await?;
    let message = house.message(tenant, &id).await?;
    assert_eq!((message.reason.as_str(), message.dead_letter), ("outcome_unknown", true));
    assert!(house.claim_web(session, 1).await?.is_empty());
    // And still a receipt settles it.
    house.receipt(session, &claimed.wire_id, "", ReceiptKind::Read).await?;
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Read);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_settles_what_waits_to_be_sent_again() -> Result<()> {
    let (house, tenant, session) = begin().await?;
    let id = house.send(tenant, session, CUSTOMER, "hello").await?;
    let claimed = house.claim_web(session, 1).await?.remove(0);
    house.report(&claimed, unknown()).await?;
    house.receipt(session, &claimed.wire_id, "", ReceiptKind::Delivered).await?;
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Delivered);
    assert!(house.claim_web(session, 1).await?.is_empty(), "it is not sent again");
    assert_eq!(house.database.execute(&["SELECT count(*) FROM queue.ready"]).await?, "0", "and waits no more");
    Ok(())
}
