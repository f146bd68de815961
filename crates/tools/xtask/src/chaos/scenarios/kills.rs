//! Processes that die in the middle of whatever they do.

use crate::chaos::house::SERVICES;
use crate::chaos::trial::{Outcome, Trial};
use anyhow::{Context, Result};
use rand::seq::{IndexedRandom, SliceRandom};
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(2);
/// Fewest deaths that prove anything.
const FEWEST: usize = 3;

pub async fn pool(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let fault = async |more: &std::cell::Cell<bool>| {
        let mut kills = 0;
        while more.get() || kills < FEWEST {
            tokio::time::sleep(PAUSE).await;
            house.kill(house.pools.choose(&mut rand::rng()).context("there are replicas")?).await?;
            kills += 1;
        }
        Ok(kills)
    };
    trial.run(fault).await
}

pub async fn all_services(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let fault = async |more: &std::cell::Cell<bool>| {
        let mut kills = 0;
        // Each of them at least once, in another order every time.
        while more.get() || kills == 0 {
            let mut services = SERVICES;
            services.shuffle(&mut rand::rng());
            for service in services {
                house.kill(service).await?;
                kills += 1;
                tokio::time::sleep(PAUSE / 4).await;
            }
        }
        Ok(kills)
    };
    trial.run(fault).await
}
