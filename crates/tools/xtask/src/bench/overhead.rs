//! What a message takes in Barid, beside the least that it could take: its rows in one bare insert, its bytes in one bare request.

use super::figures::{Spread, median, tenth};
use super::house::{Ground, House};
use super::pipeline::{self, Load, PROCESSES};
use crate::demo::cast;
use anyhow::{Context, Result, ensure};
use barid_testkit::Nats;
use serde_json::json;
use std::process::ExitCode;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[derive(clap::Args)]
pub struct Options {
    /// Invoices of each run
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(500..=1_000_000))]
    invoices: u32,
    /// The median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    in_flight: u32,
    /// Leave Barid running
    #[arg(long)]
    keep: bool,
}

const TENANTS: usize = 50;
/// Messages that come one at a time.
const ALONE: usize = 200;
/// Messages whose rows one insert writes.
const BATCH: u32 = 500;
/// Inserts, of which the median counts; fewer when there are not as many messages.
const INSERTS: usize = 9;
/// Requests, of which the median counts.
const REQUESTS: usize = 2_000;
/// What is moved for a message from the gateway to the queue and back: about what an invoice has in bytes.
const BYTES: usize = 700;

pub async fn run(ground: &Ground, options: Options) -> Result<ExitCode> {
    let house = House::start(ground, options.keep, &pipeline::settings()).await?;
    let businesses = house.stage.cast((0..TENANTS).map(cast::extra).collect()).await?;
    let load = Load { house: &house, businesses: &businesses };
    eprintln!("warming up");
    load.run("warm", (options.invoices / 5) as usize, options.in_flight as usize).await?;
    let mut runs = Vec::new();
    for run in 0..options.runs {
        runs.push(load.run(&format!("run-{run}"), options.invoices as usize, options.in_flight as usize).await?);
    }
    eprintln!("one at a time");
    let alone = load.run("alone", ALONE, 1).await?;
    let of = |name: &str| {
        let place = PROCESSES.iter().position(|process| *process == name).unwrap_or_default();
        median(runs.iter().map(|run| run.processor_us[place]).collect())
    };
    let wall = 1_000_000.0 / median(runs.iter().map(|run| run.per_second).collect());
    let services: f64 = super::process::SERVICES.iter().map(|name| of(name)).sum();
    eprintln!("the least");
    let inserts = ((options.invoices * options.runs / BATCH) as usize).min(INSERTS);
    let (rows, written) = insert(&house, inserts).await?;
    let bus = Requests::measure().await?;
    let least = written + bus.p50 * 1000.0;
    println!(
        "{}",
        json!({
            "bench": "overhead",
            "in_flight": options.in_flight,
            "message": {
                "us": tenth(wall),
                "processor_us": {"services": tenth(services), "PostgreSQL": tenth(of("PostgreSQL")), "nats-server": tenth(of("nats-server"))},
                "accepted_alone_ms": alone.accept,
            },
            "least": {"rows": tenth(rows), "rows_us": tenth(written), "request_us": tenth(bus.p50 * 1000.0), "together_us": tenth(least)},
            "times_the_least": tenth(wall / least),
            "times_the_rows": tenth(wall / written),
        })
    );
    Ok(ExitCode::SUCCESS)
}

/// Copies of the tables, their indexes included, into which rows of messages that were sent are inserted, each batch in one transaction. How
/// many rows a message has, and microseconds for all of them, their commit included.
async fn insert(house: &House, batches: usize) -> Result<(f64, f64)> {
    let tables = ["messages", "message_state", "message_events", "idempotency_keys", "provider_ids"];
    let of = ["id", "message_id", "entity_id", "message_id", "message_id"];
    let mut prepare = vec![
        "CREATE SCHEMA least".to_owned(),
        format!(
            "CREATE TABLE least.chosen AS SELECT id, (row_number() OVER (ORDER BY id DESC) - 1) / {BATCH} AS batch FROM queue.messages
             JOIN queue.message_state ON message_id = id WHERE state BETWEEN 5 AND 7 ORDER BY id DESC LIMIT {}",
            BATCH as usize * batches
        ),
        "CREATE TABLE least.took (batch bigint, rows bigint, us double precision)".to_owned(),
    ];
    for (table, of) in tables.iter().zip(of) {
        prepare.push(format!("CREATE TABLE least.{table} (LIKE queue.{table} INCLUDING ALL)"));
        prepare.push(format!(
            "CREATE TABLE least.{table}_source AS SELECT c.batch, t.* FROM queue.{table} t JOIN least.chosen c ON c.id = t.{of}"
        ));
        prepare.push(format!("CREATE INDEX ON least.{table}_source (batch)"));
    }
    prepare.push("VACUUM ANALYZE".to_owned());
    let mut inserts = Vec::new();
    for table in tables {
        let columns = format!(
            "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'queue.{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        );
        let columns = house.ask(&[&columns]).await?;
        inserts.push(format!(
            "{table} AS (INSERT INTO least.{table} ({columns}) SELECT {columns} FROM least.{table}_source WHERE batch = b RETURNING 1)"
        ));
    }
    let counts = tables.map(|table| format!("(SELECT count(*) FROM {table})")).join(" + ");
    // The commit belongs to it, so the time is taken after it.
    let work = format!(
        "DO $$ DECLARE begun timestamptz; written bigint; BEGIN FOR b IN 0..{} LOOP
            begun := clock_timestamp();
            WITH {} SELECT {counts} INTO written;
            COMMIT;
            INSERT INTO least.took VALUES (b, written, extract(epoch FROM clock_timestamp() - begun) * 1000000);
            COMMIT;
         END LOOP; END $$",
        batches - 1,
        inserts.join(", ")
    );
    prepare.push(work);
    let prepare: Vec<&str> = prepare.iter().map(String::as_str).collect();
    house.ask(&prepare).await?;
    let took = house.ask(&["SELECT rows, us FROM least.took", "DROP SCHEMA least CASCADE"]).await?;
    let took: Vec<(f64, f64)> = took
        .lines()
        .map(|line| {
            let (rows, us) = line.split_once('|').context("rows and a time")?;
            Ok((rows.parse::<f64>()? / f64::from(BATCH), us.parse::<f64>()? / f64::from(BATCH)))
        })
        .collect::<Result<_>>()?;
    ensure!(took.len() == batches && took.iter().all(|(rows, _)| *rows >= 2.0), "{} inserts were timed", took.len());
    Ok((median(took.iter().map(|(rows, _)| *rows).collect()), median(took.iter().map(|(_, us)| *us).collect())))
}

/// Requests over a nats-server of their own, by the protocol itself.
struct Requests;

impl Requests {
    /// Milliseconds of a request, one at a time.
    async fn measure() -> Result<Spread> {
        let nats = Nats::start(None, None, "").await?;
        let (mut asker, mut answerer) = (Line::to(nats.port()).await?, Line::to(nats.port()).await?);
        answerer.say("SUB least 1\r\nPING\r\n").await?;
        answerer.until("PONG").await?;
        asker.say("SUB answer 1\r\nPING\r\n").await?;
        asker.until("PONG").await?;
        let body = "x".repeat(BYTES);
        let answering = async {
            loop {
                let asked = answerer.message().await?;
                answerer.say(&format!("PUB answer {}\r\n{asked}\r\n", asked.len())).await?;
            }
        };
        let asking = async {
            let mut times = Vec::with_capacity(REQUESTS);
            for _ in 0..REQUESTS {
                let begun = Instant::now();
                asker.say(&format!("PUB least {BYTES}\r\n{body}\r\n")).await?;
                ensure!(asker.message().await? == body, "another answer");
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
            anyhow::Ok(Spread::exactly(times))
        };
        tokio::select! {
            times = asking => times,
            ended = answering => ended,
        }
    }
}

/// A client's connection to nats-server.
struct Line(BufReader<TcpStream>);

impl Line {
    async fn to(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut line = Self(BufReader::new(stream));
        line.until("INFO").await?;
        line.say("CONNECT {\"verbose\":false}\r\n").await?;
        Ok(line)
    }

    async fn say(&mut self, text: &str) -> Result<()> {
        Ok(self.0.write_all(text.as_bytes()).await?)
    }

    /// Reads up to a line that begins so, and gives it back.
    async fn until(&mut self, begins: &str) -> Result<String> {
        loop {
            let mut line = String::new();
            ensure!(self.0.read_line(&mut line).await? > 0, "nats-server hung up");
            if line.starts_with("PING") {
                self.say("PONG\r\n").await?;
            }
            if line.starts_with(begins) {
                return Ok(line);
            }
        }
    }

    async fn message(&mut self) -> Result<String> {
        let head = self.until("MSG").await?;
        let length: usize = head.split_whitespace().last().context("a message has a length")?.parse()?;
        let mut body = vec![0; length + 2];
        self.0.read_exact(&mut body).await?;
        body.truncate(length);
        Ok(String::from_utf8(body)?)
    }
}
