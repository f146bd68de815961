//! Counts are exact, whatever happens to the service and to the broker.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use barid_domain::TenantId;
use barid_testkit::eventually;
use chrono::TimeDelta;

use crate::house::{House, PATIENCE, Told, at};

const NOW: &str = "2026-03-10T12:00:00Z";

/// Kinds with their attempts, and states.
type Way = (&'static [(&'static str, u32)], &'static [&'static str]);

/// Ways of a message, as the ledger tells of them, and what each counts for.
const WAYS: [Way; 6] = [
    (&[("queued", 0), ("sending", 1), ("sent", 1), ("delivered", 1), ("read", 1)], &["accepted", "sent", "delivered", "read"]),
    (&[("scheduled", 0), ("queued", 0), ("sending", 1), ("sent", 1)], &["accepted", "sent"]),
    (&[("scheduled", 0), ("cancelled", 0)], &["accepted", "cancelled"]),
    (&[("queued", 0), ("expired", 0)], &["accepted", "expired"]),
    // Tried again until it failed, sent again by hand, and failed again.
    (
        &[("queued", 0), ("sending", 1), ("queued", 1), ("sending", 2), ("failed", 2), ("queued", 2), ("failed", 3)],
        &["accepted", "failed", "failed"],
    ),
    (&[("queued", 0), ("sending", 1), ("uncertain", 1), ("delivered", 1)], &["accepted", "delivered"]),
];

type Expected = BTreeMap<(String, String), u64>;

/// Tells of as many messages in transactions of one step each, and adds what they count for.
async fn tell(house: &House, tenants: &[TenantId], messages: usize, expected: &mut Expected) -> Result<()> {
    let templates = ["", "invoice", "ready"];
    for step in 0..7 {
        let mut told = Vec::new();
        for message in 0..messages {
            let (steps, counted) = WAYS[message % WAYS.len()];
            let (tenant, template) = (tenants[message % tenants.len()], templates[message % templates.len()]);
            // Finer than the ledger keeps the times of its events.
            let accepted = at(NOW) + TimeDelta::minutes(message as i64) + TimeDelta::nanoseconds(1_234_567);
            if let Some(&(kind, attempt)) = steps.get(step) {
                told.push(Told { tenant, kind, at: accepted + TimeDelta::seconds(step as i64), accepted, attempt, template });
            }
            if step == 0 {
                for state in counted {
                    *expected.entry(((*state).to_owned(), template.to_owned())).or_default() += 1;
                }
            }
        }
        house.tell(&told).await?;
    }
    Ok(())
}

async fn exact(house: &House, expected: &Expected) -> Result<()> {
    house.caught_up().await?;
    assert_eq!(&house.counted().await?, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_counts_once_also_after_a_restart() -> Result<()> {
    let mut house = House::start(NOW).await?;
    let tenants = [house.tenant("UTC"), house.tenant("Africa/Cairo")];
    let mut expected = Expected::new();
    tell(&house, &tenants, 600, &mut expected).await?;
    exact(&house, &expected).await?;

    // In the midst of it the service stops and comes back.
    tell(&house, &tenants, 600, &mut expected).await?;
    house.stop_replicas().await;
    tell(&house, &tenants, 100, &mut expected).await?;
    house.replica().await?;
    exact(&house, &expected).await?;

    let fresh =
        house.database.execute(&["SELECT max(as_of) = (SELECT max(at) FROM queue.message_events) FROM analytics.freshness"]).await?;
    assert_eq!(fresh, "t");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_stay_exact_when_the_stream_is_told_again() -> Result<()> {
    let mut house = House::start(NOW).await?;
    let tenants = [house.tenant("UTC")];
    let mut expected = Expected::new();
    tell(&house, &tenants, 400, &mut expected).await?;
    exact(&house, &expected).await?;

    let stream = "SELECT stream_created FROM analytics.consumer_checkpoints";
    let before = house.database.execute(&[stream]).await?;
    house.nats.wipe_store().await?;
    tell(&house, &tenants, 50, &mut expected).await?;
    house.nats.begin().await?;
    exact(&house, &expected).await?;
    let new = house.database.execute(&[stream]).await?;
    assert_ne!(before, new, "the stream is another one");

    // Wiped while the service is away, and told again longer than it was.
    house.stop_replicas().await;
    house.nats.wipe_store().await?;
    house.nats.begin().await?;
    tell(&house, &tenants, 500, &mut expected).await?;
    house.replica().await?;
    exact(&house, &expected).await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_count_no_more_than_one() -> Result<()> {
    let mut house = House::start(NOW).await?;
    house.replica().await?;
    let tenants: Vec<TenantId> = (0..10).map(|_| house.tenant("UTC")).collect();
    let mut expected = Expected::new();
    for _ in 0..6 {
        tell(&house, &tenants, 200, &mut expected).await?;
    }
    exact(&house, &expected).await?;
    // One stops, the other goes on.
    house.stop_one().await;
    tell(&house, &tenants, 200, &mut expected).await?;
    exact(&house, &expected).await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_away_misses_nothing() -> Result<()> {
    let house = House::start(NOW).await?;
    let tenants = [house.tenant("UTC")];
    let mut expected = Expected::new();
    tell(&house, &tenants, 100, &mut expected).await?;
    exact(&house, &expected).await?;
    // Nothing can be written, so nothing may be passed over.
    house.database.execute(&["REVOKE INSERT, UPDATE ON analytics.counts FROM barid_analytics_engine"]).await?;
    tell(&house, &tenants, 100, &mut expected).await?;
    let waiting = "SELECT count(*) FROM pg_stat_database WHERE datname = current_database() AND xact_rollback > 2";
    eventually(PATIENCE, || async {
        ensure!(house.database.execute(&[waiting]).await? == "1", "nothing was tried in vain yet");
        Ok(())
    })
    .await?;
    house.database.execute(&["GRANT INSERT, UPDATE ON analytics.counts TO barid_analytics_engine"]).await?;
    exact(&house, &expected).await?;
    house.stop().await;
    Ok(())
}
