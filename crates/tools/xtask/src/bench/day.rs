//! Businesses with an invoice for each of their customers, in two peaks, through few slots.

use super::figures::{Spread, tenth};
use super::house::{Device, Ground, House, between, time};
use super::picture::{self, Point};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=2_000))]
    businesses: u32,
    /// Invoices of each business, half of them in each peak
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(20..=2_000))]
    invoices: u32,
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(5..=2_000))]
    slots: u32,
    /// Into how much time two hours are compressed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(10..=7_200))]
    peak: u32,
    /// Where the picture goes
    #[arg(long, default_value = "target/bench-day.svg")]
    picture: PathBuf,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

/// How long a peak may take until its last invoice is delivered.
const LIMIT: Duration = Duration::from_secs(900);
/// How long a business may wait for its turn: the setting's default, which the bench does not change.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// Calls in which a business hands over the invoices of a peak, one a second.
const CALLS: usize = 5;
/// From so many waiting on the volume of a session is high: fewer than the invoices of a peak.
const HIGH_VOLUME: u32 = 40;

/// What makes a business more or less urgent than others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Immediate,
    Peak,
    HighVolume,
    Ordinary,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Immediate, Self::Peak, Self::HighVolume, Self::Ordinary];

    /// One in ten sends what is immediate, three are in their peak window, two hand over all at once, and four are like any.
    fn of(business: usize) -> Self {
        match business % 10 {
            0 => Self::Immediate,
            1..=3 => Self::Peak,
            4 | 5 => Self::HighVolume,
            _ => Self::Ordinary,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Peak => "peak",
            Self::HighVolume => "high_volume",
            Self::Ordinary => "ordinary",
        }
    }

    fn lane(self) -> &'static str {
        if self == Self::Immediate { "LANE_IMMEDIATE" } else { "LANE_BATCH" }
    }

    fn calls(self) -> usize {
        if self == Self::HighVolume { 1 } else { CALLS }
    }
}

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let (businesses, half) = (options.businesses as usize, (options.invoices / 2) as usize);
    let settings = [
        ("BARID_SESSION_POOL__POOL__SLOTS", options.slots.to_string()),
        ("BARID_SESSION_POOL__POOL__HIGH_VOLUME", HIGH_VOLUME.to_string()),
        // A compressed day: what takes two hours here takes a minute.
        ("BARID_SESSION_POOL__POOL__MIN_WARM", "500ms".to_owned()),
        ("BARID_SESSION_POOL__POOL__MIN_TURN", "2s".to_owned()),
        ("BARID_SESSION_POOL__TELEMETRY__LOG", "warn".to_owned()),
    ];
    let house = House::start(ground, options.keep, &settings).await?;
    eprintln!("linking {businesses} businesses");
    let mut tenants = Vec::new();
    for business in 0..businesses {
        let window = json!({"peakWindows": [{"start": "00:00", "end": "23:59"}]});
        let more = if Kind::of(business) == Kind::Peak { window } else { json!({}) };
        tenants.push(house.business(&business.to_string(), more).await?);
    }
    let devices = house.link(tenants).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (logins, _) = house.logins().await?;
    let (mut points, mut seconds) = (Vec::new(), Vec::new());
    for (index, peak) in ["morning", "evening"].into_iter().enumerate() {
        eprintln!("{peak}: {} invoices of {businesses} businesses", half * businesses);
        let start = Instant::now();
        let sent = hand_over(&house, &devices, half, peak, Duration::from_secs(options.peak.into())).await?;
        let mut waited = Vec::new();
        for (business, (device, ids)) in devices.iter().zip(&sent).enumerate() {
            for message in delivered(&house, device, ids, start).await? {
                let wait = between(&message, "dueTime", "sentTime").context("what is delivered was sent")? / 1000.0;
                waited.push((time(&message, "dueTime").context("it was due")?, wait, Kind::of(business) as usize));
            }
        }
        let first = waited.iter().map(|(due, ..)| *due).min().unwrap_or_default();
        // The second peak is drawn beside the first, with a gap.
        let offset = index as f64 * f64::from(options.peak) * 1.25;
        points.extend(waited.into_iter().map(|(due, wait, kind)| Point { at: (due - first).as_seconds_f64() + offset, wait, kind }));
        seconds.push(tenth(start.elapsed().as_secs_f64()));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (after, failed) = house.logins().await?;
    let (mut lost, mut duplicates) = (0, 0);
    for (index, device) in devices.iter().enumerate() {
        let shown = stream::iter(0..half).map(async |number| house.phones.wire_ids(&customer(index, number), &device.number).await);
        let shown: Vec<Vec<String>> = shown.buffered(16).try_collect().await?;
        let mut times: HashMap<String, usize> = HashMap::new();
        shown.into_iter().flatten().for_each(|id| *times.entry(id).or_default() += 1);
        lost += (2 * half).saturating_sub(times.len());
        duplicates += times.values().map(|times| times - 1).sum::<usize>();
    }
    // Whoever knows the future logs each business in once in a peak; only those that keep their slot from one to the other save that.
    let optimum = 2 * businesses as u64;
    let ratio = (after - logins) as f64 / optimum as f64;
    let longest = points.iter().map(|point| point.wait).fold(0.0, f64::max);
    let spread =
        |kind: Kind| Spread::of(points.iter().filter(|point| point.kind == kind as usize).map(|point| point.wait * 1000.0).collect());
    let classes: Map<String, Value> =
        Kind::ALL.into_iter().map(|kind| Ok((kind.name().to_owned(), serde_json::to_value(spread(kind))?))).collect::<Result<_>>()?;
    let figures = json!({
        "bench": "day",
        "businesses": businesses,
        "invoices": 2 * half * businesses,
        "slots": options.slots,
        "peak_seconds": options.peak,
        "delivered_after_seconds": seconds,
        "lost": lost,
        "duplicates": duplicates,
        "logins": after - logins,
        "failed_logins": failed,
        "logins_per_optimum": (ratio * 100.0).round() / 100.0,
        "longest_wait_seconds": tenth(longest),
        "wait_ms": classes,
    });
    let title = format!("{} invoices of {businesses} businesses in {} slots", points.len(), options.slots);
    let names: Vec<(&str, Value)> = Kind::ALL.iter().map(|kind| (kind.name(), classes[kind.name()].clone())).collect();
    let drawn = ground.root.join(&options.picture);
    std::fs::write(&drawn, picture::draw(&title, &names, &points, MAX_WAIT)).with_context(|| format!("writing {}", drawn.display()))?;
    eprintln!("drawn in {}", drawn.display());
    println!("{figures}");
    let right = lost == 0 && duplicates == 0 && ratio <= 2.0 && longest <= MAX_WAIT.as_secs_f64();
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Each business hands over its invoices at its own moment of the peak; their ids, by business.
async fn hand_over(house: &House, devices: &[Device], half: usize, peak: &str, length: Duration) -> Result<Vec<Vec<String>>> {
    let start = tokio::time::Instant::now();
    let businesses = devices.iter().enumerate().map(async |(index, device)| {
        let kind = Kind::of(index);
        let calls = kind.calls();
        // Spread evenly, in an order that is not that of the kinds.
        let moment = length.mul_f64((index * 7919 % devices.len()) as f64 / devices.len() as f64);
        let mut ids = Vec::with_capacity(half);
        for call in 0..calls {
            tokio::time::sleep_until(start + moment + Duration::from_secs(call as u64)).await;
            let customers: Vec<String> = (0..half).filter(|number| number % calls == call).map(|number| customer(index, number)).collect();
            ids.extend(house.send(device, &customers, kind.lane(), &format!("{peak}-{call}-{}", device.session)).await?);
        }
        anyhow::Ok(ids)
    });
    futures::future::try_join_all(businesses).await
}

/// Messages of a business, once all of them are delivered.
async fn delivered(house: &House, device: &Device, ids: &[String], start: Instant) -> Result<Vec<Value>> {
    loop {
        let mut messages = house.messages(&device.tenant).await?;
        let done = |id: &String| messages.get(id).is_some_and(|message| message["deliveredTime"].is_string());
        if ids.iter().all(done) {
            return Ok(ids.iter().filter_map(|id| messages.remove(id)).collect());
        }
        ensure!(start.elapsed() < LIMIT, "not all of {} are delivered after {LIMIT:?}", device.session);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A customer of a business; each belongs to one.
fn customer(business: usize, number: usize) -> String {
    format!("2015{:08}", business * 1000 + number)
}
