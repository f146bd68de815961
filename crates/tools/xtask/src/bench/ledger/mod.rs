//! What a message reads of the ledger's tables while they are new and when they have grown.

mod fill;
mod tables;

use super::figures::tenth;
use super::house::{Ground, House};
use super::pipeline::{self, Load};
use crate::demo::{Business, cast};
use crate::up::DATABASE;
use anyhow::{Context, Result};
use barid_domain::{EventId, TenantId};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tables::{Read, Use, troubles};

#[derive(clap::Args)]
pub struct Options {
    /// Rows that the tables grow to
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(20_000..=100_000_000))]
    rows: u32,
    /// Messages that are sent for each measurement
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    messages: u32,
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    tenants: u32,
    /// Over how many past days the rows are spread
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    /// Have PostgreSQL log the plan of every query of the last measurement, to see which one it is
    #[arg(long)]
    explain: bool,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

const IN_FLIGHT: usize = 64;
/// Each kind of question that callers ask most, for a measurement.
const QUESTIONS: usize = 50;
/// How long an idle connection of PostgreSQL keeps to itself what it counted, and a little more.
const COUNTED: Duration = Duration::from_secs(12);

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let house = House::start(ground, options.keep, &pipeline::settings()).await?;
    fill::partition(&house, options.days).await?;
    let businesses = house.stage.cast((0..options.tenants as usize).map(cast::extra).collect()).await?;
    let load = Load { house: &house, businesses: &businesses };
    eprintln!("warming up");
    load.run("shapes", options.messages as usize, IN_FLIGHT).await?;
    house.ask(&["ANALYZE"]).await?;
    let new = Measured::take("new", &load, options.messages as usize).await?;

    eprintln!("filling the tables with {} rows each", options.rows);
    let begun = Instant::now();
    fill::fill(&house, options.rows, options.days).await?;
    let filled = begun.elapsed();
    eprintln!("filled in {:.0} s", filled.as_secs_f64());
    load.run("again", options.messages as usize, IN_FLIGHT).await?;
    if options.explain {
        explain(&house).await?;
    }
    let grown = Measured::take("grown", &load, options.messages as usize).await?;

    let troubles = [("a message", &new.sending, &grown.sending), ("a question", &new.asking, &grown.asking)]
        .into_iter()
        .flat_map(|(what, new, grown)| troubles(what, new, grown))
        .collect::<Vec<_>>();
    println!(
        "{}",
        json!({
            "bench": "ledger",
            "rows": options.rows,
            "days": options.days,
            "messages": options.messages,
            "fill_seconds": tenth(filled.as_secs_f64()),
            "message": beside(&new.sending, &grown.sending),
            "question": beside(&new.asking, &grown.asking),
            "at_rest_blocks_per_second": {"new": tenth(new.at_rest), "grown": tenth(grown.at_rest)},
            "per_second": {"new": new.per_second.round(), "grown": grown.per_second.round()},
            "troubles": troubles,
        })
    );
    Ok(if troubles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was read of each table.
struct Measured {
    /// For a message from its acceptance until it was delivered.
    sending: BTreeMap<String, Read>,
    /// For a question of a caller.
    asking: BTreeMap<String, Read>,
    /// Blocks a second, by jobs alone.
    at_rest: f64,
    per_second: f64,
}

impl Measured {
    async fn take(name: &str, load: &Load<'_>, messages: usize) -> Result<Self> {
        let house = load.house;
        let known = newest_events(house).await?;
        let before = counted(house).await?;
        let begun = Instant::now();
        let run = load.run(name, messages, IN_FLIGHT).await?;
        let after = counted(house).await?;
        let sending = Use::between(&before, &after, messages, begun.elapsed());
        let (begun, asked) = (Instant::now(), ask(house, load.businesses, &known).await?);
        let later = counted(house).await?;
        let asking = Use::between(&after, &later, asked, begun.elapsed());
        let begun = Instant::now();
        let last = counted(house).await?;
        let rest = Use::between(&later, &last, 1, begun.elapsed());
        Ok(Self {
            sending: sending.reads(&rest),
            asking: asking.reads(&rest),
            at_rest: rest.blocks_per_second(),
            per_second: run.per_second,
        })
    }
}

/// Logs plans from now on, with what each step looked at. Connections that are there know nothing of it and are ended.
async fn explain(house: &House) -> Result<()> {
    let settings =
        [("session_preload_libraries", "auto_explain"), ("auto_explain.log_min_duration", "0"), ("auto_explain.log_analyze", "on")]
            .into_iter()
            .chain([("auto_explain.log_timing", "off"), ("auto_explain.log_buffers", "on")])
            .map(|(name, value)| format!("ALTER DATABASE {DATABASE} SET {name} = '{value}'"));
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename LIKE 'barid\\_%'".to_owned();
    let statements: Vec<String> = settings.chain([end, "SHOW data_directory".to_owned()]).collect();
    let answer = house.ask(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let data = answer.lines().last().context("PostgreSQL has a folder")?;
    eprintln!("plans go to {}", Path::new(data).with_file_name("postgres.log").display());
    Ok(())
}

/// What every table counted, once all connections have told it.
async fn counted(house: &House) -> Result<tables::Counts> {
    tokio::time::sleep(COUNTED).await;
    tables::read(&house.ask(&[tables::QUERY]).await?)
}

/// The newest event of each tenant: who follows events asks for what came since the last one.
async fn newest_events(house: &House) -> Result<BTreeMap<String, String>> {
    let newest = "SELECT DISTINCT ON (tenant_id) tenant_id, id FROM queue.message_events
        WHERE generation > 0 AND id >= queue.first_id(now() - interval '1 hour') ORDER BY tenant_id, generation DESC, xid DESC, seq DESC";
    let line = |line: &str| -> Result<(String, String)> {
        let (tenant, event) = line.split_once('|').context("a tenant and an event")?;
        Ok((TenantId::from_uuid(tenant.parse()?).to_string(), EventId::from_uuid(event.parse()?).to_string()))
    };
    house.ask(&[newest]).await?.lines().map(line).collect()
}

/// Asks what callers ask most; how many questions that were.
async fn ask(house: &House, businesses: &[Business], known: &BTreeMap<String, String>) -> Result<usize> {
    let questions = stream::iter(0..QUESTIONS).map(async |index| {
        let tenant = businesses[index % businesses.len()].tenant_id.as_str();
        let after = known.get(tenant).context("a tenant has events")?;
        let page = house.api.get("/v1/messages", &[("tenantId", tenant), ("pageSize", "5")]).await?;
        let message = page["messages"][0]["id"].as_str().context("a tenant has messages")?.to_owned();
        house.api.get(&format!("/v1/messages/{message}"), &[("tenantId", tenant)]).await?;
        house.api.get("/v1/events", &[("tenantId", tenant), ("pageSize", "20"), ("after", after)]).await?;
        house.api.get("/v1/queue", &[("tenantId", tenant)]).await?;
        anyhow::Ok(4)
    });
    questions.buffer_unordered(8).try_fold(0, async |sum, asked| Ok(sum + asked)).await
}

fn beside(new: &BTreeMap<String, Read>, grown: &BTreeMap<String, Read>) -> Value {
    let sum = |reads: &BTreeMap<String, Read>| reads.values().fold(Read::default(), |sum, read| sum + *read);
    let of = |new: Read, grown: Read| json!({"new": new, "grown": grown, "ratio_of_blocks": tenth(grown.blocks / new.blocks.max(0.1))});
    let tables: BTreeMap<&String, Value> = grown
        .iter()
        .filter(|(_, read)| read.blocks >= 0.1)
        .map(|(table, read)| (table, of(new.get(table).copied().unwrap_or_default(), *read)))
        .collect();
    json!({"all": of(sum(new), sum(grown)), "tables": tables})
}
