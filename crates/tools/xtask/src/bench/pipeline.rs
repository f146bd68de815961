//! Invoices of many businesses, one request each, through every service until the phones have them.

use super::figures::{Spread, median, tenth};
use super::house::{Ground, House};
use super::process;
use crate::demo::{Business, cast};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    invoices: u32,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    tenants: u32,
    /// Requests under way at once, each for runs of its own
    #[arg(long, value_delimiter = ',', default_value = "64,256")]
    in_flight: Vec<usize>,
    /// Of each; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

/// The processes whose time is told, by their names.
pub const PROCESSES: [&str; 10] =
    ["gateway", "queue", "template", "tenant", "session-pool", "analytics", "webhook", "simulator", "nats-server", "PostgreSQL"];
const BULK: usize = 10_000;
const LIMIT: Duration = Duration::from_secs(300);
/// How long requests come at half the rate.
const HALF_LOAD: Duration = Duration::from_secs(8);

/// For loads that nobody limits, and customers who read at once.
pub fn settings() -> [(&'static str, String); 7] {
    [
        ("BARID_GATEWAY__LIMITS__PER_MINUTE", "100000000".to_owned()),
        ("BARID_GATEWAY__LIMITS__BURST", "1000000".to_owned()),
        ("BARID_SIMULATOR__DELAYS__SENT", "0s".to_owned()),
        ("BARID_SIMULATOR__DELAYS__DELIVERED", "0s".to_owned()),
        ("BARID_GATEWAY__TELEMETRY__LOG", "warn".to_owned()),
        ("BARID_QUEUE__TELEMETRY__LOG", "warn".to_owned()),
        ("BARID_SESSION_POOL__TELEMETRY__LOG", "warn".to_owned()),
    ]
}

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let house = House::start(ground, options.keep, &settings()).await?;
    let businesses = house.stage.cast((0..options.tenants as usize).map(cast::extra).collect()).await?;
    let load = Load { house: &house, businesses: &businesses };
    eprintln!("warming up");
    load.run("warm", 2_000, 64).await?;
    let mut levels = Vec::new();
    let mut best = 0.0;
    for in_flight in &options.in_flight {
        let mut runs = Vec::new();
        for run in 0..options.runs {
            let measured = load.run(&format!("{in_flight}-{run}"), options.invoices as usize, *in_flight).await?;
            eprintln!("  {in_flight} in flight: {:.0} a second, accepted within {:?} ms", measured.per_second, measured.accept);
            runs.push(measured);
        }
        let per_second = median(runs.iter().map(|run| run.per_second).collect());
        best = f64::max(best, per_second);
        let of = |what: fn(&Run) -> f64| tenth(median(runs.iter().map(what).collect()));
        let processor: Vec<(&str, f64)> = PROCESSES
            .iter()
            .enumerate()
            .map(|(index, name)| (*name, tenth(median(runs.iter().map(|run| run.processor_us[index]).collect()))))
            .collect();
        levels.push(json!({
            "in_flight": in_flight,
            "runs": runs.iter().map(|run| run.per_second.round()).collect::<Vec<_>>(),
            "per_second": per_second.round(),
            "accepted_per_second": of(|run| run.accepted_per_second).round(),
            "accept_p50_ms": of(|run| run.accept.p50),
            "accept_p99_ms": of(|run| run.accept.p99),
            "processor_us_per_message": processor.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        }));
    }
    eprintln!("half the load");
    let half = load.at_rate("half", best / 2.0, HALF_LOAD).await?;
    eprintln!("bulk");
    let bulk = load.bulk(options.runs as usize).await?;
    println!(
        "{}",
        json!({
            "bench": "pipeline",
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "invoices": options.invoices,
            "tenants": options.tenants,
            "levels": levels,
            "half_load": {"per_second": (best / 2.0).round(), "accept_ms": half},
            "bulk": {"messages": BULK, "accept_ms": tenth(bulk)},
        })
    );
    Ok(ExitCode::SUCCESS)
}

/// Invoices of these businesses in turn.
pub struct Load<'a> {
    pub house: &'a House,
    pub businesses: &'a [Business],
}

/// One run.
pub struct Run {
    pub per_second: f64,
    pub accepted_per_second: f64,
    pub accept: Spread,
    /// Of each process, by `PROCESSES`.
    pub processor_us: [f64; PROCESSES.len()],
}

impl Load<'_> {
    /// Hands over invoices under keys that begin with `name`, and waits until the phones have them.
    pub async fn run(&self, name: &str, invoices: usize, in_flight: usize) -> Result<Run> {
        let (before, times) = (self.delivered().await?, self.processor()?);
        let start = Instant::now();
        let requests = stream::iter(0..invoices).map(|index| self.send(name, index)).buffer_unordered(in_flight);
        let accept: Vec<f64> = requests.try_collect().await?;
        let accepted = start.elapsed();
        self.until_delivered(before + invoices as u64).await.with_context(|| format!("not all of {name} are on the phones"))?;
        let took = start.elapsed();
        let mut processor_us = self.processor()?;
        for (after, before) in processor_us.iter_mut().zip(times) {
            *after = (*after - before) / invoices as f64;
        }
        let per_second = |took: Duration| invoices as f64 / took.as_secs_f64();
        Ok(Run { per_second: per_second(took), accepted_per_second: per_second(accepted), accept: Spread::of(accept), processor_us })
    }

    /// Requests that come at their time, whether or not those before are answered; how long acceptance took, from when each should have come.
    pub async fn at_rate(&self, name: &str, per_second: f64, length: Duration) -> Result<Spread> {
        let total = (per_second * length.as_secs_f64()) as usize;
        let start = tokio::time::Instant::now();
        let requests = (0..total).map(async |index| {
            let due = start + Duration::from_secs_f64(index as f64 / per_second);
            tokio::time::sleep_until(due).await;
            self.send(name, index).await?;
            anyhow::Ok(due.elapsed().as_secs_f64() * 1000.0)
        });
        Ok(Spread::of(futures::future::try_join_all(requests).await?))
    }

    /// Milliseconds until one call with many messages is answered, the median.
    async fn bulk(&self, runs: usize) -> Result<f64> {
        let mut times = Vec::new();
        for run in 0..runs {
            let business = &self.businesses[run % self.businesses.len()];
            let messages: Vec<Value> = (0..BULK).map(|index| invoice(business, index)).collect();
            let body = json!({"tenantId": business.tenant_id, "messages": messages});
            let start = Instant::now();
            let answer = self.house.api.send("/v1/messages:batchSend", &format!("bulk-{run}"), &body).await?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
            let accepted = answer["outcomes"].as_array().into_iter().flatten().filter(|outcome| outcome["accepted"].is_object()).count();
            ensure!(accepted == BULK, "{accepted} of {BULK} were accepted");
        }
        Ok(median(times))
    }

    /// Milliseconds until one invoice was accepted.
    async fn send(&self, run: &str, index: usize) -> Result<f64> {
        let business = &self.businesses[index % self.businesses.len()];
        let mut body = invoice(business, index);
        body["tenantId"] = json!(business.tenant_id);
        let start = Instant::now();
        self.house.api.send("/v1/messages:send", &format!("{run}-{index}"), &body).await?;
        Ok(start.elapsed().as_secs_f64() * 1000.0)
    }

    /// Waits until phones were given so many messages since the simulator started.
    pub async fn until_delivered(&self, count: u64) -> Result<()> {
        let start = Instant::now();
        loop {
            let delivered = self.delivered().await?;
            if delivered >= count {
                return Ok(());
            }
            ensure!(start.elapsed() < LIMIT, "{delivered} of {count} after {LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Messages that phones were given since the simulator started.
    pub async fn delivered(&self) -> Result<u64> {
        self.house.phones.stats().await?["delivered"].as_u64().context("the simulator counts what is delivered")
    }

    /// Microseconds of processor time of each process so far.
    fn processor(&self) -> Result<[f64; PROCESSES.len()]> {
        let mut times = [0.0; PROCESSES.len()];
        for (time, name) in times.iter_mut().zip(PROCESSES) {
            *time = process::processor(self.house.process(name)?)?.as_secs_f64() * 1_000_000.0;
        }
        Ok(times)
    }
}

fn invoice(business: &Business, index: usize) -> Value {
    let place = business.role.place;
    json!({
        "recipient": cast::customer(place, 2_000 + index % 50_000),
        "template": "invoice",
        "variables": cast::invoice(place, index),
        "mediaUrl": "https://storage.example.com/invoices/1.pdf",
    })
}
