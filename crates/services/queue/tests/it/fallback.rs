//! Other ways for what WhatsApp does not deliver, over a mail server and an SMS provider that can be looked at.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use barid_domain::{Clock, ManualClock, SessionId, SystemClock, TenantId};
use barid_proto::{
    queue::v1::{
        Acknowledged, Channel, ClaimedMessage, Failure, Message, MessageState, ReceiptKind, RetryMessageRequest, SendMessageRequest,
        outcome::Outcome,
    },
    tenant::v1::{Fallback, FallbackChannel},
};
use barid_simulator::Simulator;
use barid_testkit::eventually;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::house::{House, claim_id};

const EMAIL: &str = "amira@example.com";

struct Outside {
    house: House,
    clock: Arc<ManualClock>,
    simulator: String,
    tenant: TenantId,
    session: SessionId,
    _stop: DropGuard,
}

impl Outside {
    async fn begin(channels: &[FallbackChannel]) -> Result<Self> {
        let config = barid_simulator::Config { listen_smtp: "127.0.0.1:0".into(), ..Default::default() };
        let simulator = Simulator::build(config, TcpListener::bind("127.0.0.1:0").await?).await?;
        let (url, smtp, stop) = (simulator.url(), simulator.smtp_url().context("a mail server")?, CancellationToken::new());
        tokio::spawn(simulator.run(stop.clone()));
        let port = url.rsplit(':').next().context("a port")?;
        let settings = format!(
            "[queue.fallback]\nsmtp_url = {smtp:?}\nemail_from = \"invoices@barid.example\"\n\
             [queue.fallback.sms]\nurl = \"{url}/sms/messages\"\nid_pointer = \"/messages/0/id\"\n\
             [queue.fallback.egress]\nallow = [\"127.0.0.1\"]\nallow_http = true\nports = [{port}]\n"
        );
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let house = House::start_on(&settings, clock.clone()).await?;
        let (tenant, session) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        let chosen = Fallback { channels: channels.iter().map(|channel| *channel as i32).collect(), reasons: Vec::new() };
        house
            .change(tenant, |tenant| {
                tenant.name = "Nile Laundry".into();
                tenant.fallback = (!channels.is_empty()).then_some(chosen);
            })
            .await;
        Ok(Self { house, clock, simulator: url, tenant, session, _stop: stop.drop_guard() })
    }

    /// Hands a message over that WhatsApp does not deliver for this reason; gives back what was claimed.
    async fn fails(&self, email: &str, reason: &str) -> Result<ClaimedMessage> {
        let request = SendMessageRequest {
            recipient: "201000000001".into(),
            text: "Your invoice: 120 EGP".into(),
            fallback_email: email.into(),
            ..SendMessageRequest::default()
        };
        let id = self.house.send_request(self.tenant, self.session, request).await?;
        let claimed = self.house.claim(&claim_id(), &[(self.session, 1, 1)]).await?.messages.remove(0);
        ensure!(claimed.message_id == id, "another message");
        self.house.report(&claimed, Outcome::Dead(Failure { reason: reason.into(), not_before: None })).await?;
        Ok(claimed)
    }

    async fn reaches(&self, id: &str, state: MessageState, channel: Channel, reason: &str) -> Result<Message> {
        eventually(Duration::from_secs(20), || async {
            // What waits for another try is due.
            self.clock.advance(TimeDelta::seconds(5));
            let message = self.house.message(self.tenant, id).await?;
            ensure!((message.state(), message.channel(), message.reason.as_str()) == (state, channel, reason), "{message:?}");
            Ok(message)
        })
        .await
    }

    async fn decided(&self) -> Result<()> {
        eventually(Duration::from_secs(10), || async {
            let open = self.house.database.execute(&["SELECT count(*) FROM queue.dead_letters WHERE NOT considered"]).await?;
            ensure!(open == "0", "{open} are undecided");
            Ok(())
        })
        .await
    }

    async fn look(&self, what: &str) -> Result<Vec<Value>> {
        let found: Value = reqwest::get(format!("{}/sim/{what}", self.simulator)).await?.json().await?;
        let (_, list) = found.as_object().and_then(|found| found.iter().next()).context("a list")?;
        Ok(list.as_array().cloned().unwrap_or_default())
    }

    async fn tell(&self, what: &str, how: Value) -> Result<()> {
        reqwest::Client::new().put(format!("{}/sim/{what}", self.simulator)).json(&how).send().await?.error_for_status()?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_whatsapp_does_not_deliver_goes_by_email_once() -> Result<()> {
    let outside = Outside::begin(&[FallbackChannel::Email, FallbackChannel::Sms]).await?;
    // Every replica would send it.
    outside.house.replica(outside.clock.clone()).await?;
    let claimed = outside.fails(EMAIL, "undeliverable").await?;
    let id = claimed.message_id.as_str();
    let message = outside.reaches(id, MessageState::Sent, Channel::Email, "").await?;
    let steps: Vec<_> = message.history.iter().map(|step| (step.state(), step.channel(), step.attempt, step.reason.as_str())).collect();
    assert_eq!(
        steps[2..],
        [
            (MessageState::Failed, Channel::Whatsapp, 1, "undeliverable"),
            (MessageState::Sending, Channel::Email, 2, ""),
            (MessageState::Sent, Channel::Email, 2, "")
        ]
    );
    assert!(!message.dead_letter && message.sent_time.is_some());
    let letters = outside.look("mail").await?;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((&letter["from"], &letter["to"]), (&json!("invoices@barid.example"), &json!([EMAIL])));
    assert_eq!((&letter["subject"], &letter["message_id"]), (&json!("Nile Laundry"), &json!(format!("<{id}@barid.example>"))));
    let raw = letter["raw"].as_str().context("a letter")?;
    assert!(raw.contains("\n\nYour invoice: 120 EGP\n") && raw.contains("From: \"Nile Laundry\" <invoices@barid.example>"), "{raw}");
    assert!(outside.look("sms").await?.is_empty());
    let stored = outside.house.database.execute(&["SELECT content FROM queue.messages"]).await?;
    assert!(!stored.contains(&EMAIL.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()), "the address is sealed");

    // What WhatsApp repeats of its own attempt is no word on this one; that it arrived after all is.
    outside.house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: "wamid.1".into() })).await?;
    outside.house.receipt(outside.session, "wamid.1", "", ReceiptKind::Failed).await?;
    assert_eq!(outside.house.message(outside.tenant, id).await?.state(), MessageState::Sent);
    outside.house.receipt(outside.session, "wamid.1", "", ReceiptKind::Delivered).await?;
    outside.reaches(id, MessageState::Delivered, Channel::Whatsapp, "").await?;
    assert_eq!(outside.look("mail").await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_way_is_taken_where_one_fails() -> Result<()> {
    let outside = Outside::begin(&[FallbackChannel::Email, FallbackChannel::Sms]).await?;
    // Without an address there is no e-mail.
    let id = outside.fails("", "undeliverable").await?.message_id;
    outside.reaches(&id, MessageState::Sent, Channel::Sms, "").await?;
    let sent = outside.look("sms").await?;
    assert_eq!(
        (sent.len(), &sent[0]["to"], &sent[0]["text"], &sent[0]["reference"]),
        (1, &json!("+201000000001"), &json!("Your invoice: 120 EGP"), &json!(id))
    );

    outside.tell("mail", json!({"status": 550, "times": 1})).await?;
    let id = outside.fails(EMAIL, "undeliverable").await?.message_id;
    let message = outside.reaches(&id, MessageState::Sent, Channel::Sms, "").await?;
    assert_eq!(message.attempt, 3);
    let failed = message.history.iter().rfind(|step| step.state() == MessageState::Failed).context("a failure")?;
    assert_eq!((failed.channel(), failed.reason.as_str()), (Channel::Email, "fallback_failed"));

    outside.tell("mail", json!({"status": 550, "times": 1})).await?;
    outside.tell("sms", json!({"status": 400, "times": 1})).await?;
    let id = outside.fails(EMAIL, "undeliverable").await?.message_id;
    let message = outside.reaches(&id, MessageState::Failed, Channel::Sms, "fallback_failed").await?;
    assert!(message.dead_letter && message.reason_text.contains("the fallback failed as well"));
    // It can be sent again, over WhatsApp first.
    let retry = RetryMessageRequest { id: id.clone(), ..RetryMessageRequest::default() };
    outside.house.messages().retry_message(House::on_behalf_of(outside.tenant, retry)).await?;
    outside.reaches(&id, MessageState::Queued, Channel::Whatsapp, "").await?;
    assert_eq!((outside.look("mail").await?.len(), outside.look("sms").await?.len()), (0, 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_tried_again_and_what_may_have_arrived_is_not() -> Result<()> {
    let outside = Outside::begin(&[FallbackChannel::Sms]).await?;
    outside.tell("sms", json!({"status": 503, "times": 2})).await?;
    let id = outside.fails("", "undeliverable").await?.message_id;
    outside.reaches(&id, MessageState::Sent, Channel::Sms, "").await?;
    assert_eq!(outside.look("sms").await?.len(), 1);

    outside.tell("sms", json!({"status": 503, "times": 100})).await?;
    let id = outside.fails("", "undeliverable").await?.message_id;
    outside.reaches(&id, MessageState::Failed, Channel::Sms, "fallback_failed").await?;

    outside.tell("sms", json!({"status": 500, "times": 1, "taken": true})).await?;
    let id = outside.fails("", "undeliverable").await?.message_id;
    outside.reaches(&id, MessageState::Failed, Channel::Sms, "outcome_unknown").await?;
    assert_eq!(outside.look("sms").await?.len(), 2, "it had arrived, and is not sent again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_comes_late_ends_no_other_way_that_has_begun() -> Result<()> {
    let outside = Outside::begin(&[FallbackChannel::Sms]).await?;
    outside.tell("sms", json!({"status": 503, "times": 2})).await?;
    let claimed = outside.fails("", "undeliverable").await?;
    let id = claimed.message_id.as_str();
    eventually(Duration::from_secs(10), || async {
        let message = outside.house.message(outside.tenant, id).await?;
        ensure!((message.state(), message.channel()) == (MessageState::Sending, Channel::Sms), "{message:?}");
        Ok(())
    })
    .await?;
    outside.house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: "wamid.1".into() })).await?;
    let message = outside.house.message(outside.tenant, id).await?;
    assert_eq!((message.state(), message.channel()), (MessageState::Sending, Channel::Sms));
    outside.reaches(id, MessageState::Sent, Channel::Sms, "").await?;
    assert_eq!(outside.look("sms").await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_took_with_it_ends_and_is_not_sent_again() -> Result<()> {
    let outside = Outside::begin(&[FallbackChannel::Sms]).await?;
    let taken =
        "CREATE FUNCTION public.taken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.taken_at := NEW.due_at; RETURN NEW; END $$";
    let trigger = "CREATE TRIGGER taken BEFORE INSERT ON queue.fallbacks FOR EACH ROW EXECUTE FUNCTION public.taken()";
    outside.house.database.execute(&[taken, trigger]).await?;
    let id = outside.fails("", "undeliverable").await?.message_id;
    eventually(Duration::from_secs(10), || async {
        ensure!(outside.house.message(outside.tenant, &id).await?.state() == MessageState::Sending, "not yet");
        Ok(())
    })
    .await?;
    outside.clock.advance(TimeDelta::minutes(6));
    outside.reaches(&id, MessageState::Failed, Channel::Sms, "outcome_unknown").await?;
    outside.decided().await?;
    assert!(outside.look("sms").await?.is_empty());
    assert_eq!(outside.house.database.execute(&["SELECT count(*) FROM queue.fallbacks"]).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_be_looked_up_keeps_nobody_waiting() -> Result<()> {
    let outside = Outside::begin(&[FallbackChannel::Sms]).await?;
    let house = &outside.house;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    for customer in 0..120 {
        house.send(tenant, session, &format!("2010000{customer:05}"), "hello").await?;
    }
    house.change(tenant, |tenant| tenant.time_zone = "Mars/Olympus".into()).await;
    eventually(Duration::from_secs(10), || async {
        ensure!(house.send(tenant, session, "201234567890", "hello").await.is_err(), "the change is not heard of yet");
        Ok(())
    })
    .await?;
    for claimed in house.claim(&claim_id(), &[(session, 1, 200)]).await?.messages {
        house.report(&claimed, Outcome::Dead(Failure { reason: "undeliverable".into(), not_before: None })).await?;
    }
    let open = "SELECT count(*) FROM queue.dead_letters WHERE NOT considered";
    let waiting: u32 = house.database.execute(&[open]).await?.parse()?;
    ensure!(waiting >= 120, "only {waiting} wait");
    let id = outside.fails("", "undeliverable").await?.message_id;
    outside.reaches(&id, MessageState::Sent, Channel::Sms, "").await?;

    // They are decided as soon as it can be.
    house.change(tenant, |tenant| tenant.time_zone = "Africa/Cairo".into()).await;
    outside.decided().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_another_way_that_should_not() -> Result<()> {
    let outside = Outside::begin(&[FallbackChannel::Email, FallbackChannel::Sms]).await?;
    for reason in ["recipient_opted_out", "outcome_unknown", "rejected"] {
        let id = outside.fails(EMAIL, reason).await?.message_id;
        outside.decided().await?;
        let message = outside.house.message(outside.tenant, &id).await?;
        assert_eq!((message.state(), message.channel(), message.reason.as_str()), (MessageState::Failed, Channel::Whatsapp, reason));
    }
    outside.house.change(outside.tenant, |tenant| tenant.fallback = None).await;
    let unchosen = eventually(Duration::from_secs(10), || async {
        let id = outside.fails(EMAIL, "undeliverable").await?.message_id;
        outside.decided().await?;
        ensure!(outside.house.message(outside.tenant, &id).await?.state() == MessageState::Failed, "the change is not heard of yet");
        Ok(id)
    })
    .await?;
    assert_eq!(outside.house.message(outside.tenant, &unchosen).await?.reason, "undeliverable");
    let wrong = SendMessageRequest {
        recipient: "201000000001".into(),
        text: "x".into(),
        fallback_email: "amira at example".into(),
        ..SendMessageRequest::default()
    };
    let refused = outside.house.hand_over(outside.tenant, wrong).await.expect_err("no address");
    assert!(refused.message().starts_with("fallbackEmail: "), "{refused}");
    Ok(())
}
