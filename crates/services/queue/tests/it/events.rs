//! What was sent and what was written stand in one order, and one id is enough to go on from.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use barid_bus::{Applied, BoxError, Checkpoint, Consumer, consume};
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    events::v1::Event,
    queue::v1::{Inbound, InboundContent, TextContent, inbound_content::Kind},
};
use barid_testkit::eventually;
use tokio_util::sync::CancellationToken;

use crate::house::House;

async fn hear(house: &House, tenant: TenantId, session: SessionId, provider_id: &str) -> Result<()> {
    let inbound = Inbound {
        tenant_id: tenant.to_string(),
        session_id: session.to_string(),
        from: "+201234567890".into(),
        provider_id: provider_id.into(),
        content: Some(InboundContent { kind: Some(Kind::Text(TextContent { text: "hello".into() })) }),
        ..Inbound::default()
    };
    Ok(house.hear(inbound).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_a_conversation_are_listed_in_order_from_any_event() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    for index in 0..3 {
        house.send(tenant, session, "201234567890", "hello").await?;
        hear(&house, tenant, session, &format!("wamid.{index}")).await?;
    }
    let all = eventually(Duration::from_secs(10), || async {
        let all = house.list_events(tenant, "").await?;
        ensure!(all.len() == 6, "{} events", all.len());
        Ok(all)
    })
    .await?;
    let names: Vec<String> = all.iter().map(|event| format!("{}.{}", event.entity, event.kind)).collect();
    assert_eq!(names, ["message.queued", "inbound.received"].repeat(3));
    for (index, event) in all.iter().enumerate() {
        let prefix = if event.entity == "inbound" { "inb_" } else { "msg_" };
        assert!(event.entity_id.starts_with(prefix), "{event:?}");
        assert_eq!(house.list_events(tenant, &event.id).await?, all[index + 1..]);
    }
    Ok(())
}

/// Keeps the events of one entity.
#[derive(Clone)]
struct Heard(&'static str, Arc<Mutex<Vec<Event>>>);

impl Consumer for Heard {
    fn entity(&self) -> &'static str {
        self.0
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        Ok(Some(Checkpoint::default()))
    }

    async fn apply(&self, events: Vec<Event>, _: Checkpoint, _: Checkpoint) -> Result<Applied, BoxError> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
        Ok(Applied::Done)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_consumer_hears_its_entity_alone() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    let consumers = ["message", "inbound"].map(|entity| Heard(entity, Arc::default()));
    let stop = CancellationToken::new();
    for consumer in &consumers {
        tokio::spawn(consume(house.bus.clone(), consumer.clone(), stop.clone()));
    }
    house.send(tenant, session, "201234567890", "hello").await?;
    hear(&house, tenant, session, "wamid.1").await?;
    for Heard(entity, heard) in &consumers {
        eventually(Duration::from_secs(20), || async {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            ensure!(heard.len() == 1 && heard[0].entity == *entity, "{heard:?}");
            Ok(())
        })
        .await?;
    }
    stop.cancel();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_events_wait_to_be_told_is_a_figure() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    let lag = || house.figure("barid_relay_lag_seconds{entity=\"message\"}");
    house.send(tenant, session, "201234567890", "told at once").await?;
    house.database.settle().await?;
    eventually(Duration::from_secs(10), || async {
        ensure!(lag()? == 0.0, "{}", lag()?);
        Ok(())
    })
    .await?;
    // An older transaction that stays open holds back what is told.
    let held = house.database.execute(&["SELECT pg_current_xact_id(), pg_sleep(5)"]);
    let behind = async {
        eventually(Duration::from_secs(5), || async {
            let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(5)%' AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL";
            ensure!(house.database.execute(&[open]).await? == "1", "not open yet");
            Ok(())
        })
        .await?;
        house.send(tenant, session, "201234567891", "told late").await?;
        eventually(Duration::from_secs(8), || async {
            ensure!(lag()? > 1.0, "{}", lag()?);
            Ok(())
        })
        .await
    };
    tokio::try_join!(held, behind)?;
    eventually(Duration::from_secs(10), || async {
        ensure!(lag()? == 0.0, "{}", lag()?);
        Ok(())
    })
    .await
}
