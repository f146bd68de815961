//! What an endpoint does not take comes again as planned, and one that takes nothing is disabled with a notice.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use barid_proto::{
    time,
    webhook::v1::{DeleteEndpointRequest, DeliveryState, DisableEndpointRequest, EnableEndpointRequest, Endpoint, EndpointState},
};
use barid_runtime::config::Validate;
use barid_testkit::eventually;
use chrono::TimeDelta;
use tokio::sync::Semaphore;

use crate::{
    house::{House, PATIENCE, on_behalf},
    receiver::{Receiver, Reply},
};

/// The plan that tenants are promised, in seconds.
const PLAN: [i64; 7] = [5, 300, 1800, 7200, 18_000, 36_000, 36_000];

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_repeated_as_planned_and_then_given_up() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    house.endpoint(tenant, &receiver.url("/hook")).await?;
    receiver.script("/hook", [], Reply { body: "no".into(), ..Reply::status(503) });
    let message = house.message();
    house.tell(tenant, &[(message, "sent")]).await?;
    for (tries, delay) in (1..).zip(PLAN) {
        let tried = house.tried(tenant, tries).await?;
        let last = house.delivery(tenant, &tried.id).await?;
        let ended = last.attempts.last().and_then(|attempt| time(attempt.time.as_ref()?)).expect("a time");
        let next = tried.next_attempt_time.as_ref().and_then(time).expect("another time");
        let waits = (next - ended).as_seconds_f64();
        ensure!(waits >= delay as f64 && waits <= delay as f64 * 1.1 + 0.001, "{waits} s after try {tries} instead of {delay}");
        // Not a moment earlier.
        house.advance(TimeDelta::seconds(delay) - TimeDelta::milliseconds(1));
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(receiver.received("/hook").len(), tries as usize, "early");
        house.advance(TimeDelta::seconds(delay / 10 + 1));
        receiver.wait("/hook", tries as usize + 1).await?;
    }
    let failed = house.settled(tenant, &[(DeliveryState::Failed, 1)]).await?.remove(0);
    assert_eq!((failed.attempt_count, failed.last_status, failed.next_attempt_time), (8, 503, None));
    let received = receiver.received("/hook");
    assert!(received.iter().all(|request| request.header("webhook-id") == failed.event_id), "the same event each time");
    // The next of the message comes after what was given up.
    receiver.script("/hook", [], Reply::status(204));
    house.tell(tenant, &[(message, "delivered")]).await?;
    house.settled(tenant, &[(DeliveryState::Failed, 1), (DeliveryState::Delivered, 1)]).await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_may_ask_for_more_time() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    house.endpoint(tenant, &receiver.url("/hook")).await?;
    receiver.script("/hook", [Reply { headers: vec![("retry-after", "600".into())], ..Reply::status(429) }], Reply::status(200));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    let tried = house.tried(tenant, 1).await?;
    let at = |stamp: &Option<prost_types::Timestamp>| stamp.as_ref().and_then(time).expect("a time");
    assert_eq!((at(&tried.next_attempt_time) - at(&tried.create_time)).num_seconds(), 600);
    house.advance(TimeDelta::seconds(601));
    house.settled(tenant, &[(DeliveryState::Delivered, 1)]).await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_disables_at_once_and_the_other_endpoints_hear_of_it() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    let gone = house.endpoint(tenant, &receiver.url("/gone")).await?;
    let notices = Endpoint { url: receiver.url("/notices"), event_types: vec!["webhook.disabled".into()], ..Endpoint::default() };
    house.create(tenant, notices).await?;
    receiver.script("/gone", [], Reply::status(410));
    let message = house.message();
    house.tell(tenant, &[(message, "sent"), (message, "delivered")]).await?;
    let notice = receiver.wait("/notices", 1).await?.remove(0).json()?;
    assert_eq!(notice["type"], "webhook.disabled");
    assert_eq!((&notice["data"]["entityId"], &notice["data"]["webhook"]["reason"]), (&gone.id.clone().into(), &"gone".into()));
    let read = house.read(tenant, &gone.id).await?;
    assert_eq!((read.state(), read.state_reason.as_str()), (EndpointState::Disabled, "gone"));
    // What waited is skipped, and what happens meanwhile too.
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    house.settled(tenant, &[(DeliveryState::Failed, 1), (DeliveryState::Skipped, 2), (DeliveryState::Delivered, 1)]).await?;
    assert_eq!(receiver.received("/gone").len(), 1);

    let enable = EnableEndpointRequest { id: gone.id.clone(), ..Default::default() };
    let enabled = house.endpoints().enable_endpoint(on_behalf(tenant, enable)).await?.into_inner();
    assert_eq!((enabled.state(), enabled.state_reason.as_str()), (EndpointState::Enabled, ""));
    receiver.script("/gone", [], Reply::status(200));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    receiver.wait("/gone", 2).await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_failure_disable_with_a_notice() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    let failing = Endpoint { url: receiver.url("/hook"), event_types: vec!["message.*".into()], ..Endpoint::default() };
    let failing = house.create(tenant, failing).await?;
    let notices = Endpoint { url: receiver.url("/notices"), event_types: vec!["webhook.*".into()], ..Endpoint::default() };
    house.create(tenant, notices).await?;
    receiver.script("/hook", [], Reply::status(500));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    receiver.wait("/hook", 1).await?;
    // A message each half day; each is tried as soon as it comes, and none is taken.
    for half_day in 1..10 {
        eventually(PATIENCE, || async {
            let read = house.read(tenant, &failing.id).await?;
            ensure!(read.state() == EndpointState::Enabled && read.failing_since.is_some(), "{read:?}");
            Ok(())
        })
        .await?;
        let before = receiver.received("/hook").len();
        house.advance(TimeDelta::hours(12));
        house.tell(tenant, &[(house.message(), "sent")]).await?;
        eventually(PATIENCE, || async {
            ensure!(receiver.received("/hook").len() > before + 1, "not tried in half day {half_day}");
            Ok(())
        })
        .await?;
    }
    house.advance(TimeDelta::hours(12));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    eventually(PATIENCE, || async {
        let read = house.read(tenant, &failing.id).await?;
        ensure!(read.state() == EndpointState::Disabled, "still enabled");
        assert_eq!(read.state_reason, "failing");
        Ok(())
    })
    .await?;
    eventually(PATIENCE, || async {
        let told = receiver.received("/notices");
        let disabled = told.iter().filter_map(|request| request.json().ok()).find(|body| body["type"] == "webhook.disabled");
        let disabled = disabled.ok_or_else(|| anyhow::anyhow!("no notice"))?;
        ensure!(disabled["data"]["webhook"]["reason"] == "failing", "{disabled}");
        Ok(())
    })
    .await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_success_ends_the_count_of_days() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    let endpoint = house.endpoint(tenant, &receiver.url("/hook")).await?;
    receiver.script("/hook", [Reply::status(500), Reply::status(200), Reply::status(500)], Reply::status(200));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    let tried = house.tried(tenant, 1).await?;
    let since = house.read(tenant, &endpoint.id).await?.failing_since;
    assert!(since.is_some() && tried.state() == DeliveryState::Pending);
    house.advance(TimeDelta::seconds(6));
    house.settled(tenant, &[(DeliveryState::Delivered, 1)]).await?;
    assert_eq!(house.read(tenant, &endpoint.id).await?.failing_since, None);
    house.advance(TimeDelta::days(6));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    receiver.wait("/hook", 3).await?;
    house.advance(TimeDelta::seconds(6));
    house.settled(tenant, &[(DeliveryState::Delivered, 2)]).await?;
    assert_eq!(house.read(tenant, &endpoint.id).await?.state(), EndpointState::Enabled);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_gets_nothing() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    let wanted = Endpoint { url: receiver.url("/hook"), event_types: vec!["message.*".into()], ..Endpoint::default() };
    let endpoint = house.create(tenant, wanted).await?;
    receiver.script("/hook", [Reply::status(500)], Reply::status(200));
    let message = house.message();
    house.tell(tenant, &[(message, "sent"), (message, "delivered")]).await?;
    house.tried(tenant, 1).await?;
    let disable = DisableEndpointRequest { id: endpoint.id.clone(), ..Default::default() };
    let disabled = house.endpoints().disable_endpoint(on_behalf(tenant, disable)).await?.into_inner();
    assert_eq!((disabled.state(), disabled.state_reason.as_str()), (EndpointState::Disabled, "requested"));
    house.tell(tenant, &[(message, "read")]).await?;
    house.settled(tenant, &[(DeliveryState::Skipped, 3)]).await?;
    house.advance(TimeDelta::hours(1));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(receiver.received("/hook").len(), 1);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_bounded_whatever_the_endpoint_does() -> Result<()> {
    let receiver = Receiver::start().await?;
    let mut house = House::empty(&[&receiver]).await?;
    assert_eq!(house.config.problems(), Vec::<String>::new());
    house.config.egress.total_timeout = Duration::from_secs(16);
    assert_eq!(house.config.problems(), ["egress.total_timeout: is longer than an endpoint may take; give at most 15s"]);
    house.config.egress.connect_timeout = Duration::from_secs(1);
    house.config.egress.total_timeout = Duration::from_secs(2);
    house.replica().await?;
    let tenant = house.tenant();
    house.endpoint(tenant, &receiver.url("/hook")).await?;
    receiver.script("/hook", [Reply { hold: Some(Arc::new(Semaphore::new(0))), ..Reply::status(200) }], Reply::status(200));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    let tried = house.tried(tenant, 1).await?;
    assert_eq!((tried.state(), tried.last_status), (DeliveryState::Pending, 0));
    assert!(tried.last_error.starts_with("was sent, and no answer came"), "{}", tried.last_error);
    let latency = house.delivery(tenant, &tried.id).await?.attempts[0].latency.expect("a latency");
    assert!(latency.seconds >= 2 && latency.seconds < 10, "{latency:?}");
    house.advance(TimeDelta::seconds(6));
    house.settled(tenant, &[(DeliveryState::Delivered, 1)]).await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_endpoint_that_is_removed_is_skipped() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    let endpoint = house.endpoint(tenant, &receiver.url("/hook")).await?;
    receiver.script("/hook", [], Reply::status(500));
    let message = house.message();
    house.tell(tenant, &[(message, "sent"), (message, "delivered")]).await?;
    house.tried(tenant, 1).await?;
    let delete = DeleteEndpointRequest { id: endpoint.id, ..Default::default() };
    house.endpoints().delete_endpoint(on_behalf(tenant, delete)).await?;
    house.settled(tenant, &[(DeliveryState::Skipped, 2)]).await?;
    house.advance(TimeDelta::hours(1));
    house.tell(tenant, &[(message, "read")]).await?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(receiver.received("/hook").len(), 1);
    house.settled(tenant, &[(DeliveryState::Skipped, 2)]).await?;
    house.stop().await;
    Ok(())
}
