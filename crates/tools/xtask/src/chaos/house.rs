//! A Barid of a scenario's own: real servers and services on free ports, its folder gone with it.

use crate::demo::{Api, text};
use crate::up::{DATABASE, Launch, Layout, Process, Stack, State};
use anyhow::{Context, Result, ensure};
use barid_testkit::{Nats, Postgres, Redis, eventually};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Table;

/// How long a replica that no longer beats keeps its sessions.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(3);
/// How long anything that is about to come true may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The services, as processes are named. The simulator is WhatsApp and no part of Barid.
pub const SERVICES: [&str; 6] = ["tenant", "template", "queue", "session-pool", "analytics", "gateway"];

pub struct House {
    // Dropped in this order: the processes first, then their files.
    pub stack: Stack,
    folder: tempfile::TempDir,
    layout: Layout,
    pub state: State,
    binary: PathBuf,
    http: reqwest::Client,
    /// Calls of an organisation of ours.
    pub api: Api,
    pub platform: Api,
    /// The control API of the simulator.
    pub whatsapp: Api,
    pub simulator_url: String,
    /// The replicas of the session-pool, as processes are named.
    pub pools: Vec<String>,
}

/// What makes hours into seconds, and nothing else: the limits of real numbers are off already.
fn settings() -> Table {
    toml::toml! {
        queue.doubt_after = "5s"
        queue.give_up_after = "12s"
        session_pool.cloud = { connect_timeout = "1s", request_timeout = "2s" }
        session_pool.pool = { heartbeat_ttl = "3s", min_warm = "500ms" }
        session_pool.web = { ack_timeout = "2s", login_timeout = "5s" }
        gateway.limits = { per_minute = 1_000_000, burst = 100_000 }
        simulator.delays = { sent = "5ms", delivered = "20ms", read = "40ms", jitter = "10ms" }
    }
}

impl House {
    /// Starts a Barid with so many replicas of the session-pool.
    pub async fn start(root: &Path, binary: &Path, pools: usize, say: &dyn Fn(String)) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("barid-test-{}-chaos-", std::process::id())).tempdir()?;
        let layout = Layout { root: root.to_owned(), home: folder.path().to_owned() };
        std::fs::create_dir(layout.home.join("logs"))?;
        let (state, http, mut stack) = (State::private()?, reqwest::Client::new(), Stack::default());
        let mut settings = settings();
        for service in SERVICES {
            let section = settings.entry(service.replace('-', "_")).or_insert_with(|| Table::new().into());
            if let Some(section) = section.as_table_mut() {
                section.insert("telemetry".to_owned(), toml::toml! { log = "warn" }.into());
            }
        }
        Launch { layout: &layout, state: &state, binary, settings: &settings, keep: false, http: &http }.run(&mut stack, say).await?;
        let url = |name: &str| format!("http://127.0.0.1:{}", state.port(name));
        let simulator_url = url("simulator");
        let platform = Api::new(http.clone(), &url("gateway"), &state.secrets.platform_key);
        let organisation = platform.post("/v1/organisations", &[], &json!({"name": "Chaos"})).await?;
        let key = json!({"organisationId": text(&organisation, "id")?, "displayName": "chaos"});
        let key = text(&platform.post("/v1/apiKeys", &[], &key).await?, "secret")?;
        let api = Api::new(http.clone(), &url("gateway"), &key);
        let whatsapp = Api::new(http.clone(), &simulator_url, "");
        let (binary, first) = (binary.to_owned(), vec!["session-pool".to_owned()]);
        let mut house = Self { stack, folder, layout, state, binary, http, api, platform, whatsapp, simulator_url, pools: first };
        for _ in 1..pools {
            house.one_more_pool(&[]).await?;
        }
        Ok(house)
    }

    /// One more replica of the session-pool, with variables of its own; gives back its name.
    pub async fn one_more_pool(&mut self, variables: &[(String, String)]) -> Result<String> {
        let name = format!("session-pool-{}", self.pools.len() + 1);
        let health = format!("127.0.0.1:{}", barid_testkit::free_port()?);
        let mut variables = variables.to_vec();
        variables.push(("BARID_SESSION_POOL__HEALTH__LISTEN".to_owned(), health.clone()));
        let ready = format!("http://{health}/readyz");
        let replica = Process::replica(&self.layout, &self.binary, &name, "session-pool", ready, &variables)?;
        replica.until_ready(&self.http).await?;
        self.stack.services.push(replica);
        self.pools.push(name.clone());
        Ok(name)
    }

    pub fn postgres(&self) -> Result<&Postgres> {
        self.stack.postgres.as_ref().context("PostgreSQL was started")
    }

    pub fn nats(&self) -> Result<&Nats> {
        self.stack.nats.as_ref().context("NATS was started")
    }

    pub fn redis(&self) -> Result<&Redis> {
        self.stack.redis.as_ref().context("Redis was started")
    }

    /// Kills a process, starts it again and waits until it is ready.
    pub async fn kill(&self, name: &str) -> Result<()> {
        self.stack.restart(name, true, &self.http).await
    }

    /// Asks a process to stop, waits, starts it again and waits until it is ready.
    pub async fn renew(&self, name: &str) -> Result<()> {
        self.stack.restart(name, false, &self.http).await
    }

    pub fn process(&self, name: &str) -> Result<&Process> {
        self.stack.service(name)
    }

    /// What the ledger's server answers to a question, as its superuser.
    pub async fn ask(&self, question: &str) -> Result<String> {
        self.postgres()?.execute(DATABASE, &[question]).await
    }

    /// Arms a fault of WhatsApp.
    pub async fn arm(&self, fault: Value) -> Result<()> {
        self.whatsapp.post("/sim/faults", &[], &fault).await.map(drop)
    }

    /// How often faults of WhatsApp struck.
    pub async fn struck(&self) -> Result<usize> {
        let stats = self.whatsapp.get("/sim/stats", &[]).await?;
        let faults = stats["faults"].as_object().context("the simulator counts its faults")?;
        Ok(faults.values().filter_map(Value::as_u64).sum::<u64>() as usize)
    }

    /// Waits until the replicas of the session-pool that live are so many; their ids.
    pub async fn replicas(&self, count: usize) -> Result<Vec<String>> {
        eventually(PATIENCE, || async {
            let status = self.platform.get("/v1/pool", &[]).await?;
            let ids: Vec<String> =
                status["replicas"].as_array().into_iter().flatten().filter_map(|replica| replica["id"].as_str().map(str::to_owned)).collect();
            ensure!(ids.len() == count, "{} replicas instead of {count}", ids.len());
            Ok(ids)
        })
        .await
    }

    /// Copies the logs to where they stay.
    pub fn keep_logs(&self, place: &Path) -> Result<()> {
        std::fs::create_dir_all(place)?;
        for file in std::fs::read_dir(self.layout.home.join("logs"))? {
            let file = file?;
            std::fs::copy(file.path(), place.join(file.file_name()))?;
        }
        Ok(())
    }

    /// Where its files are, but for those of PostgreSQL.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
