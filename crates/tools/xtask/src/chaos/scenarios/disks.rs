//! Disks that are full: what is written fails, and goes on when there is room again.

use super::servers::{RESPITE, heard};
use crate::chaos::cast::{Conversation, Via};
use crate::chaos::house::{House, PATIENCE};
use crate::chaos::trial::{Outcome, Trial};
use anyhow::{Context, Result, ensure};
use barid_testkit::eventually;
use reqwest::StatusCode;
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

/// The customer of a business that nothing else is asked of, to whom is written meanwhile.
const PROBED: usize = 5000;
/// A segment of PostgreSQL's write-ahead log: with this limit the log goes on, and only tables that are as large cannot grow.
const SEGMENT: u64 = 16 * 1024 * 1024;
/// With this one the log itself cannot be written.
const NOTHING: u64 = 64 * 1024;
/// How large a file of a stream is to be, so that what grows beyond it is a stream and no other file of the server.
const STREAM: u64 = 24 * 1024;
/// Between two calls, and how long a disk stays full.
const PAUSE: Duration = Duration::from_millis(50);
const FULL: Duration = Duration::from_secs(2);

/// Makes the table of messages as large as a segment, with rows of nobody in the partition of today. They are smaller than those of messages,
/// for which no page has room then.
const GROW: &str = "DO $$ DECLARE part regclass; latest uuid; BEGIN
    SELECT tableoid::regclass, id INTO part, latest FROM queue.messages ORDER BY id DESC LIMIT 1;
    WHILE pg_relation_size(part) < 16 * 1024 * 1024 LOOP
        EXECUTE format('INSERT INTO %s (id, tenant_id, session_id, contact_id, lane, template, template_version, locale, client_reference,
                supersede_rank, content, created_at, due_at, expires_at)
            SELECT overlay(gen_random_uuid()::text placing left($1::text, 13) from 1)::uuid, gen_random_uuid(), gen_random_uuid(),
                gen_random_uuid(), 1, %L, 0, %L, %L, 0, decode(md5(n::text), %L), now(), now(), now() FROM generate_series(1, 40) n',
            part, '', '', '', 'hex') USING latest;
    END LOOP;
END $$";

pub async fn full(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    let probe =
        Probe { house, with: house.cast_from(&[Via::Cloud], 1, PROBED).await?.remove(0), calls: Cell::new(0), refused: Cell::new(0) };
    // A message tells which partition is today's.
    probe.until(true).await?;
    house.ask(GROW).await?;
    let fault = async |more: &Cell<bool>| {
        let mut strikes = 0;
        tokio::time::sleep(trial.pause()).await;
        while more.get() || strikes == 0 {
            tables(house, &probe).await.context("tables that cannot grow")?;
            tokio::time::sleep(RESPITE).await;
            log(house, &probe).await.context("a log that cannot be written")?;
            tokio::time::sleep(RESPITE).await;
            streams(house, &probe).await.context("streams that cannot be written")?;
            tokio::time::sleep(RESPITE).await;
            strikes += 3;
        }
        Ok(strikes)
    };
    let outcome = heard(trial, fault).await?;
    let refused = probe.refused.get();
    Ok(outcome.figure("calls_refused", refused).expect(refused > 0, "no call was refused"))
}

/// PostgreSQL stays up, and cannot make the largest table any larger.
async fn tables(house: &House, probe: &Probe<'_>) -> Result<()> {
    let postgres = house.postgres()?;
    postgres.process().limit_files(Some(SEGMENT))?;
    probe.until(false).await?;
    tokio::time::sleep(FULL).await;
    ensure!(postgres.process().id().is_some(), "PostgreSQL ended, whose log could be written");
    postgres.process().limit_files(None)?;
    probe.until(true).await
}

/// PostgreSQL cannot write what it commits. It goes down and stays down, until there is room and somebody starts it.
async fn log(house: &House, probe: &Probe<'_>) -> Result<()> {
    let postgres = house.postgres()?;
    postgres.process().limit_files(Some(NOTHING))?;
    probe.until(false).await?;
    tokio::time::sleep(FULL).await;
    postgres.kill().await?;
    postgres.begin().await?;
    probe.until(true).await
}

/// NATS cannot write its streams, which it then leaves alone until it is started again. Calls do not go through them.
async fn streams(house: &House, probe: &Probe<'_>) -> Result<()> {
    let nats = house.nats()?;
    let largest = eventually(PATIENCE, || async {
        probe.call().await?;
        let largest = largest(&nats.dir().join("store"))?;
        ensure!(largest > STREAM, "no stream is large");
        Ok(largest)
    })
    .await?;
    let told = nats.process().log_tail(usize::MAX).matches(TOO_LARGE).count();
    nats.process().limit_files(Some(largest))?;
    eventually(PATIENCE, || async {
        ensure!(probe.call().await?, "a call needs no stream and was refused");
        ensure!(nats.process().log_tail(usize::MAX).matches(TOO_LARGE).count() > told, "all streams can be written");
        Ok(())
    })
    .await?;
    tokio::time::sleep(FULL).await;
    nats.restart().await
}

/// What nats-server notes of a file that may not grow.
const TOO_LARGE: &str = "file too large";

/// The size of the largest file of messages.
fn largest(folder: &Path) -> Result<u64> {
    let mut largest = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            largest = largest.max(self::largest(&entry.path())?);
        } else if entry.path().extension().is_some_and(|extension| extension == "blk") {
            largest = largest.max(entry.metadata()?.len());
        }
    }
    Ok(largest)
}

/// Calls that nobody repeats.
struct Probe<'a> {
    house: &'a House,
    with: Conversation,
    calls: Cell<usize>,
    refused: Cell<usize>,
}

impl Probe<'_> {
    /// Whether a message was taken. A refusal must say that it may be tried again, and why.
    async fn call(&self) -> Result<bool> {
        self.calls.set(self.calls.get() + 1);
        let (status, answer) = self.house.hand_over_once(&self.with, &format!("probe {}", self.calls.get())).await?;
        if status.is_success() {
            return Ok(true);
        }
        let clear = status == StatusCode::SERVICE_UNAVAILABLE && answer["message"].as_str().is_some_and(|message| !message.is_empty());
        ensure!(clear || status == StatusCode::GATEWAY_TIMEOUT, "not a clear refusal: {status} {answer}");
        self.refused.set(self.refused.get() + 1);
        Ok(false)
    }

    /// Calls until a message is taken, or refused.
    async fn until(&self, taken: bool) -> Result<()> {
        eventually(PATIENCE, || async {
            ensure!(self.call().await? == taken, "messages are {}", if taken { "refused" } else { "taken" });
            Ok(())
        })
        .await?;
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
