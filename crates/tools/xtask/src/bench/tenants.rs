//! The same load while few and many other tenants are there: does anybody pay for those who do nothing?

use super::figures::{median, tenth};
use super::house::{Ground, House};
use super::pipeline::{self, Load};
use crate::demo::cast;
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Options {
    /// How many tenants there are, each with a number on the Cloud API
    #[arg(long, value_delimiter = ',', default_value = "10,1000,10000", value_parser = clap::value_parser!(u32).range(10..=10_000))]
    tenants: Vec<u32>,
    /// Invoices of each run, of the first ten of them
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    invoices: u32,
    /// Of each; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

/// The tenants that send.
const BUSY: usize = 10;
const IN_FLIGHT: usize = 64;
/// After so long what came up with new tenants is over.
const SETTLED: Duration = Duration::from_secs(20);
/// By how much, in percent, the slowest may be slower than the fastest.
const TOLERANCE: f64 = 10.0;

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let house = House::start(ground, options.keep, &pipeline::settings()).await?;
    let (mut businesses, mut levels, mut rates, mut memories) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for tenants in &options.tenants {
        eprintln!("{tenants} tenants");
        let more = (businesses.len()..*tenants as usize).map(cast::extra).collect();
        businesses.extend(house.stage.cast(more).await?);
        let load = Load { house: &house, businesses: &businesses[..BUSY] };
        tokio::time::sleep(SETTLED).await;
        load.run(&format!("warm-{tenants}"), (options.invoices / 5) as usize, IN_FLIGHT).await?;
        let mut runs = Vec::new();
        for run in 0..options.runs {
            runs.push(load.run(&format!("{tenants}-{run}"), options.invoices as usize, IN_FLIGHT).await?);
        }
        let per_second = median(runs.iter().map(|run| run.per_second).collect());
        let processor = median(runs.iter().map(|run| run.processor_us.iter().sum()).collect());
        let memory = house.memory()?.proportional;
        rates.push(per_second);
        memories.push((businesses.len(), memory));
        levels.push(json!({
            "tenants": tenants,
            "per_second": per_second.round(),
            "runs": runs.iter().map(|run| run.per_second.round()).collect::<Vec<_>>(),
            "processor_us_per_message": tenth(processor),
            "services_pss_mib": tenth(memory / 1024.0),
        }));
    }
    let (slowest, fastest) = rates.iter().fold((f64::MAX, 0.0), |(least, most), rate| (f64::min(least, *rate), f64::max(most, *rate)));
    let apart = (1.0 - slowest / fastest) * 100.0;
    let each = match (memories.first(), memories.last()) {
        (Some((few, before)), Some((many, after))) if many > few => (after - before) / (many - few) as f64,
        _ => 0.0,
    };
    println!(
        "{}",
        json!({
            "bench": "tenants",
            "levels": levels,
            "percent_apart": tenth(apart),
            "kib_per_idle_tenant": tenth(each),
        })
    );
    Ok(if apart <= TOLERANCE { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
