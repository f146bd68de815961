//! What a tenant may send in a day: charged when it is due, given back when it never reached the wire.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use barid_domain::{Clock, JobId, ManualClock, SessionId, TenantId};
use barid_proto::{
    queue::v1::{
        Acknowledged, BatchOutcome, BatchSendMessagesRequest, CancelMessageRequest, Failure, GetQueueStatusRequest, Lane, Message,
        MessageState, RetryMessageRequest, SendMessageRequest, SessionClaim, batch_outcome, outcome::Outcome,
        queue_service_client::QueueServiceClient,
    },
    tenant::v1::{QuietHours, QuietScope},
    timestamp,
};
use barid_testkit::eventually;
use chrono::TimeDelta;

use crate::house::{House, claim_id};

/// Noon in Cairo, and the clock stands still.
struct Day {
    house: House,
    clock: Arc<ManualClock>,
    tenant: TenantId,
    session: SessionId,
}

impl Day {
    async fn begin(quota: u32) -> Result<Self> {
        let clock = Arc::new(ManualClock::at("2026-01-15T10:00:00Z".parse()?));
        let house = House::start_on("", clock.clone()).await?;
        let (tenant, session) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        house.change(tenant, |tenant| tenant.daily_quota = quota).await;
        Ok(Self { house, clock, tenant, session })
    }

    fn request(&self, customer: usize) -> SendMessageRequest {
        let session_id = self.session.to_string();
        SendMessageRequest { recipient: format!("2010000{customer:05}"), text: "invoice".into(), session_id, ..Default::default() }
    }

    async fn send(&self, customer: usize) -> Result<String> {
        Ok(self.house.hand_over(self.tenant, self.request(customer)).await?.id)
    }

    async fn batch(&self, messages: Vec<SendMessageRequest>) -> Result<Vec<BatchOutcome>> {
        let call = BatchSendMessagesRequest { messages, ..BatchSendMessagesRequest::default() };
        Ok(self.house.messages().batch_send_messages(House::on_behalf_of(self.tenant, call)).await?.into_inner().outcomes)
    }

    async fn used(&self) -> Result<u32> {
        let request = House::on_behalf_of(self.tenant, GetQueueStatusRequest::default());
        Ok(QueueServiceClient::new(self.house.bus.channel()).get_queue_status(request).await?.into_inner().quota_used)
    }

    async fn cancel(&self, id: &str) -> Result<()> {
        let request = CancelMessageRequest { id: id.to_owned(), ..CancelMessageRequest::default() };
        self.house.messages().cancel_message(House::on_behalf_of(self.tenant, request)).await?;
        Ok(())
    }

    async fn reaches(&self, id: &str, state: MessageState) -> Result<Message> {
        eventually(Duration::from_secs(10), || async {
            let message = self.house.message(self.tenant, id).await?;
            ensure!(message.state() == state, "{message:?}");
            Ok(message)
        })
        .await
    }

    async fn attempt(&self, outcome: Outcome) -> Result<()> {
        let claimed = self.house.claim(&claim_id(), &[(self.session, 1, 1)]).await?.messages.pop().context("nothing to claim")?;
        self.house.report(&claimed, outcome).await?;
        Ok(())
    }
}

fn failure(reason: &str) -> Failure {
    Failure { reason: reason.into(), not_before: None }
}

fn accepted(outcome: &BatchOutcome) -> Option<&str> {
    match &outcome.outcome {
        Some(batch_outcome::Outcome::Accepted(accepted)) => Some(&accepted.id),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_reached_the_wire_is_given_back() -> Result<()> {
    let day = Day::begin(10).await?;
    let id = day.send(1).await?;
    assert_eq!(day.used().await?, 1);
    day.cancel(&id).await?;
    assert_eq!(day.used().await?, 0, "called back");

    let ttl = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    let id = day.house.hand_over(day.tenant, SendMessageRequest { ttl, ..day.request(2) }).await?.id;
    assert_eq!(day.used().await?, 1);
    day.attempt(Outcome::Returned(failure("meta_unavailable"))).await?;
    day.clock.advance(TimeDelta::seconds(5));
    day.reaches(&id, MessageState::Expired).await?;
    assert_eq!(day.used().await?, 0, "expired, although it was claimed once");

    let id = day.send(3).await?;
    let windowed = SessionClaim { windowed: true, ..SessionClaim::default() };
    day.house.claim_as(&claim_id(), &[(day.session, 1, 1)], &windowed).await?;
    assert_eq!(day.reaches(&id, MessageState::Failed).await?.reason, "window_closed");
    assert_eq!(day.used().await?, 0, "failed before the wire");

    day.send(4).await?;
    day.attempt(Outcome::Retry(failure("media_unreachable"))).await?;
    assert_eq!(day.used().await?, 1, "it is tried again");
    day.clock.advance(TimeDelta::seconds(2));
    eventually(Duration::from_secs(10), || day.attempt(Outcome::Dead(failure("media_unreachable")))).await?;
    assert_eq!(day.used().await?, 0, "failed before the wire, as its owner says");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reached_the_wire_is_paid_for() -> Result<()> {
    let day = Day::begin(10).await?;
    let taken = Outcome::Acknowledged(Acknowledged { provider_id: "wamid.1".into() });
    for (count, outcome) in [(1, taken), (2, Outcome::Dead(failure("undeliverable"))), (3, Outcome::Uncertain(failure("timeout")))] {
        day.send(count as usize).await?;
        day.attempt(outcome).await?;
        assert_eq!(day.used().await?, count);
    }
    let id = day.send(4).await?;
    day.attempt(Outcome::Retry(failure("rejected"))).await?;
    day.cancel(&id).await?;
    assert_eq!(day.used().await?, 4, "an attempt that failed was made");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_charged_on_the_day_it_is_due() -> Result<()> {
    let day = Day::begin(1).await?;
    day.send(1).await?;
    let tomorrow = "2026-01-16T06:00:00Z".parse()?;
    let later = |customer| SendMessageRequest { schedule_time: Some(timestamp(tomorrow)), ..day.request(customer) };
    let first = day.house.hand_over(day.tenant, later(2)).await?.id;
    let second = day.house.hand_over(day.tenant, later(3)).await?.id;
    assert_eq!(day.used().await?, 1, "today's");
    let refused = day.house.hand_over(day.tenant, day.request(4)).await.expect_err("no more today");
    assert_eq!(refused.message(), "the tenant's daily quota of 1 messages is used up; raise it or send tomorrow");
    day.clock.advance(tomorrow - day.clock.now());
    day.reaches(&first, MessageState::Queued).await?;
    assert_eq!(day.used().await?, 1, "tomorrow's");
    let dead = day.reaches(&second, MessageState::Failed).await?;
    assert_eq!((dead.reason.as_str(), dead.dead_letter), ("quota_exceeded", true));

    // What is sent again on request is charged like everything else.
    let retry = async || {
        let request = RetryMessageRequest { id: second.clone(), ..RetryMessageRequest::default() };
        anyhow::Ok(day.house.messages().retry_message(House::on_behalf_of(day.tenant, request)).await?.into_inner())
    };
    assert_eq!(retry().await?.reason, "quota_exceeded");
    day.cancel(&first).await?;
    assert_eq!(retry().await?.state(), MessageState::Queued);
    assert_eq!(day.used().await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_off_to_tomorrow_is_tomorrows() -> Result<()> {
    let day = Day::begin(5).await?;
    let quiet = Some(QuietHours { start: "21:00".into(), end: "08:00".into(), scope: 0 });
    day.house.change(day.tenant, |tenant| tenant.quiet_hours = quiet).await;
    let batch = SendMessageRequest { lane: Lane::Batch.into(), ..day.request(1) };
    let id = day.house.hand_over(day.tenant, batch).await?.id;
    assert_eq!(day.used().await?, 1);
    day.clock.advance(TimeDelta::hours(9));
    day.reaches(&id, MessageState::Scheduled).await?;
    assert_eq!(day.used().await?, 0);
    day.clock.advance(TimeDelta::hours(11));
    day.reaches(&id, MessageState::Queued).await?;
    assert_eq!(day.used().await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_made_is_charged_once_whatever_its_retry_waits_for() -> Result<()> {
    let day = Day::begin(1).await?;
    let quiet = QuietHours { start: "12:30".into(), end: "14:00".into(), scope: QuietScope::AllButImmediate.into() };
    day.house.change(day.tenant, |tenant| tenant.quiet_hours = Some(quiet)).await;
    let id = day.send(1).await?;
    day.attempt(Outcome::Retry(failure("rejected"))).await?;
    day.clock.advance(TimeDelta::minutes(30));
    day.reaches(&id, MessageState::Scheduled).await?;
    assert_eq!(day.used().await?, 1);
    day.clock.advance(TimeDelta::minutes(90));
    assert_eq!(day.reaches(&id, MessageState::Queued).await?.reason, "", "the quota is its own");
    assert_eq!(day.used().await?, 1);
    // What kept off the wire is given back when it waits, and charged when it is due again.
    day.attempt(Outcome::Dead(failure("rejected"))).await?;
    day.clock.advance(TimeDelta::hours(20));
    let second = day.send(2).await?;
    day.attempt(Outcome::Retry(failure("media_unreachable"))).await?;
    assert_eq!(day.used().await?, 1);
    day.clock.advance(TimeDelta::minutes(150));
    day.reaches(&second, MessageState::Scheduled).await?;
    assert_eq!(day.used().await?, 0);
    day.clock.advance(TimeDelta::minutes(90));
    day.reaches(&second, MessageState::Queued).await?;
    assert_eq!(day.used().await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_batches_are_let_through_up_to_the_quota() -> Result<()> {
    let day = Day::begin(37).await?;
    let batches = (0..10usize).map(|batch| day.batch((0..10).map(|index| day.request(batch * 10 + index)).collect()));
    let outcomes = futures::future::try_join_all(batches).await?;
    let accepted = outcomes.iter().flatten().filter_map(accepted).count();
    assert_eq!((accepted, day.used().await?), (37, 37));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_gives_its_key_back() -> Result<()> {
    let day = Day::begin(1).await?;
    let keyed = |customer: usize| SendMessageRequest { idempotency_key: format!("key-{customer}"), ..day.request(customer) };
    let outcomes = day.batch(vec![keyed(1), keyed(2), keyed(2)]).await?;
    assert!(accepted(&outcomes[0]).is_some() && accepted(&outcomes[1]).is_none() && accepted(&outcomes[2]).is_none(), "{outcomes:?}");
    let keys = "SELECT string_agg(key, ' ') FROM queue.idempotency_keys";
    assert_eq!(day.house.database.execute(&[keys]).await?, "key-1");
    let nobodys: JobId = day.house.ids.mint();
    let refused = day.house.hand_over(day.tenant, SendMessageRequest { job_id: nobodys.to_string(), ..keyed(3) }).await;
    assert!(refused.expect_err("there is none").message().starts_with("there is no job"));
    assert_eq!(day.house.database.execute(&[keys]).await?, "key-1");

    day.house.change(day.tenant, |tenant| tenant.daily_quota = 3).await;
    eventually(Duration::from_secs(10), || async { Ok(day.house.hand_over(day.tenant, keyed(2)).await?) }).await?;
    // Another content, since nothing was accepted under the key.
    day.house.hand_over(day.tenant, SendMessageRequest { text: "another".into(), ..keyed(3) }).await?;
    assert_eq!(day.used().await?, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_meet_everywhere_wait_for_nobody_in_a_circle() -> Result<()> {
    let day = Day::begin(60).await?;
    // Stages of the same orders from all sides, half of them for later, and called back as soon as they are accepted.
    let work = (0..12u32).map(async |round| {
        let messages = (0..10usize).map(|index| SendMessageRequest {
            supersede_key: format!("order-{index}"),
            supersede_rank: round % 4,
            schedule_time: (index % 2 == 0).then(|| timestamp(day.clock.now() + TimeDelta::seconds(30))),
            ..day.request(index)
        });
        let outcomes = day.batch(messages.collect()).await?;
        day.clock.advance(TimeDelta::seconds(20));
        for id in outcomes.iter().filter_map(accepted) {
            // Or is over already.
            drop(day.cancel(id).await);
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(work).await?;
    day.clock.advance(TimeDelta::minutes(5));
    eventually(Duration::from_secs(20), || async {
        let waiting = "SELECT (SELECT count(*) FROM queue.scheduled) + (SELECT count(*) FROM queue.ready)";
        ensure!(day.house.database.execute(&[waiting]).await? == "0", "some are left");
        Ok(())
    })
    .await?;
    assert_eq!(day.used().await?, 0, "everything was called back");
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(day.house.database.execute(&[deadlocks]).await?, "0");
    Ok(())
}
