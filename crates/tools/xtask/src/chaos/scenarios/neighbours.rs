//! One tenant that takes all it can, and the others.

use crate::chaos::cast::Via;
use crate::chaos::check::{Phone, so_far};
use crate::chaos::house::PATIENCE;
use crate::chaos::trial::{Outcome, Trial, patience_for};
use anyhow::Result;
use barid_domain::TenantId;
use std::time::Duration;

/// Customers of the others, and of the noisy tenant.
const QUIET_ONES: usize = 30;
const NOISY_ONES: usize = 100;
/// Messages of the others in each of the two runs: one for so many of the noisy tenant's, within these bounds.
const SHARE: usize = 10;
const FEWEST: usize = 45;
const MOST: usize = 1_000;
/// How fast they come, a second.
const PACE: f64 = 30.0;
/// What the others' 99th percentile may become, as a multiple of its quiet value.
const MULTIPLE: f64 = 2.0;
/// Fewer messages have no 99th percentile worth the name: it is told and not judged.
const TELLING: usize = 100;
/// What nobody notices: below it the multiple says nothing.
const FLOOR_MS: f64 = 250.0;
/// Up to so many messages of the noisy tenant are waited for and judged like any. Of more, what the phones show by then is looked at.
const DRAINED: usize = 20_000;

pub async fn noisy(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let quiet_ones = house.cast(&[Via::Cloud, Via::Web, Via::Cloud], QUIET_ONES).await?;
    let noisy_ones = house.cast_from(&[Via::Cloud], NOISY_ONES, 1000).await?;
    let all = [quiet_ones.clone(), noisy_ones].concat();
    let count = (trial.messages / SHARE).clamp(FEWEST, MOST);
    let (lasts, patience) = (Duration::from_secs_f64(count as f64 / PACE), patience_for(count));
    // Whoever sends for the first time logs in first.
    let mut promises = house.send(&quiet_ones, QUIET_ONES, Duration::ZERO).await?;
    house.judge(&quiet_ones, &promises, PATIENCE).await?;
    let quiet = house.send_from(&quiet_ones, count, lasts, 1).await?;
    house.judge(&quiet_ones, &quiet, patience).await?;

    let noise = house.hand_over_many(&all, QUIET_ONES, trial.messages).await?;
    (trial.say)(format!("queued    {} messages of the noisy tenant", noise.len()));
    // The conversations of the quiet ones go on where they were.
    let second = house.send_from(&quiet_ones, count, lasts, 1 + count.div_ceil(QUIET_ONES)).await?;
    let queue = house.api.get("/v1/queue", &[("tenantId", &all[QUIET_ONES].business.tenant)]).await?;
    let waiting: usize = queue["queued"].as_str().unwrap_or("0").parse()?;
    house.judge(&quiet_ones, &second, patience).await?;
    let (quiet_p99, noisy_p99) = (house.p99(&quiet_ones, &quiet).await?, house.p99(&quiet_ones, &second).await?);
    promises.extend(quiet.into_iter().chain(second));
    let findings = if noise.len() <= DRAINED {
        promises.extend(noise);
        trial.judge(&all, &promises).await?
    } else {
        // Conversations are counted through, and of the quiet ones nothing is asked here.
        let phones = [vec![Phone::default(); QUIET_ONES], house.phones(&all[QUIET_ONES..]).await?].concat();
        house.judge(&quiet_ones, &promises, patience).await?.and(so_far(&noise, &phones))
    };
    let tenant: TenantId = all[QUIET_ONES].business.tenant.parse()?;
    let kept: usize = house.ask(&format!("SELECT count(*) FROM queue.messages WHERE tenant_id = '{}'", tenant.uuid())).await?.parse()?;
    Ok(Outcome::new(findings, trial.messages)
        .figure("quiet_p99_ms", quiet_p99.round())
        .figure("noisy_p99_ms", noisy_p99.round())
        .figure("noise_still_waiting", waiting)
        .expect(kept == trial.messages, format!("the ledger has {kept} messages of the noisy tenant"))
        .expect(waiting > 0, "the noise was over before the others were")
        .expect(
            count < TELLING || noisy_p99 <= FLOOR_MS.max(quiet_p99 * MULTIPLE),
            format!("the others' 99th percentile went from {quiet_p99:.0} to {noisy_p99:.0} ms"),
        ))
}
