//! One tenant that takes all it can, and the others.

use crate::chaos::cast::Via;
use crate::chaos::check::Promise;
use crate::chaos::house::PATIENCE;
use crate::chaos::trial::{Outcome, Trial};
use anyhow::Result;

/// Messages of the noisy tenant for each of the others'.
const NOISE: usize = 5;
/// What the others' 99th percentile may become, as a multiple of its quiet value.
const MOST: f64 = 2.0;
/// What nobody notices: below it the multiple says nothing.
const FLOOR_MS: f64 = 250.0;

pub async fn noisy(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let quiet_ones = house.cast(&[Via::Cloud, Via::Web, Via::Cloud], 30).await?;
    let noisy_ones = house.cast_from(&[Via::Cloud], 100, 1000).await?;
    let half = trial.messages / 2;
    let quiet = house.send(&quiet_ones, half, trial.lasts() / 2).await?;
    house.judge(&quiet_ones, &quiet, PATIENCE).await?;
    let quiet_p99 = house.p99(&quiet_ones, &quiet).await?;

    // The conversations of the quiet ones go on where they were.
    let (noise, second) = tokio::try_join!(
        house.hand_over_many(&noisy_ones, trial.messages * NOISE),
        house.send_from(&quiet_ones, half, trial.lasts() / 2, half.div_ceil(quiet_ones.len()))
    )?;
    let during = house.api.get("/v1/queue", &[("tenantId", &noisy_ones[0].business.tenant)]).await?;
    let waiting: usize = during["queued"].as_str().unwrap_or("0").parse()?;
    let noisy_p99 = {
        house.judge(&quiet_ones, &second, PATIENCE).await?;
        house.p99(&quiet_ones, &second).await?
    };
    let (offset, all) = (quiet_ones.len(), [quiet_ones, noisy_ones].concat());
    let noise = noise.into_iter().map(|promise| Promise { conversation: promise.conversation + offset, ..promise });
    let promises: Vec<Promise> = quiet.into_iter().chain(second).chain(noise).collect();
    let findings = trial.judge(&all, &promises).await?;
    Ok(Outcome::new(findings, trial.messages * NOISE)
        .figure("quiet_p99_ms", quiet_p99.round())
        .figure("noisy_p99_ms", noisy_p99.round())
        .figure("noise_still_waiting", waiting)
        .expect(waiting > 0, "the noise was over before the others were")
        .expect(
            noisy_p99 <= FLOOR_MS.max(quiet_p99 * MOST),
            format!("the others' 99th percentile went from {quiet_p99:.0} to {noisy_p99:.0} ms"),
        ))
}
