//! What a warm linked device costs, and how fast cold ones send.

use super::figures::{Spread, tenth};
use super::house::{Device, Ground, House, between};
use super::process;
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Options {
    /// Devices that are linked and kept connected
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=10_000))]
    sessions: u32,
    /// How long they are watched while they are idle
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    watch: u64,
    /// How long messages are sent through all of them in turn
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    traffic: u64,
    /// Messages a second of this traffic
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

/// Devices whose first message is timed alone.
const ALONE: usize = 30;
/// Sessions of a tenant.
const EACH: usize = 10;
/// Longest wait for all connections, and for a message.
const LIMIT: Duration = Duration::from_secs(900);
/// After it a connection has collected what came with its login.
const SETTLED: Duration = Duration::from_secs(25);

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let count = options.sessions as usize;
    let settings = [
        ("BARID_SESSION_POOL__POOL__SLOTS", (count + count / 2).to_string()),
        ("BARID_SESSION_POOL__POOL__LINGER", "2h".to_owned()),
        ("BARID_SESSION_POOL__TELEMETRY__LOG", "warn".to_owned()),
    ];
    let house = House::start(ground, options.keep, &settings).await?;
    let pool = house.process("session-pool")?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let empty = process::resident(pool)?;
    eprintln!("linking {count} devices");
    let start = Instant::now();
    let mut tenants = Vec::new();
    for index in 0..count.div_ceil(EACH) {
        tenants.push(house.business(&index.to_string(), json!({})).await?);
    }
    let devices = house.link((0..count).map(|index| tenants[index / EACH].clone())).await?;
    let linking = start.elapsed();

    eprintln!("cold to first acknowledged send, one at a time");
    let mut alone = Vec::new();
    for device in devices.iter().take(ALONE) {
        let ids = house.send(device, &[customer(0)], "LANE_IMMEDIATE", &format!("first-{}", device.session)).await?;
        let message = house.sent(device, ids.first().context("a message was accepted")?, LIMIT).await?;
        alone.push(between(&message, "createTime", "sentTime").context("it has its times")?);
    }
    eprintln!("connecting all");
    let start = Instant::now();
    let first = stream::iter(&devices[ALONE..])
        .map(async |device| house.send(device, &[customer(1)], "LANE_BATCH", &format!("first-{}", device.session)).await.map(drop));
    first.buffered(32).try_collect::<Vec<()>>().await?;
    house.until_warm(count, LIMIT).await?;
    let connecting = start.elapsed();
    tokio::time::sleep(SETTLED).await;
    let warm = process::resident(pool)?;

    eprintln!("watching {count} idle connections for {} s", options.watch);
    let simulator = house.process("simulator")?;
    let shares = Shares::begin([pool, simulator])?;
    tokio::time::sleep(Duration::from_secs(options.watch)).await;
    let [idle, simulator_idle] = shares.end()?;

    eprintln!("{} messages a second for {} s", options.rate, options.traffic);
    let shares = Shares::begin([pool, simulator])?;
    let traffic = traffic(&house, &devices, &options).await?;
    let [busy, _] = shares.end()?;
    let after = process::resident(pool)?;

    eprintln!(
        "{} KiB each, {} % of a core idle, all connected in {:.1} s, cold to acknowledged {:?} ms, traffic {traffic}",
        ((warm - empty) / count as f64).round(),
        tenth(idle),
        connecting.as_secs_f64(),
        Spread::of(alone.clone()),
    );
    eprintln!("restarting the session-pool");
    let start = Instant::now();
    house.restart("session-pool")?;
    let down = start.elapsed();
    house.until_warm(count, LIMIT).await?;
    let restored = start.elapsed();
    let pool = house.process("session-pool")?;
    tokio::time::sleep(SETTLED).await;
    let again = process::resident(pool)?;

    let each = |resident: f64| ((resident - empty) / count as f64).round();
    println!(
        "{}",
        json!({
            "bench": "sessions",
            "sessions": count,
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "link_seconds": tenth(linking.as_secs_f64()),
            "links_per_second": tenth(count as f64 / linking.as_secs_f64()),
            "cold_to_first_ack_ms": Spread::of(alone),
            "connect_all_seconds": tenth(connecting.as_secs_f64()),
            "pool_empty_mib": tenth(empty / 1024.0),
            "pool_warm_mib": tenth(warm / 1024.0),
            "kib_per_warm_session": each(warm),
            "idle_percent_of_a_core": tenth(idle),
            "simulator_idle_percent_of_a_core": tenth(simulator_idle),
            "traffic": traffic,
            "traffic_percent_of_a_core": tenth(busy),
            "kib_per_session_after_traffic": each(after),
            "restart_seconds": tenth(down.as_secs_f64()),
            "all_restored_seconds": tenth(restored.as_secs_f64()),
            "kib_per_restored_session": each(again),
        })
    );
    let all = traffic["accepted"] == traffic["acknowledged"];
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends through all devices in turn at an even rate; how long acknowledgements took.
async fn traffic(house: &House, devices: &[Device], options: &Options) -> Result<Value> {
    let total = options.traffic * u64::from(options.rate);
    let ticks = tokio::time::interval(Duration::from_secs(1) / options.rate);
    let sends = stream::unfold(ticks, |mut ticks| async {
        ticks.tick().await;
        Some(((), ticks))
    });
    let sends = sends.zip(stream::iter(0..total)).map(|((), number)| number);
    let sent = sends.map(async |number| {
        // A stride that meets all devices, and not the same ones again at once.
        let device = &devices[(number as usize * 7919) % devices.len()];
        let ids = house.send(device, &[customer(number)], "LANE_BATCH", &format!("traffic-{number}")).await?;
        anyhow::Ok((device, ids.into_iter().next().context("a message was accepted")?))
    });
    let sent: Vec<(&Device, String)> = sent.buffered(64).try_collect().await?;
    let times = stream::iter(&sent).map(async |(device, id)| {
        let message = house.sent(device, id, Duration::from_secs(60)).await?;
        between(&message, "createTime", "sentTime").context("it has its times")
    });
    let times: Vec<f64> = times.buffered(16).try_collect().await?;
    let still = house.slots_used().await?;
    Ok(json!({"accepted": sent.len(), "acknowledged": times.len(), "accept_to_ack_ms": Spread::of(times), "still_connected": still}))
}

fn customer(number: u64) -> String {
    format!("2011{:08}", number % 50_000)
}

/// What part of a core processes take for a while.
struct Shares<const N: usize> {
    begun: Instant,
    processes: [u32; N],
    before: [Duration; N],
}

impl<const N: usize> Shares<N> {
    fn begin(processes: [u32; N]) -> Result<Self> {
        let mut before = [Duration::ZERO; N];
        for (before, pid) in before.iter_mut().zip(processes) {
            *before = process::processor(pid)?;
        }
        Ok(Self { begun: Instant::now(), processes, before })
    }

    /// In percent.
    fn end(self) -> Result<[f64; N]> {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let mut shares = [0.0; N];
        for (index, share) in shares.iter_mut().enumerate() {
            let used = process::processor(self.processes[index])?.saturating_sub(self.before[index]);
            *share = used.as_secs_f64() / elapsed * 100.0;
        }
        Ok(shares)
    }
}
