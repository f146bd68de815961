//! Partitions are made two weeks ahead, at start and every hour, and dropped when all in them is over and older than it is kept. Jobs go after
//! the last of their messages.

use std::time::Duration;

use barid_bus::Lag;
use barid_runtime::Jobs;
use chrono::TimeDelta;

use crate::{Config, Error, store::Store};

const HOUR: Duration = Duration::from_secs(3600);
/// How soon a turn that failed is tried again: somebody may have held a table.
const AGAIN: Duration = Duration::from_secs(10);
/// How far clocks may be apart before the log says so. Ids carry times, and days are looked for by them.
const APART: TimeDelta = TimeDelta::minutes(10);

pub(crate) fn start(jobs: &Jobs, store: &Store, config: &Config, lag: Lag) {
    let (store, shutdown) = (store.clone(), jobs.shutdown());
    let kept = TimeDelta::from_std(config.retention).unwrap_or(TimeDelta::MAX);
    jobs.spawn("partitions", async move {
        let mut pause = Duration::ZERO;
        while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            pause = match turn(&store, kept, &lag).await {
                Ok(()) => HOUR,
                Err(error) => {
                    tracing::warn!(job = "partitions", %error, "a turn failed");
                    AGAIN
                }
            };
        }
    });
}

async fn turn(store: &Store, kept: TimeDelta, lag: &Lag) -> Result<(), Error> {
    let made = store.make_partitions().await?;
    if made > 0 {
        tracing::info!(made, "partitions were made ahead");
    }
    let (apart, astray) = (store.clock_difference().await?, store.astray().await?);
    if apart > APART || astray > 0 {
        tracing::error!(
            seconds = apart.num_seconds(),
            astray,
            "a clock is wrong: ids are minted for days that are not made yet, or long gone"
        );
    }
    if let Some(before) = store.now().checked_sub_signed(kept) {
        store.drop_old(before, lag.position()).await?;
        while store.forget_jobs(before).await? > 0 {}
    }
    Ok(())
}
