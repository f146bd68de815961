//! Callers who all say the same, or do not wait for an answer.

use crate::chaos::cast::Via;
use crate::chaos::check::Promise;
use crate::chaos::house::PATIENCE;
use crate::chaos::trial::{Outcome, Trial};
use anyhow::{Result, ensure};
use barid_testkit::eventually;
use futures::{StreamExt, TryStreamExt, stream};
use rand::RngExt;
use std::collections::HashMap;
use std::time::Duration;

pub async fn same_key(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let cast = house.cast(&[Via::Cloud, Via::Web], 2).await?;
    let mut promises: HashMap<(usize, String), Promise> = HashMap::new();
    for (conversation, with) in cast.iter().enumerate() {
        let calls = (0..trial.messages).map(|_| house.hand_over(with, conversation, 0));
        for promise in futures::future::try_join_all(calls).await? {
            promises.insert((conversation, promise.id.clone()), promise);
        }
    }
    let promises: Vec<Promise> = promises.into_values().collect();
    let ids = promises.len();
    let findings = trial.judge(&cast, &promises).await?;
    Ok(Outcome::new(findings, trial.messages * cast.len())
        .expect(ids == cast.len(), format!("{} keys answered with {ids} ids", cast.len())))
}

/// Callers that hang up at once.
const AT_ONCE: usize = 64;
/// The longest any of them waits.
const LONGEST_MS: u64 = 40;
/// Streams that are left, several times the places that a caller has for them.
const STREAMS: usize = 100;

pub async fn cancelled(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let cast = trial.cast().await?;
    // One at a time to each customer, or two of them would race for their places.
    let mut hung_up = 0;
    let rounds = trial.messages.div_ceil(cast.len());
    let mut promises = Vec::new();
    for place in 0..rounds {
        let calls = stream::iter(cast.iter().enumerate()).map(async |(conversation, with)| {
            let patience = Duration::from_micros(rand::rng().random_range(0..LONGEST_MS * 1000));
            tokio::time::timeout(patience, house.hand_over(with, conversation, place)).await.is_err()
        });
        let left: Vec<bool> = calls.buffer_unordered(AT_ONCE).collect().await;
        hung_up += left.iter().filter(|left| **left).count();
        let repeated = stream::iter(cast.iter().enumerate()).map(|(conversation, with)| house.hand_over(with, conversation, place));
        promises.extend(repeated.buffer_unordered(AT_ONCE).try_collect::<Vec<Promise>>().await?);
    }
    for _ in 0..STREAMS {
        let tenant = &cast[0].business.tenant;
        let _ = tokio::time::timeout(Duration::from_millis(LONGEST_MS / 2), house.subscribe(tenant, "")).await;
    }
    let findings = trial.judge(&cast, &promises).await?;
    let left_open = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'barid\\_%' AND state LIKE 'idle in transaction%'
                     AND state_change < now() - interval '2 seconds'";
    let open: usize = eventually(PATIENCE, || async {
        let open = house.ask(left_open).await?.parse()?;
        ensure!(open == 0, "{open} transactions are open and idle");
        Ok(open)
    })
    .await?;
    let connections: usize = house.ask("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'barid\\_%'").await?.parse()?;
    let subscribed = eventually(PATIENCE, || async { house.subscribe(&cast[0].business.tenant, "").await }).await;
    Ok(Outcome::new(findings, hung_up)
        .figure("open_transactions", open)
        .figure("connections", connections)
        .expect(connections <= CONNECTIONS, format!("{connections} connections to PostgreSQL"))
        .expect(subscribed.is_ok(), "nobody can listen any more"))
}

/// Five services with two pools of at most eight each.
const CONNECTIONS: usize = 80;
