//! What happens reaches the endpoints that want it: signed, in order, at least once, whoever dies and whoever is slow.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use barid_domain::MessageId;
use barid_proto::webhook::v1::{DeliveryState, Endpoint};
use barid_testkit::eventually;
use chrono::TimeDelta;
use tokio::sync::Semaphore;

use crate::{
    house::{House, PATIENCE},
    receiver::{Received, Receiver, Reply},
};

const STEPS: [&str; 5] = ["queued", "sending", "sent", "delivered", "read"];

/// The types that came for each entity, in the order of their coming, repetitions of the same event left out.
fn ways(received: &[Received]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut ways = BTreeMap::<String, Vec<String>>::new();
    let mut seen = std::collections::BTreeSet::new();
    for request in received {
        if seen.insert(request.header("webhook-id").to_owned()) {
            let entity = request.json()?["data"]["entityId"].as_str().context("an entity")?.to_owned();
            ways.entry(entity).or_default().push(request.event_type()?);
        }
    }
    Ok(ways)
}

fn expected(messages: &[MessageId]) -> BTreeMap<String, Vec<String>> {
    messages.iter().map(|message| (message.to_string(), STEPS.map(|step| format!("message.{step}")).to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_arrives_signed_and_in_order() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let (tenant, other) = (house.tenant(), house.tenant());
    // Without a filter it wants everything.
    let endpoint = Endpoint { url: receiver.url("/hook?token=secret"), ..Endpoint::default() };
    let endpoint = house.create(tenant, endpoint).await?;
    let some = Endpoint { url: receiver.url("/some"), event_types: vec!["message.read".into()], ..Endpoint::default() };
    let some = house.create(tenant, some).await?;
    house.endpoint(other, &receiver.url("/other")).await?;
    let messages: Vec<MessageId> = (0..20).map(|_| house.message()).collect();
    for step in STEPS {
        let told: Vec<_> = messages.iter().map(|message| (*message, step)).collect();
        house.tell(tenant, &told).await?;
    }
    // It hears of the other endpoint too, and not of itself.
    let (received, others): (Vec<_>, Vec<_>) = receiver
        .wait("/hook", 101)
        .await?
        .into_iter()
        .partition(|request| request.event_type().is_ok_and(|kind| kind.starts_with("message.")));
    assert_eq!(ways(&received)?, expected(&messages));
    assert_eq!(others[0].json()?["data"]["entityId"], some.id);
    for request in &received {
        assert_eq!(request.signed_by(&endpoint.secret)?, 1, "{request:?}");
        assert_eq!((request.header("content-type"), request.header("user-agent").starts_with("Barid/")), ("application/json", true));
        let body = request.json()?;
        assert_eq!((&body["data"]["id"], &body["data"]["tenantId"]), (&request.header("webhook-id").into(), &tenant.to_string().into()));
        assert_eq!((&body["data"]["message"]["attempt"], &body["timestamp"]), (&1.into(), &body["data"]["time"]));
    }
    let filtered = receiver.wait("/some", 20).await?;
    assert!(filtered.iter().all(|request| request.event_type().is_ok_and(|kind| kind == "message.read")));
    house.settled(tenant, &[(DeliveryState::Delivered, 121)]).await?;
    assert_eq!(house.database.execute(&["SELECT count(*) FROM webhook.lines"]).await?, "0", "nothing waits any more");
    assert_eq!(receiver.received("/other").len(), 0, "another tenant hears nothing of it");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_of_a_message_waits_for_the_one_before() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    house.endpoint(tenant, &receiver.url("/hook")).await?;
    receiver.script("/hook", [Reply::status(500)], Reply::status(200));
    let (stuck, free) = (house.message(), house.message());
    house.tell(tenant, &[(stuck, "sent"), (stuck, "delivered")]).await?;
    house.tried(tenant, 1).await?;
    // Another message goes by.
    house.tell(tenant, &[(free, "sent"), (free, "delivered")]).await?;
    receiver.wait("/hook", 3).await?;
    house.settled(tenant, &[(DeliveryState::Delivered, 2), (DeliveryState::Pending, 2)]).await?;
    house.advance(TimeDelta::seconds(6));
    let received = receiver.wait("/hook", 5).await?;
    let of_stuck: Vec<String> =
        received.iter().filter(|request| request.body.contains(&stuck.to_string())).map(Received::event_type).collect::<Result<_>>()?;
    assert_eq!(of_stuck, ["message.sent", "message.sent", "message.delivered"]);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endpoint_delays_nobody_else() -> Result<()> {
    let (slow, fast) = (Receiver::start().await?, Receiver::start().await?);
    let house = House::start(&[&slow, &fast]).await?;
    let tenant = house.tenant();
    house.endpoint(tenant, &slow.url("/slow")).await?;
    house.endpoint(tenant, &fast.url("/fast")).await?;
    // It never answers within the test.
    let never = Arc::new(Semaphore::new(0));
    slow.script("/slow", [], Reply { hold: Some(never), ..Reply::status(200) });
    let messages: Vec<MessageId> = (0..200).map(|_| house.message()).collect();
    let told: Vec<_> = messages.iter().map(|message| (*message, "sent")).collect();
    house.tell(tenant, &told).await?;
    fast.wait("/fast", 200).await?;
    let held = slow.received("/slow").len();
    assert!((1..=4).contains(&held), "{held} of the slow one's are under way, and no more than it may have");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_endpoints_that_hang_leave_room_for_those_that_work() -> Result<()> {
    let (hanging, fast) = (Receiver::start().await?, Receiver::start().await?);
    let mut house = House::empty(&[&hanging, &fast]).await?;
    house.config.concurrency = 8;
    house.config.egress.total_timeout = std::time::Duration::from_secs(15);
    house.replica().await?;
    let (tenant, other) = (house.tenant(), house.tenant());
    let never = Reply { hold: Some(Arc::new(Semaphore::new(0))), ..Reply::status(200) };
    for index in 0..20 {
        let path = format!("/hanging/{index}");
        house.endpoint(tenant, &hanging.url(&path)).await?;
        hanging.script(&path, [Reply::status(500)], never.clone());
    }
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    house.settled(tenant, &[(DeliveryState::Pending, 20)]).await?;
    for index in 0..20 {
        hanging.wait(&format!("/hanging/{index}"), 1).await?;
    }
    eventually(PATIENCE, || async {
        let failing = house.database.execute(&["SELECT count(*) FROM webhook.endpoints WHERE failing_since IS NOT NULL"]).await?;
        ensure!(failing == "20", "{failing} are known to fail");
        Ok(())
    })
    .await?;
    // All of them are due, and none will answer within the test.
    house.advance(TimeDelta::seconds(6));
    let under_way = || (0..20).filter(|index| hanging.received(&format!("/hanging/{index}")).len() > 1).count();
    eventually(PATIENCE, || async {
        ensure!(under_way() == 4, "{} hang", under_way());
        Ok(())
    })
    .await?;
    house.endpoint(other, &fast.url("/fast")).await?;
    let told: Vec<_> = (0..50).map(|_| (house.message(), "sent")).collect();
    house.tell(other, &told).await?;
    fast.wait("/fast", 50).await?;
    assert_eq!(under_way(), 4, "half of the room");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_loses_nothing() -> Result<()> {
    let receiver = Receiver::start().await?;
    let mut house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    house.endpoint(tenant, &receiver.url("/hook")).await?;
    let gate = Arc::new(Semaphore::new(0));
    // It dies while four requests are under way, and knows of no answer.
    receiver.script("/hook", vec![Reply { hold: Some(gate.clone()), ..Reply::status(200) }; 4], Reply::status(200));
    let messages: Vec<MessageId> = (0..30).map(|_| house.message()).collect();
    for step in STEPS {
        let told: Vec<_> = messages.iter().map(|message| (*message, step)).collect();
        house.tell(tenant, &told).await?;
    }
    receiver.wait("/hook", 4).await?;
    house.kill_one();
    gate.add_permits(4);
    house.replica().await?;
    // What the dead one holds comes free with its lease.
    house.advance(TimeDelta::seconds(30));
    house.settled(tenant, &[(DeliveryState::Delivered, 150)]).await?;
    let received = receiver.received("/hook");
    assert_eq!(ways(&received)?, expected(&messages));
    assert_eq!(received.len(), 154, "the four are told again, and nothing else");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work() -> Result<()> {
    let receiver = Receiver::start().await?;
    let mut house = House::start(&[&receiver]).await?;
    house.replica().await?;
    let tenant = house.tenant();
    house.endpoint(tenant, &receiver.url("/hook")).await?;
    let messages: Vec<MessageId> = (0..60).map(|_| house.message()).collect();
    for step in STEPS {
        let told: Vec<_> = messages.iter().map(|message| (*message, step)).collect();
        house.tell(tenant, &told).await?;
    }
    house.settled(tenant, &[(DeliveryState::Delivered, 300)]).await?;
    let received = receiver.wait("/hook", 300).await?;
    assert_eq!(ways(&received)?, expected(&messages));
    house.stop().await;
    Ok(())
}
