//! Sessions that take turns in a few slots, again and again: does anything grow?

use super::figures::{Spread, median, tenth};
use super::house::{Ground, House};
use super::process;
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=2_000))]
    sessions: u32,
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(10..=1_000))]
    rotations: u32,
    /// Fewer than sessions, so that each login takes a slot from another
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(5..=1_000))]
    slots: u32,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

/// By how much memory may differ, in percent: allocators breathe.
const TOLERANCE: f64 = 5.0;
/// What is counted as growth is what is above this part of the rotations: caches fill before.
const WARMED_UP: f64 = 0.2;
const LIMIT: Duration = Duration::from_secs(120);

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let settings = [
        ("BARID_SESSION_POOL__POOL__SLOTS", options.slots.to_string()),
        ("BARID_SESSION_POOL__POOL__MIN_WARM", "100ms".to_owned()),
        ("BARID_SESSION_POOL__POOL__MIN_TURN", "1s".to_owned()),
        ("BARID_SESSION_POOL__POOL__LOGINS_PER_SECOND", "200".to_owned()),
        ("BARID_SESSION_POOL__TELEMETRY__LOG", "warn".to_owned()),
    ];
    let house = House::start(ground, options.keep, &settings).await?;
    let pool = house.process("session-pool")?;
    eprintln!("linking {} devices", options.sessions);
    let tenant = house.business("rotations", json!({})).await?;
    let devices = house.link((0..options.sessions).map(|_| tenant.clone())).await?;
    let (linked, _) = house.logins().await?;
    let (mut resident, mut times) = (Vec::new(), Vec::new());
    for rotation in 0..options.rotations {
        let start = Instant::now();
        let sent = stream::iter(&devices).map(async |device| {
            let customers = [format!("2011{:08}", rotation % 5)];
            let ids = house.send(device, &customers, "LANE_BATCH", &format!("rotation-{rotation}-{}", device.session)).await?;
            house.sent(device, ids.first().context("a message was accepted")?, LIMIT).await
        });
        sent.buffer_unordered(devices.len()).try_collect::<Vec<_>>().await?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        resident.push(process::resident(pool)? / 1024.0);
        if rotation % 10 == 9 {
            eprintln!("  {} rotations, {:.1} MiB", rotation + 1, resident[rotation as usize]);
        }
    }
    // Replicas tell their counts with the next heartbeat.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (logins, failed) = house.logins().await?;
    // Medians of as many rotations at both ends, since one reading is chance.
    let part = ((f64::from(options.rotations) * WARMED_UP) as usize).max(1);
    let (early, late) = (median(resident[part..2 * part].to_vec()), median(resident[resident.len() - part..].to_vec()));
    let growth = (late / early - 1.0) * 100.0;
    println!(
        "{}",
        json!({
            "bench": "rotations",
            "sessions": options.sessions,
            "slots": options.slots,
            "rotations": options.rotations,
            "logins": logins - linked,
            "failed_logins": failed,
            "rotation_ms": Spread::of(times),
            "early_mib": tenth(early),
            "late_mib": tenth(late),
            "growth_percent": tenth(growth),
        })
    );
    Ok(if growth <= TOLERANCE { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
