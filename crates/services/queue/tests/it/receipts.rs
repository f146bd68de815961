use std::time::Duration;

use anyhow::{Result, ensure};
use barid_domain::{MessageId, SessionId, TenantId};
use barid_proto::queue::v1::{Acknowledged, Failure, MessageState, ReceiptKind, outcome::Outcome};
use barid_testkit::eventually;

use crate::house::{House, claim_id};

#[tokio::test(flavor = "multi_thread")]
async fn receipts_before_the_ack_are_parked_and_applied() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let id = house.send(tenant, session, "201234567890", "hello").await?;
    let claimed = house.claim(&claim_id(), &[(session, 1, 1)]).await?.messages.remove(0);
    // WhatsApp echoed nothing, and nobody knows this id yet.
    let parked = house.receipt(session, "wamid.1", "", ReceiptKind::Delivered).await?;
    assert_eq!((parked.applied, parked.parked), (0, 1));
    house.receipt(session, "wamid.1", "", ReceiptKind::Read).await?;
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Sending);
    house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: "wamid.1".into() })).await?;
    let message = house.message(tenant, &id).await?;
    assert_eq!(message.state(), MessageState::Read);
    assert!(message.sent_time.is_some() && message.delivered_time.is_some() && message.read_time.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_parked_while_another_commit_made_their_message_known_are_applied() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let id = house.send(tenant, session, "201234567890", "hello").await?;
    house.claim(&claim_id(), &[(session, 1, 1)]).await?;
    assert_eq!(house.receipt(session, "wamid.1", "", ReceiptKind::Read).await?.parked, 1);
    // As a commit would that could not see the receipt yet.
    let known = format!(
        "INSERT INTO queue.provider_ids (session_id, provider_id, message_id, tenant_id) VALUES ('{}', 'wamid.1', '{}', '{}')",
        session.uuid(),
        id.parse::<MessageId>()?.uuid(),
        tenant.uuid()
    );
    house.database.execute(&[&known]).await?;
    eventually(Duration::from_secs(10), || async {
        let message = house.message(tenant, &id).await?;
        ensure!(message.state() == MessageState::Read, "{message:?}");
        Ok(())
    })
    .await?;
    assert_eq!(house.database.execute(&["SELECT count(*) FROM queue.parked_receipts"]).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_settles_an_uncertain_message_and_beats_a_failure() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let uncertain = house.send(tenant, session, "201234567890", "a").await?;
    let failed = house.send(tenant, session, "201234567891", "b").await?;
    for claimed in house.claim(&claim_id(), &[(session, 1, 2)]).await?.messages {
        let failure = Failure { reason: "no_answer".into(), not_before: None };
        let outcome = if claimed.message_id == uncertain { Outcome::Uncertain(failure) } else { Outcome::Dead(failure) };
        house.report(&claimed, outcome).await?;
    }
    for (id, state) in [(&uncertain, MessageState::Uncertain), (&failed, MessageState::Failed)] {
        assert_eq!(house.message(tenant, id).await?.state(), state);
        let receipt = house.receipt(session, &format!("wamid.{id}"), id, ReceiptKind::Delivered).await?;
        assert_eq!(receipt.applied, 1);
        let message = house.message(tenant, id).await?;
        assert_eq!((message.state(), message.dead_letter), (MessageState::Delivered, false));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_from_another_session_counts_for_nothing() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session, stranger): (TenantId, SessionId, SessionId) = (house.ids.mint(), house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let id = house.send(tenant, session, "201234567890", "hello").await?;
    let told = house.receipt(stranger, "wamid.9", &id, ReceiptKind::Read).await?;
    assert_eq!((told.applied, told.parked), (0, 1));
    assert_eq!(house.message(tenant, &id).await?.state(), MessageState::Queued);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_twice_and_backwards_change_nothing() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let id = house.send(tenant, session, "201234567890", "hello").await?;
    house.claim(&claim_id(), &[(session, 1, 1)]).await?;
    for kind in [ReceiptKind::Read, ReceiptKind::Delivered, ReceiptKind::Read, ReceiptKind::Sent, ReceiptKind::Failed] {
        house.receipt(session, "wamid.1", &id, kind).await?;
    }
    let message = house.message(tenant, &id).await?;
    assert_eq!(message.state(), MessageState::Read);
    assert_eq!(message.history.len(), 5, "queued, sending, sent, delivered, read");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_played_was_read_and_is_told_once() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let id = house.send(tenant, session, "201234567890", "hello").await?;
    house.claim(&claim_id(), &[(session, 1, 1)]).await?;
    for (kind, applied) in [(ReceiptKind::Played, 1), (ReceiptKind::Played, 0), (ReceiptKind::Read, 0)] {
        assert_eq!(house.receipt(session, "wamid.1", &id, kind).await?.applied, applied);
    }
    let message = house.message(tenant, &id).await?;
    assert_eq!((message.state(), message.provider_id.as_str()), (MessageState::Read, "wamid.1"));
    assert!(message.read_time.is_some() && message.played_time.is_some());
    assert_eq!(message.history.len(), 5, "queued, sending, sent, delivered, read");
    let kinds: Vec<String> = house.list_events(tenant, "").await?.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["queued", "sending", "sent", "delivered", "read", "played"]);

    // One that is told before its message is known waits like any other.
    let later = house.send(tenant, session, "201234567891", "hello").await?;
    let claimed = house.claim(&claim_id(), &[(session, 1, 1)]).await?.messages.remove(0);
    assert_eq!(house.receipt(session, "wamid.2", "", ReceiptKind::Played).await?.parked, 1);
    house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: "wamid.2".into() })).await?;
    assert!(house.message(tenant, &later).await?.played_time.is_some());
    Ok(())
}
