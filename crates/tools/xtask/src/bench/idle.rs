//! A Barid at rest: what it costs to have one.

use super::figures::tenth;
use super::house::{Ground, House};
use super::process::{self, Memory, SERVICES};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Options {
    /// How long everything is left alone before, so that what is done once after a start is over
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    settle: u64,
    /// How long it is watched
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    watch: u64,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

const OTHERS: [&str; 4] = ["simulator", "PostgreSQL", "nats-server", "redis-server"];
/// What all services together may take: percent of a core, and MiB.
const MOST_PERCENT: f64 = 1.0;
const MOST_MEMORY: f64 = 250.0;

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let house = House::start(ground, options.keep, &[]).await?;
    let pids: Vec<u32> = SERVICES.iter().chain(&OTHERS).map(|name| house.process(name)).collect::<Result<_>>()?;
    eprintln!("settling for {} s, then watching for {} s", options.settle, options.watch);
    tokio::time::sleep(Duration::from_secs(options.settle)).await;
    let used = || pids.iter().map(|pid| process::processor(*pid)).collect::<Result<Vec<Duration>>>();
    let (before, begun) = (used()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(options.watch)).await;
    let (after, elapsed) = (used()?, begun.elapsed());
    let mut rests = Vec::new();
    for ((pid, before), after) in pids.iter().zip(before).zip(after) {
        let percent = after.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64() * 100.0;
        rests.push(Rest { percent, memory: process::memory(*pid)? });
    }
    let (services, others) = rests.split_at(SERVICES.len());
    let (services_together, others_together) = (Rest::sum(services), Rest::sum(others));
    let each = |names: &[&str], rests: &[Rest]| -> Map<String, Value> {
        names.iter().zip(rests).map(|(name, rest)| ((*name).to_owned(), rest.told())).collect()
    };
    println!(
        "{}",
        json!({
            "bench": "idle",
            "watched_seconds": tenth(elapsed.as_secs_f64()),
            "services": services_together.told(),
            "others": others_together.told(),
            "each_service": each(&SERVICES, services),
            "each_other": each(&OTHERS, others),
        })
    );
    let light = services_together.percent < MOST_PERCENT && services_together.memory.proportional / 1024.0 < MOST_MEMORY;
    Ok(if light { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What something takes while it rests.
#[derive(Clone, Copy, Default)]
struct Rest {
    /// Of a core.
    percent: f64,
    memory: Memory,
}

impl Rest {
    fn sum(rests: &[Self]) -> Self {
        rests.iter().fold(Self::default(), |sum, rest| Self { percent: sum.percent + rest.percent, memory: sum.memory + rest.memory })
    }

    fn told(self) -> Value {
        json!({
            "percent_of_a_core": (self.percent * 100.0).round() / 100.0,
            "pss_mib": tenth(self.memory.proportional / 1024.0),
            "rss_mib": tenth(self.memory.resident / 1024.0),
        })
    }
}
