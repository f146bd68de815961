//! One tenant that takes all it can, and the others.

use crate::chaos::cast::Via;
use crate::chaos::house::PATIENCE;
use crate::chaos::trial::{Outcome, Trial};
use anyhow::Result;
use std::time::Duration;

/// Customers of the others.
const QUIET_ONES: usize = 30;
/// Messages of the noisy tenant for each of the others'.
const NOISE: usize = 5;
/// What the others' 99th percentile may become, as a multiple of its quiet value.
const MOST: f64 = 2.0;
/// Fewer messages have no 99th percentile worth the name: it is told and not judged.
const FEWEST: usize = 100;
/// What nobody notices: below it the multiple says nothing.
const FLOOR_MS: f64 = 250.0;

pub async fn noisy(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let quiet_ones = house.cast(&[Via::Cloud, Via::Web, Via::Cloud], QUIET_ONES).await?;
    let all = [quiet_ones.clone(), house.cast_from(&[Via::Cloud], 100, 1000).await?].concat();
    let half = trial.messages / 2;
    // Whoever sends for the first time logs in first.
    let mut promises = house.send(&quiet_ones, QUIET_ONES, Duration::ZERO).await?;
    house.judge(&quiet_ones, &promises, PATIENCE).await?;
    let quiet = house.send_from(&quiet_ones, half, trial.lasts() / 2, 1).await?;
    house.judge(&quiet_ones, &quiet, PATIENCE).await?;

    // The conversations of the quiet ones go on where they were.
    let next = 1 + half.div_ceil(QUIET_ONES);
    let noise = house.hand_over_many(&all, QUIET_ONES, trial.messages * NOISE).await?;
    let second = house.send_from(&quiet_ones, half, trial.lasts() / 2, next).await?;
    let queue = house.api.get("/v1/queue", &[("tenantId", &all[QUIET_ONES].business.tenant)]).await?;
    let waiting: usize = queue["queued"].as_str().unwrap_or("0").parse()?;
    house.judge(&quiet_ones, &second, PATIENCE).await?;
    let (quiet_p99, noisy_p99) = (house.p99(&quiet_ones, &quiet).await?, house.p99(&quiet_ones, &second).await?);
    promises.extend(quiet.into_iter().chain(second).chain(noise));
    let findings = trial.judge(&all, &promises).await?;
    Ok(Outcome::new(findings, trial.messages * NOISE)
        .figure("quiet_p99_ms", quiet_p99.round())
        .figure("noisy_p99_ms", noisy_p99.round())
        .figure("noise_still_waiting", waiting)
        .expect(waiting > 0, "the noise was over before the others were")
        .expect(
            half < FEWEST || noisy_p99 <= FLOOR_MS.max(quiet_p99 * MOST),
            format!("the others' 99th percentile went from {quiet_p99:.0} to {noisy_p99:.0} ms"),
        ))
}
