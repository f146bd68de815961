//! Windows and quiet hours: what may not go out waits, says why and until when, and goes out then.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use barid_domain::{Clock, ManualClock, SessionId, TenantId};
use barid_proto::{
    queue::v1::{
        BatchSendMessagesRequest, Failure, Lane, Message, MessageState, RetryMessageRequest, SendMessageRequest, SendWindow, batch_outcome,
        outcome::Outcome,
    },
    tenant::v1::{QuietHours, QuietScope},
    timestamp,
};
use barid_testkit::eventually;
use chrono::{DateTime, TimeDelta, Utc};

use crate::house::{House, claim_id};

/// A house whose clock stands still, in Cairo, where it is two hours later than here in winter.
struct Day {
    house: House,
    clock: Arc<ManualClock>,
    tenant: TenantId,
    session: SessionId,
}

impl Day {
    async fn begin(moment: &str) -> Result<Self> {
        let clock = Arc::new(ManualClock::at(moment.parse()?));
        let house = House::start_on("", clock.clone()).await?;
        let (tenant, session) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        Ok(Self { house, clock, tenant, session })
    }

    fn becomes(&self, moment: &str) -> Result<()> {
        self.clock.advance(moment.parse::<DateTime<Utc>>()? - self.clock.now());
        Ok(())
    }

    async fn quiet(&self, start: &str, end: &str, scope: QuietScope) {
        let hours = QuietHours { start: start.into(), end: end.into(), scope: scope.into() };
        self.house.change(self.tenant, |tenant| tenant.quiet_hours = Some(hours)).await;
    }

    /// Waits until this many changes of tenants were looked at.
    async fn noted(&self, changes: u32) -> Result<()> {
        eventually(Duration::from_secs(10), || async {
            let sql = "SELECT coalesce(max(sequence), 0) FROM queue.consumer_checkpoints WHERE consumer = 'tenants'";
            let noted = self.house.database.execute(&[sql]).await?;
            ensure!(noted == changes.to_string(), "{noted} changes");
            Ok(())
        })
        .await
    }

    /// A message for a customer of its own.
    async fn send(&self, lane: Lane, customer: u32, window: Option<(&str, &str)>) -> Result<Message> {
        let request = SendMessageRequest {
            recipient: format!("2010000{customer:05}"),
            text: "invoice".into(),
            lane: lane.into(),
            window: window.map(|(start, end)| SendWindow { start: start.into(), end: end.into() }),
            session_id: self.session.to_string(),
            ..SendMessageRequest::default()
        };
        Ok(self.house.hand_over(self.tenant, request).await?)
    }

    async fn claim(&self) -> Result<Vec<String>> {
        let claimed = self.house.claim(&claim_id(), &[(self.session, 1, 10)]).await?.messages;
        Ok(claimed.into_iter().map(|message| message.message_id).collect())
    }

    async fn reaches(&self, id: &str, state: MessageState) -> Result<Message> {
        eventually(Duration::from_secs(10), || async {
            let message = self.house.message(self.tenant, id).await?;
            ensure!(message.state() == state, "{message:?}");
            Ok(message)
        })
        .await
    }

    /// Waits until a message is due at a time; gives back the reason.
    async fn due(&self, id: &str, moment: &str) -> Result<String> {
        let due = Some(timestamp(moment.parse()?));
        let message = eventually(Duration::from_secs(10), || async {
            let message = self.house.message(self.tenant, id).await?;
            ensure!(message.due_time == due, "{message:?}");
            Ok(message)
        })
        .await?;
        let step = message.history.last().context("a step")?;
        assert_eq!((step.due_time, step.reason.as_str()), (due, message.reason.as_str()), "the history tells it, too");
        Ok(message.reason)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_out_in_its_window_and_never_outside() -> Result<()> {
    let day = Day::begin("2026-01-15T12:00:00Z").await?;
    let message = day.send(Lane::Batch, 1, Some(("08:00", "10:00"))).await?;
    let id = message.id.as_str();
    assert_eq!((message.state(), message.window.as_ref().map(|window| window.end.as_str())), (MessageState::Scheduled, Some("10:00")));
    assert_eq!(day.due(id, "2026-01-16T06:00:00Z").await?, "outside_window");

    day.becomes("2026-01-16T06:00:00Z")?;
    assert_eq!(day.reaches(id, MessageState::Queued).await?.reason, "");
    // Its session does nothing for two hours.
    day.becomes("2026-01-16T08:00:00Z")?;
    assert!(day.claim().await?.is_empty(), "the window has closed, whether anyone has looked or not");
    assert_eq!(day.due(id, "2026-01-17T06:00:00Z").await?, "outside_window");
    day.becomes("2026-01-17T06:30:00Z")?;
    day.reaches(id, MessageState::Queued).await?;
    assert_eq!(day.claim().await?, [id]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_window_does_not_prolong_a_life() -> Result<()> {
    let day = Day::begin("2026-01-15T07:00:00Z").await?;
    let message = day.send(Lane::Batch, 1, Some(("08:00", "10:00"))).await?;
    assert_eq!((message.state(), message.expire_time), (MessageState::Queued, Some(timestamp("2026-01-17T07:00:00Z".parse()?))));
    for moment in ["2026-01-15T08:00:00Z", "2026-01-16T08:00:00Z"] {
        day.becomes(moment)?;
        day.reaches(&message.id, MessageState::Scheduled).await?;
        day.clock.advance(TimeDelta::hours(22));
        day.reaches(&message.id, MessageState::Queued).await?;
    }
    day.becomes("2026-01-17T07:00:00Z")?;
    assert!(day.claim().await?.is_empty());
    assert_eq!(day.reaches(&message.id, MessageState::Expired).await?.reason, "expired");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_batches_wait_and_what_is_immediate_goes_out() -> Result<()> {
    let day = Day::begin("2026-01-15T18:59:00Z").await?;
    day.quiet("21:00", "08:00", QuietScope::Batch).await;
    let early = day.send(Lane::Batch, 1, None).await?;
    assert_eq!(early.state(), MessageState::Queued);
    day.becomes("2026-01-15T19:00:00Z")?;
    let (late, now) = (day.send(Lane::Batch, 2, None).await?, day.send(Lane::Immediate, 3, None).await?);
    assert_eq!((late.state(), now.state()), (MessageState::Scheduled, MessageState::Queued));
    assert_eq!(day.claim().await?, [now.id.as_str()]);
    for id in [&early.id, &late.id] {
        assert_eq!(day.due(id, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    }
    let windowed = day.send(Lane::Batch, 4, Some(("07:00", "09:00"))).await?;
    assert_eq!(day.due(&windowed.id, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    day.becomes("2026-01-16T06:00:00Z")?;
    for id in [&early.id, &late.id, &windowed.id] {
        day.reaches(id, MessageState::Queued).await?;
    }
    // The change of hours is so long ago by now that it is looked at once more.
    eventually(Duration::from_secs(10), || async {
        let looked = "SELECT (SELECT count(again_at) FROM queue.hours) + (SELECT count(*) FROM queue.ready WHERE closes_at <= '2026-01-16T06:00:00Z')";
        let left = day.house.database.execute(&[looked]).await?;
        ensure!(left == "0", "{left} are to be looked at");
        Ok(())
    })
    .await?;
    assert_eq!(day.claim().await?.len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_what_failed_waits_as_well_is_the_tenants_choice() -> Result<()> {
    for (scope, waits) in [(QuietScope::Batch, false), (QuietScope::AllButImmediate, true)] {
        let day = Day::begin("2026-01-15T18:59:59Z").await?;
        day.quiet("21:00", "08:00", scope).await;
        let id = day.send(Lane::Immediate, 1, None).await?.id;
        let claimed = day.house.claim(&claim_id(), &[(day.session, 1, 10)]).await?.messages.remove(0);
        day.becomes("2026-01-15T19:00:30Z")?;
        day.house.report(&claimed, Outcome::Retry(Failure { reason: "rejected".into(), not_before: None })).await?;
        day.clock.advance(TimeDelta::seconds(2));
        if waits {
            assert_eq!(day.due(&id, "2026-01-16T06:00:00Z").await?, "quiet_hours");
            assert!(day.claim().await?.is_empty());
        } else {
            let again = eventually(Duration::from_secs(10), || async { day.claim().await?.pop().context("not yet") }).await?;
            assert_eq!(again, id);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_in_time_comes_back_to_the_hours_it_left() -> Result<()> {
    let day = Day::begin("2026-01-15T18:59:00Z").await?;
    day.quiet("21:00", "08:00", QuietScope::Batch).await;
    let id = day.send(Lane::Batch, 1, None).await?.id;
    let claimed = day.house.claim(&claim_id(), &[(day.session, 1, 10)]).await?.messages.remove(0);
    day.becomes("2026-01-15T19:00:00Z")?;
    day.house.report(&claimed, Outcome::Returned(Failure { reason: "meta_unavailable".into(), not_before: None })).await?;
    assert!(day.claim().await?.is_empty());
    assert_eq!(day.due(&id, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_hours_counts_for_what_waits_already() -> Result<()> {
    let day = Day::begin("2026-01-15T20:00:00Z").await?;
    let (first, later) = (day.send(Lane::Batch, 1, None).await?, "2026-01-15T21:30:00Z");
    let request = SendMessageRequest {
        schedule_time: Some(timestamp(later.parse()?)),
        recipient: "201234567890".into(),
        text: "later".into(),
        lane: Lane::Batch.into(),
        session_id: day.session.to_string(),
        ..SendMessageRequest::default()
    };
    let second = day.house.hand_over(day.tenant, request).await?;
    assert_eq!((first.state(), second.state()), (MessageState::Queued, MessageState::Scheduled));
    day.quiet("21:00", "08:00", QuietScope::Batch).await;
    assert_eq!(day.due(&first.id, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    day.becomes(later)?;
    assert_eq!(day.due(&second.id, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    day.quiet("21:00", "02:00", QuietScope::Batch).await;
    for id in [&first.id, &second.id] {
        assert_eq!(day.due(id, "2026-01-16T00:00:00Z").await?, "quiet_hours");
    }
    day.house.change(day.tenant, |tenant| tenant.quiet_hours = None).await;
    for id in [&first.id, &second.id] {
        day.reaches(id, MessageState::Queued).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_hours_counts_for_what_comes_back() -> Result<()> {
    let day = Day::begin("2026-01-15T20:00:00Z").await?;
    let under_way = day.send(Lane::Batch, 1, None).await?.id;
    let claimed = day.house.claim(&claim_id(), &[(day.session, 1, 10)]).await?.messages.remove(0);
    let waiting = day.send(Lane::Batch, 2, None).await?.id;
    day.quiet("21:00", "08:00", QuietScope::Batch).await;
    assert_eq!(day.due(&waiting, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    day.noted(1).await?;
    day.house.report(&claimed, Outcome::Returned(Failure { reason: "meta_unavailable".into(), not_before: None })).await?;
    assert!(day.claim().await?.is_empty(), "nobody may claim what comes back before its hours are looked at");
    assert_eq!(day.due(&under_way, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_had_not_heard_of_a_change_is_put_right() -> Result<()> {
    let day = Day::begin("2026-01-15T20:00:00Z").await?;
    day.quiet("21:00", "08:00", QuietScope::Batch).await;
    day.noted(1).await?;
    let id = day.send(Lane::Immediate, 1, None).await?.id;
    // As it is accepted by hours that have no end.
    day.house.database.execute(&["UPDATE queue.ready SET lane = 2", "UPDATE queue.messages SET lane = 2"]).await?;
    assert_eq!(day.house.message(day.tenant, &id).await?.state(), MessageState::Queued);
    day.clock.advance(TimeDelta::seconds(20));
    assert_eq!(day.due(&id, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_something_else_disturbs_nothing_that_waits() -> Result<()> {
    let day = Day::begin("2026-01-15T12:00:00Z").await?;
    day.quiet("21:00", "08:00", QuietScope::Batch).await;
    day.noted(1).await?;
    day.clock.advance(TimeDelta::seconds(20));
    eventually(Duration::from_secs(10), || async {
        let again = day.house.database.execute(&["SELECT count(again_at) FROM queue.hours"]).await?;
        ensure!(again == "0", "not looked at once more");
        Ok(())
    })
    .await?;
    let id = day.send(Lane::Batch, 1, None).await?.id;
    let row = "SELECT ctid, xmin, closes_at FROM queue.ready";
    let before = day.house.database.execute(&[row]).await?;
    day.house.change(day.tenant, |tenant| tenant.daily_quota = 7).await;
    day.noted(2).await?;
    assert_eq!(day.house.database.execute(&[row]).await?, before, "nobody wrote to it");
    // Another zone is another change of hours.
    day.house.change(day.tenant, |tenant| tenant.time_zone = "Asia/Tokyo".into()).await;
    assert_eq!(day.due(&id, "2026-01-15T23:00:00Z").await?, "quiet_hours");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_lives_from_when_it_may_go_out() -> Result<()> {
    let day = Day::begin("2026-01-15T12:00:00Z").await?;
    let request = SendMessageRequest {
        recipient: "201000000001".into(),
        text: "invoice".into(),
        lane: Lane::Batch.into(),
        session_id: day.session.to_string(),
        ttl: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        ..SendMessageRequest::default()
    };
    let id = day.house.hand_over(day.tenant, request).await?.id;
    let claimed = day.house.claim(&claim_id(), &[(day.session, 1, 10)]).await?.messages.remove(0);
    day.house.report(&claimed, Outcome::Dead(Failure { reason: "rejected".into(), not_before: None })).await?;
    day.becomes("2026-01-15T20:00:00Z")?;
    day.quiet("21:00", "08:00", QuietScope::Batch).await;
    day.noted(1).await?;
    let retry = RetryMessageRequest { id: id.clone(), ..RetryMessageRequest::default() };
    day.house.messages().retry_message(House::on_behalf_of(day.tenant, retry)).await?;
    assert_eq!(day.due(&id, "2026-01-16T06:00:00Z").await?, "quiet_hours");
    let waiting = day.house.message(day.tenant, &id).await?;
    assert_eq!(waiting.expire_time, Some(timestamp("2026-01-16T07:00:00Z".parse()?)));
    day.becomes("2026-01-16T06:30:00Z")?;
    day.reaches(&id, MessageState::Queued).await?;
    // Once it was due, waiting prolongs nothing.
    day.quiet("08:00", "11:00", QuietScope::Batch).await;
    assert_eq!(day.due(&id, "2026-01-16T09:00:00Z").await?, "quiet_hours");
    day.becomes("2026-01-16T07:00:00Z")?;
    day.reaches(&id, MessageState::Expired).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_the_call_is_for_those_without_one_of_their_own() -> Result<()> {
    let day = Day::begin("2026-01-15T12:00:00Z").await?;
    let window = |start: &str, end: &str| Some(SendWindow { start: start.into(), end: end.into() });
    let message = |recipient: &str, window| SendMessageRequest {
        recipient: recipient.into(),
        text: "invoice".into(),
        session_id: day.session.to_string(),
        window,
        ..SendMessageRequest::default()
    };
    let call = BatchSendMessagesRequest {
        messages: vec![
            message("201000000001", None),
            message("201000000002", window("13:00", "15:00")),
            message("201000000003", window("1", "2")),
        ],
        window: window("08:00", "10:00"),
        ..BatchSendMessagesRequest::default()
    };
    let outcomes = day.house.messages().batch_send_messages(House::on_behalf_of(day.tenant, call)).await?.into_inner().outcomes;
    let states: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| match outcome.outcome {
            Some(batch_outcome::Outcome::Accepted(accepted)) => accepted.state().as_str_name().to_owned(),
            Some(batch_outcome::Outcome::Error(status)) => status.message.chars().take(21).collect(),
            None => String::new(),
        })
        .collect();
    assert_eq!(states, ["MESSAGE_STATE_SCHEDULED", "MESSAGE_STATE_QUEUED", "window: is no window;"]);
    Ok(())
}
