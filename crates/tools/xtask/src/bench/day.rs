//! Businesses with an invoice for each of their customers, in two peaks, through few slots.

use super::figures::Spread;
use super::house::{House, between};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    businesses: u32,
    /// Invoices of each business, half of them in each peak
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=2_000))]
    invoices: u32,
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(5..=2_000))]
    slots: u32,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

/// How long a peak may take.
const LIMIT: Duration = Duration::from_secs(900);

pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    let (businesses, half) = (options.businesses as usize, (options.invoices / 2) as usize);
    let settings = [
        ("BARID_SESSION_POOL__POOL__SLOTS", options.slots.to_string()),
        // A compressed day: what takes two hours here takes minutes.
        ("BARID_SESSION_POOL__POOL__MIN_WARM", "500ms".to_owned()),
        ("BARID_SESSION_POOL__POOL__MIN_TURN", "2s".to_owned()),
        ("BARID_SESSION_POOL__TELEMETRY__LOG", "warn".to_owned()),
    ];
    let house = House::start(root, &settings).await?;
    eprintln!("linking {businesses} businesses");
    let devices = house.link(businesses, 1).await?;
    let (logins, _) = house.logins().await?;
    let mut waits = Vec::new();
    let (mut turns, mut seconds) = (Vec::new(), Vec::new());
    let (mut lost, mut duplicates) = (0, 0);
    for peak in ["morning", "evening"] {
        eprintln!("{peak}: {} invoices of {businesses} businesses", half * businesses);
        let start = Instant::now();
        let sent = stream::iter(devices.iter().enumerate()).map(async |(index, device)| {
            let customers: Vec<String> = (0..half).map(|number| customer(index, number)).collect();
            house.send(device, &customers, &format!("day-{peak}-{}", device.session)).await
        });
        let sent: Vec<Vec<String>> = sent.buffered(16).try_collect().await?;
        for (device, ids) in devices.iter().zip(&sent) {
            let messages = loop {
                let messages = house.messages(&device.tenant).await?;
                let done = |id: &String| messages.get(id).is_some_and(|message| message["deliveredTime"].is_string());
                if ids.iter().all(done) {
                    break messages;
                }
                ensure!(start.elapsed() < LIMIT, "not all of {} are delivered after {LIMIT:?}", device.session);
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            let mut first = f64::MAX;
            for id in ids {
                let wait = between(&messages[id], "dueTime", "sentTime").context("what is delivered was sent")?;
                waits.push(wait);
                first = first.min(wait);
            }
            turns.push(first);
        }
        seconds.push((start.elapsed().as_secs_f64() * 10.0).round() / 10.0);
    }
    let (after, failed) = house.logins().await?;
    for (index, device) in devices.iter().enumerate() {
        let shown = stream::iter(0..half).map(async |number| house.phones.wire_ids(&customer(index, number), &device.number).await);
        let shown: Vec<Vec<String>> = shown.buffered(16).try_collect().await?;
        let mut times: HashMap<String, usize> = HashMap::new();
        shown.into_iter().flatten().for_each(|id| *times.entry(id).or_default() += 1);
        lost += (2 * half).saturating_sub(times.len());
        duplicates += times.values().map(|times| times - 1).sum::<usize>();
    }
    let optimum = 2 * businesses as u64;
    let figures = json!({
        "bench": "day",
        "businesses": businesses,
        "invoices": 2 * half * businesses,
        "slots": options.slots,
        "peak_seconds": seconds,
        "lost": lost,
        "duplicates": duplicates,
        "logins": after - logins,
        "failed_logins": failed,
        "logins_per_optimum": ((after - logins) as f64 / optimum as f64 * 100.0).round() / 100.0,
        "turn_wait_ms": Spread::of(turns),
        "message_wait_ms": Spread::of(waits),
    });
    println!("{figures}");
    if !options.keep {
        house.stop()?;
    }
    Ok(if lost == 0 && duplicates == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A customer of a business; each belongs to one.
fn customer(business: usize, number: usize) -> String {
    format!("2015{:02}{:06}", business % 100, business / 100 * 1000 + number)
}
