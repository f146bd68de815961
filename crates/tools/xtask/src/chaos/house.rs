//! A Barid of a scenario's own: real servers and services on free ports, its folder gone with it.

use super::cast::Conversation;
use crate::demo::{Api, text};
use crate::up::{DATABASE, Launch, Layout, Process, Stack, State};
use anyhow::{Context, Result, ensure};
use barid_domain::SessionId;
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
pub const SERVICES: [&str; 7] = ["tenant", "template", "queue", "session-pool", "analytics", "webhook", "gateway"];

pub struct House {
    // Dropped in this order: the processes first, then their files.
    pub stack: Stack,
    _folder: tempfile::TempDir,
    layout: Layout,
    pub state: State,
    binary: PathBuf,
    http: reqwest::Client,
    /// Calls of an organisation of ours.
    pub api: Api,
    pub platform: Api,
    /// The control API of the simulator.
    pub whatsapp: Api,
    /// The replicas of the session-pool in the order of their starting.
    pub pools: Vec<Pool>,
}

/// A replica of the session-pool.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Of its process.
    pub name: String,
    /// What it called itself when it was first started.
    pub id: String,
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
    /// Starts a Barid with so many replicas of the session-pool, and special settings as lines of TOML.
    pub async fn start(root: &Path, binary: &Path, pools: usize, special: &str, say: &dyn Fn(String)) -> Result<Self> {
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
        crate::up::overlay(&mut settings, &special.parse()?);
        Launch { layout: &layout, state: &state, binary, settings: &settings, keep: false, season: false, http: &http }
            .run(&mut stack, say)
            .await?;
        let url = |name: &str| format!("http://127.0.0.1:{}", state.port(name));
        let platform = Api::new(http.clone(), &url("gateway"), &state.secrets.platform_key);
        let organisation = platform.post("/v1/organisations", &[], &json!({"name": "Chaos"})).await?;
        let key = json!({"organisationId": text(&organisation, "id")?, "displayName": "chaos"});
        let key = text(&platform.post("/v1/apiKeys", &[], &key).await?, "secret")?;
        let api = Api::new(http.clone(), &url("gateway"), &key);
        let whatsapp = Api::new(http.clone(), &url("simulator"), "");
        let (binary, first) = (binary.to_owned(), Vec::new());
        let mut house = Self { stack, _folder: folder, layout, state, binary, http, api, platform, whatsapp, pools: first };
        house.admit("session-pool").await?;
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
        self.admit(&name).await?;
        Ok(name)
    }

    /// Learns what a new replica calls itself.
    async fn admit(&mut self, name: &str) -> Result<()> {
        let alive = self.replicas(self.pools.len() + 1).await?;
        // Nobody has left by now.
        let id = alive.into_iter().find(|id| self.pools.iter().all(|pool| pool.id != *id)).context("a new replica has a new id")?;
        self.pools.push(Pool { name: name.to_owned(), id });
        Ok(())
    }

    /// The replica that owns a session, and under which epoch.
    pub async fn owner(&self, session: &str) -> Result<(Pool, u64)> {
        let session: SessionId = session.parse()?;
        let row = self.ask(&format!("SELECT replica_id, epoch FROM session_pool.owners WHERE session_id = '{}'", session.uuid())).await?;
        let (replica, epoch) = row.split_once('|').with_context(|| format!("{session} has no owner"))?;
        let pool = self.pools.iter().find(|pool| pool.id == replica).with_context(|| format!("{replica} is none of ours"))?;
        Ok((pool.clone(), epoch.parse()?))
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

    pub async fn until_ready(&self, name: &str) -> Result<()> {
        self.process(name)?.until_ready(&self.http).await
    }

    /// How many messages WhatsApp has taken.
    pub async fn accepted(&self) -> Result<u64> {
        self.whatsapp.get("/sim/stats", &[]).await?["accepted"].as_u64().context("the simulator counts what it accepts")
    }

    /// Waits until the replicas of the session-pool that live are so many; their ids.
    pub async fn replicas(&self, count: usize) -> Result<Vec<String>> {
        eventually(PATIENCE, || async {
            // One that ends counts as alive until its time to live is over.
            let status = self.platform.get("/v1/pool", &[]).await?;
            let ids: Vec<String> = status["replicas"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|replica| replica["id"].as_str().map(str::to_owned))
                .collect();
            ensure!(ids.len() == count, "{} replicas instead of {count}", ids.len());
            Ok(ids)
        })
        .await
    }

    /// A stream of the events of a tenant that come after this one.
    pub async fn subscribe(&self, tenant: &str, after: &str) -> Result<reqwest::Response> {
        let url = format!("http://127.0.0.1:{}/v1/events:subscribe", self.state.port("gateway"));
        let request = self.http.get(url).bearer_auth(self.api.key()).query(&[("tenantId", tenant), ("after", after)]);
        Ok(request.send().await?.error_for_status()?)
    }

    /// Hands over one message and does not repeat the call; what was answered.
    pub async fn hand_over_once(&self, with: &Conversation, text: &str) -> Result<(reqwest::StatusCode, Value)> {
        let url = format!("http://127.0.0.1:{}/v1/messages:send", self.state.port("gateway"));
        let business = &with.business;
        let message = json!({"tenantId": business.tenant, "sessionId": business.session, "recipient": with.customer, "text": text});
        let request = self.http.post(url).bearer_auth(self.api.key()).header("Idempotency-Key", text).json(&message);
        let answer = request.timeout(PATIENCE).send().await?;
        Ok((answer.status(), answer.json().await.unwrap_or_default()))
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
}
