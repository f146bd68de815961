use super::config::{self, Servers};
use super::layout::{Layout, SERVICES};
use super::stack::{Running, Stack};
use super::state::{State, health_name};
use crate::workspace;
use anyhow::{Context, Result, bail};
use barid_testkit::{Durability, Nats, Postgres, Redis, install};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::process::Command;
use toml::Table;

/// The database of the services.
pub const DATABASE: &str = "barid";

/// Segments of the ledger's log that one has made which ran for a day; 16 MB each.
const SEGMENTS: u32 = 48;

/// What is started, and where.
pub struct Launch<'a> {
    pub layout: &'a Layout,
    pub state: &'a State,
    pub binary: &'a Path,
    /// Settings over those of every `up`.
    pub settings: &'a Table,
    /// Whether the ledger stays for the next time. What does not stay goes with the handle.
    pub keep: bool,
    /// Whether the database is made as if it had run for a day.
    pub season: bool,
    pub http: &'a reqwest::Client,
}

impl Launch<'_> {
    /// Starts everything in order and fills `stack` as it goes, so that whoever holds it can stop what is there when this fails or is left.
    pub async fn run(&self, stack: &mut Stack, say: &dyn Fn(String)) -> Result<()> {
        let Self { layout, state, binary, .. } = *self;
        let start = Instant::now();
        let postgres_dir = self.keep.then(|| layout.home.join("postgres"));
        let postgres = Postgres::start(postgres_dir.as_deref(), Some(state.port("postgres")), Durability::Durable).await?;
        if let Some(wanted) = postgres_dir.filter(|wanted| postgres.dir() != wanted) {
            let wanted = wanted.parent().unwrap_or(&wanted).display();
            say(format!("          its data is in {}: the account `postgres` cannot reach {wanted}", postgres.dir().display()));
        }
        if self.season {
            postgres.season(SEGMENTS).await?;
        }
        postgres.ensure_database(DATABASE).await?;
        let database_url = stack.postgres.insert(postgres).url(DATABASE);
        let redis = Redis::start(Some(&layout.home.join("redis")), Some(state.port("redis"))).await?;
        let redis_url = stack.redis.insert(redis).url();

        let servers = Servers { database_url: &database_url, redis_url: &redis_url };
        crate::private_file::write(&layout.config(), &config::render(layout, state, &servers, self.settings)?)?;
        make_master_key(layout)?;
        let bus = barid(layout, binary, "nats-config").await?;
        stack.nats = Some(Nats::start(Some(&layout.home.join("nats")), Some(state.port("nats")), &bus).await?);
        let ports = ["postgres", "redis", "nats"].map(|name| state.port(name));
        say(format!("started   postgres, redis and nats on ports {}, {} and {}", ports[0], ports[1], ports[2]));
        barid(layout, binary, "migrate").await?;
        say("migrated  the database".to_owned());

        let simulator = format!("http://127.0.0.1:{}/sim/health", state.port("simulator"));
        stack.services.push(Running::start(layout, binary, "simulator", simulator)?);
        for service in &SERVICES {
            let ready = format!("http://127.0.0.1:{}/readyz", state.port(&health_name(service.section)));
            stack.services.push(Running::start(layout, binary, service.command, ready)?);
        }
        for service in &stack.services {
            service.until_ready(self.http).await?;
        }
        let names = SERVICES.map(|service| service.command).join(", ");
        say(format!("started   simulator, {names} in {:.0} s", start.elapsed().as_secs_f64()));
        Ok(())
    }
}

/// Finds or installs the servers.
pub fn find(say: &dyn Fn(String)) -> Result<()> {
    let found = install::ensure(&mut |line| say(line.to_owned()))?;
    for (name, version) in [("PostgreSQL", found.postgres.version), ("NATS", found.nats.version), ("Redis", found.redis.version)] {
        say(format!("found     {name} {version}"));
    }
    Ok(())
}

/// Builds the one binary and returns where it is.
pub async fn build(root: &Path, release: bool, say: &dyn Fn(String)) -> Result<PathBuf> {
    say(format!("building  barid{}", if release { " with optimisations" } else { "" }));
    let mut command = Command::new(workspace::cargo());
    // Only such a build believes that the simulator is WhatsApp; it talks to nothing beyond this machine.
    command.args(["build", "--package", "barid", "--bin", "barid", "--features", "trust-simulator"]).current_dir(root).kill_on_drop(true);
    if release {
        command.arg("--release");
    }
    let status = command.status().await.context("starting cargo")?;
    if !status.success() {
        bail!("barid does not build");
    }
    Ok(target_directory(root).await?.join(if release { "release" } else { "debug" }).join("barid"))
}

#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
}

async fn target_directory(root: &Path) -> Result<PathBuf> {
    let output =
        Command::new(workspace::cargo()).args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root).output().await?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata wrote what is no metadata")?;
    Ok(metadata.target_directory)
}

/// Runs a short `barid` command to its end and returns what it wrote.
async fn barid(layout: &Layout, binary: &Path, command: &str) -> Result<String> {
    let mut process = Command::new(binary);
    process.arg(command).arg("--config").arg(layout.config()).current_dir(&layout.root).kill_on_drop(true);
    let output = process.output().await.with_context(|| format!("starting {}", binary.display()))?;
    std::fs::write(layout.log(command), &output.stderr)?;
    if !output.status.success() {
        let wrote = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = wrote.lines().collect();
        bail!("`barid {command}` failed:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`barid {command}` wrote what is no text"))
}

/// The key above all tenant keys. Made once: what is stored can be read with no other.
fn make_master_key(layout: &Layout) -> Result<()> {
    use base64::Engine;
    let path = layout.master_key();
    if path.exists() {
        return Ok(());
    }
    crate::private_file::write(&path, &base64::prelude::BASE64_STANDARD.encode(rand::random::<[u8; 32]>()))
}
