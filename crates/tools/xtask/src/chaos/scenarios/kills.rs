//! Processes that end in the middle of whatever they do.

use crate::chaos::house::SERVICES;
use crate::chaos::trial::{Outcome, Trial};
use anyhow::{Context, Result};
use rand::seq::{IndexedRandom, SliceRandom};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Fewest deaths that prove anything.
const FEWEST: usize = 3;

pub async fn pool(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    let fault = async |more: &Cell<bool>| {
        let mut kills = 0;
        while more.get() || kills < FEWEST {
            tokio::time::sleep(trial.pause()).await;
            house.kill(&house.pools.choose(&mut rand::rng()).context("there are replicas")?.name).await?;
            kills += 1;
        }
        Ok(kills)
    };
    trial.run(fault).await
}

pub async fn all_services(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    let fault = async |more: &Cell<bool>| {
        let mut kills = 0;
        // Each of them at least once, in another order every time.
        while more.get() || kills == 0 {
            let mut services = SERVICES;
            services.shuffle(&mut rand::rng());
            for service in services {
                house.kill(service).await?;
                kills += 1;
                tokio::time::sleep(trial.pause() / 4).await;
            }
        }
        Ok(kills)
    };
    trial.run(fault).await
}

/// What a service may take to finish what it has begun.
const LONGEST_STOP: Duration = Duration::from_secs(15);

pub async fn rolling_upgrade(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial, longest) = (&trial.house, &*trial, Cell::new(Duration::ZERO));
    let fault = async |more: &Cell<bool>| {
        let pools = house.pools.iter().map(|pool| pool.name.as_str());
        let all: Vec<&str> = SERVICES.into_iter().filter(|service| *service != "session-pool").chain(pools).collect();
        let mut replaced = 0;
        while more.get() || replaced == 0 {
            for service in &all {
                let asked = Instant::now();
                house.renew(service).await?;
                longest.set(longest.get().max(asked.elapsed()));
                replaced += 1;
                tokio::time::sleep(trial.pause() / 4).await;
            }
        }
        Ok(replaced)
    };
    let outcome = trial.run(fault).await?;
    let longest = longest.get();
    let held = outcome.findings.given_up == 0;
    Ok(outcome
        .figure("longest_replacement_ms", u64::try_from(longest.as_millis())?)
        .expect(longest < LONGEST_STOP, format!("a service took {longest:?} to be replaced"))
        .expect(held, "a service that is asked to stop waits for the outcomes of its sends"))
}
