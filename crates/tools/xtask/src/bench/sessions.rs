//! What a warm linked device costs, and how fast cold ones send.

use super::figures::Spread;
use super::house::{Device, House, between};
use super::process;
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Options {
    /// Devices that are linked and kept connected
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    sessions: u32,
    /// How long they are watched while they are idle
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    watch: u64,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

/// Devices whose first message is timed alone.
const ALONE: usize = 20;

pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    let count = options.sessions as usize;
    let settings = [
        ("BARID_SESSION_POOL__POOL__SLOTS", (count + count / 2).to_string()),
        ("BARID_SESSION_POOL__POOL__LINGER", "2h".to_owned()),
        ("BARID_SESSION_POOL__TELEMETRY__LOG", "warn".to_owned()),
    ];
    let house = House::start(root, &settings).await?;
    let pool = house.process("session-pool")?;
    let empty = process::resident(pool)?;
    eprintln!("linking {count} devices");
    let start = Instant::now();
    let devices = house.link(count, 10).await?;
    let linking = start.elapsed();

    eprintln!("cold to first acknowledged send, one at a time");
    let mut alone = Vec::new();
    for device in devices.iter().take(ALONE) {
        alone.push(first_send(&house, device).await?);
    }
    eprintln!("connecting all");
    let start = Instant::now();
    let sent = stream::iter(&devices[ALONE.min(count)..])
        .map(async |device| house.send(device, &["201110000001".to_owned()], &format!("bench-{}", device.session)).await);
    sent.buffered(32).try_collect::<Vec<_>>().await?;
    house.until_warm(count, Duration::from_secs(600)).await?;
    let connecting = start.elapsed();
    tokio::time::sleep(Duration::from_secs(25)).await;
    let warm = process::resident(pool)?;
    eprintln!("watching {count} idle connections for {} s", options.watch);
    let (before, simulated) = (process::processor(pool)?, house.process("simulator")?);
    let simulator_before = process::processor(simulated)?;
    tokio::time::sleep(Duration::from_secs(options.watch)).await;
    let share = |from: Duration, to: Duration| (to - from).as_secs_f64() / options.watch.max(1) as f64 * 100.0;
    let idle = share(before, process::processor(pool)?);
    let simulator_idle = share(simulator_before, process::processor(simulated)?);

    eprintln!("restarting the session-pool");
    let start = Instant::now();
    house.restart("session-pool")?;
    let down = start.elapsed();
    house.until_warm(count, Duration::from_secs(600)).await?;
    let restored = start.elapsed();
    let pool = house.process("session-pool")?;
    tokio::time::sleep(Duration::from_secs(25)).await;
    let again = process::resident(pool)?;

    let figures = json!({
        "bench": "sessions",
        "sessions": count,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "link_seconds": tenths(linking),
        "links_per_second": (count as f64 / linking.as_secs_f64() * 10.0).round() / 10.0,
        "cold_to_first_ack_ms": Spread::of(alone),
        "connect_all_seconds": tenths(connecting),
        "pool_empty_mib": mib(empty),
        "pool_warm_mib": mib(warm),
        "kib_per_warm_session": ((warm - empty) / count as f64).round(),
        "idle_percent_of_a_core": (idle * 10.0).round() / 10.0,
        "simulator_idle_percent_of_a_core": (simulator_idle * 10.0).round() / 10.0,
        "restart_seconds": tenths(down),
        "all_restored_seconds": tenths(restored),
        "kib_per_restored_session": ((again - empty) / count as f64).round(),
    });
    println!("{figures}");
    if !options.keep {
        house.stop()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Milliseconds from the acceptance of a cold session's message to WhatsApp's acknowledgement, by the ledger's times.
async fn first_send(house: &House, device: &Device) -> Result<f64> {
    let ids = house.send(device, &["201110000001".to_owned()], &format!("bench-{}", device.session)).await?;
    let id = ids.first().context("a message was accepted")?;
    let path = format!("/v1/messages/{id}");
    let start = Instant::now();
    loop {
        let message = house.api.get(&path, &[("tenantId", &device.tenant)]).await?;
        if let Some(took) = between(&message, "createTime", "sentTime") {
            return Ok(took);
        }
        anyhow::ensure!(start.elapsed() < Duration::from_secs(60), "{id} is {} {}", message["state"], message["reason"]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

fn mib(kib: f64) -> f64 {
    (kib / 102.4).round() / 10.0
}
