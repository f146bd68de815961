//! Many subscribers to events while messages pass: everybody must hear everything, once and in its turn.

use super::figures::tenth;
use super::house::{Ground, House};
use super::pipeline::{self, Load};
use crate::chaos::differ;
use crate::demo::cast;
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    subscribers: u32,
    /// Among whom subscribers and messages are divided; each subscriber follows one
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    tenants: u32,
    /// Messages a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

/// Connections begun at once.
const AT_ONCE: usize = 32;
/// How long the last events may take after the last message was delivered.
const LIMIT: Duration = Duration::from_secs(120);

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let mut settings = pipeline::settings().to_vec();
    settings.push(("BARID_GATEWAY__LIMITS__WAITING", options.subscribers.to_string()));
    let house = House::start(ground, options.keep, &settings).await?;
    let businesses = house.stage.cast((0..options.tenants as usize).map(cast::extra).collect()).await?;
    let load = Load { house: &house, businesses: &businesses };
    // Everybody has an event to begin after.
    load.run("first", businesses.len(), AT_ONCE).await?;
    eprintln!("{} subscribers", options.subscribers);
    let firsts = stream::iter(&businesses)
        .map(async |business| settled_events(&house, &business.tenant_id, "").await?.pop().context("a message has events"));
    let firsts: Vec<String> = firsts.buffered(AT_ONCE).try_collect().await?;
    let http = reqwest::Client::new();
    let connections = stream::iter(0..options.subscribers as usize).map(async |index| {
        let place = index % businesses.len();
        let connection = house.subscribe(&http, &businesses[place].tenant_id, &firsts[place]).await?;
        anyhow::Ok((place, connection))
    });
    let connections: Vec<(usize, reqwest::Response)> = connections.buffered(AT_ONCE).try_collect().await?;
    let subscribers: Vec<Subscriber> = connections.into_iter().map(|(place, connection)| Subscriber::new(place, connection)).collect();

    eprintln!("{} messages a second for {} s", options.rate, options.seconds);
    let (before, begun) = (load.delivered().await?, Instant::now());
    let accept = load.at_rate("event", f64::from(options.rate), Duration::from_secs(options.seconds.into())).await?;
    let handed_over = begun.elapsed();
    let messages = options.rate as usize * options.seconds as usize;
    load.until_delivered(before + messages as u64).await?;
    let (mut told, mut missed, mut misplaced) = (0, 0, 0);
    let listed = stream::iter(businesses.iter().zip(&firsts)).map(|(business, first)| settled_events(&house, &business.tenant_id, first));
    let listed: Vec<Vec<String>> = listed.buffered(AT_ONCE).try_collect().await?;
    for (place, listed) in listed.iter().enumerate() {
        for subscriber in subscribers.iter().filter(|subscriber| subscriber.place == place) {
            told += listed.len();
            let heard = subscriber.until(listed.len()).await;
            let (missing, wrong) = differ(listed, &heard);
            missed += missing;
            misplaced += wrong;
        }
    }
    let all_heard = begun.elapsed();
    let cut_off = subscribers.iter().filter(|subscriber| subscriber.listening.is_finished()).count();
    println!(
        "{}",
        json!({
            "bench": "events",
            "subscribers": options.subscribers,
            "tenants": options.tenants,
            "messages": messages,
            "offered_per_second": options.rate,
            "accepted_per_second": (messages as f64 / handed_over.as_secs_f64()).round(),
            "accept_ms": accept,
            "events_told": told,
            "told_per_second": (told as f64 / all_heard.as_secs_f64()).round(),
            "all_heard_seconds": tenth(all_heard.as_secs_f64()),
            "missed": missed,
            "misplaced": misplaced,
            "cut_off": cut_off,
        })
    );
    Ok(if missed + misplaced + cut_off == 0 && told > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The events of a tenant after one of them, once no more come.
async fn settled_events(house: &House, tenant: &str, after: &str) -> Result<Vec<String>> {
    let begun = Instant::now();
    let mut ids = house.events(tenant, after).await?;
    loop {
        tokio::time::sleep(STILL).await;
        let now = house.events(tenant, after).await?;
        if now.len() == ids.len() || begun.elapsed() > LIMIT {
            return Ok(now);
        }
        ids = now;
    }
}

/// How long nothing may come for everything to have come.
const STILL: Duration = Duration::from_millis(500);

/// Who follows the events of a tenant, and the ids of what came.
struct Subscriber {
    place: usize,
    heard: Arc<Mutex<Vec<String>>>,
    listening: JoinHandle<()>,
}

impl Subscriber {
    fn new(place: usize, connection: reqwest::Response) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listening = tokio::spawn(listen(connection, Arc::clone(&heard)));
        Self { place, heard, listening }
    }

    /// What was heard, once it is as much as this or nothing more comes.
    async fn until(&self, count: usize) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if heard.len() >= count || self.listening.is_finished() || begun.elapsed() > LIMIT {
                return heard;
            }
            tokio::time::sleep(STILL).await;
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(mut connection: reqwest::Response, heard: Arc<Mutex<Vec<String>>>) {
    let mut unread = Vec::new();
    while let Ok(Some(part)) = connection.chunk().await {
        unread.extend_from_slice(&part);
        while let Some(end) = unread.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = unread.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            if let Some(id) = event.lines().find_map(|line| line.strip_prefix("id:")) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(id.trim().to_owned());
            }
        }
    }
}
