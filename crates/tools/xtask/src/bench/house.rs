//! A Barid for a measurement: linked devices over wss, and nothing else in it.

use super::process::{Memory, SERVICES};
use crate::demo::{Api, Environment, Phones, Stage, text};
use crate::up::{DATABASE, gateway_port, simulator_port};
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Devices linked at once.
const AT_ONCE: usize = 16;
/// Keep clear of the ports of a Barid that somebody looks at, and of another measurement's.
const PORT_OFFSETS: [u16; 5] = [700, 720, 740, 760, 780];
const DAILY_QUOTA: u32 = 1_000_000;

/// Where and what is measured.
pub struct Ground {
    pub root: PathBuf,
    /// Instead of the binary of this checkout, built with optimisations.
    pub barid: Option<PathBuf>,
}

pub struct House {
    running: Running,
    pub stage: Stage,
    pub api: Api,
    pub platform: Api,
    pub phones: Phones,
    url: String,
}

/// The processes; they end with it.
struct Running {
    root: PathBuf,
    home: PathBuf,
    keep: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("Barid stays up; `{}={} cargo xtask down` stops it", workspace::HOME, self.home.display());
        } else if let Err(error) = command(&self.root, &self.home, &["down"]).stdout(Stdio::null()).status() {
            eprintln!("Barid was not stopped: {error}");
        }
    }
}

fn command(root: &Path, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "xtask".into()));
    command.args(arguments).current_dir(root).env(workspace::HOME, home);
    command
}

/// A device that can send.
#[derive(Clone, Debug)]
pub struct Device {
    pub tenant: String,
    pub session: String,
    /// Digits.
    pub number: String,
}

impl House {
    /// Starts a release build with an empty database and these settings on top, over wss with a certificate of its own. It is stopped in the
    /// end, unless it shall stay to be looked at.
    pub async fn start(ground: &Ground, keep: bool, settings: &[(&str, String)]) -> Result<Self> {
        let root = &ground.root;
        let home = root.join("target/bench");
        let earlier = command(root, &home, &["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        ensure!(earlier.success(), "an earlier measurement still runs in {}", home.display());
        match std::fs::remove_dir_all(&home) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context("clearing target/bench"),
            _ => std::fs::create_dir_all(&home)?,
        }
        let (certificate, key) = (home.join("certificate.pem"), home.join("key.pem"));
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).context("making a certificate")?;
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut up = command(root, &home, &["up", "--detach", "--release", "--no-demo", "--port-offset", &free_offset()?.to_string()]);
        if let Some(binary) = &ground.barid {
            up.arg("--barid").arg(binary);
        }
        up.env("BARID_SIMULATOR__WEB__LISTEN_TLS", format!("127.0.0.1:{port}"));
        up.env("BARID_SIMULATOR__WEB__CERTIFICATE", &certificate).env("BARID_SIMULATOR__WEB__PRIVATE_KEY", &key);
        up.env("BARID_SESSION_POOL__WEB__URL", format!("wss://localhost:{port}/ws/chat"));
        up.env("BARID_SESSION_POOL__WEB__ROOT_CERTIFICATE", &certificate);
        for (name, value) in settings {
            up.env(name, value);
        }
        eprintln!("building and starting Barid in {}", home.display());
        let status = up.stdout(Stdio::null()).status().context("starting Barid")?;
        let guard = Running { root: root.clone(), home: home.clone(), keep };
        if !status.success() {
            bail!("Barid did not come up; the story is in {}", home.join("logs/up.log").display());
        }
        let environment = Environment::left_in(&home)?;
        let stage = Stage::set(&home, environment.clone()).await?;
        let platform_key = environment.platform_key.as_deref().context("the platform's key is in dev.env")?;
        let platform = Api::new(reqwest::Client::new(), &environment.url, platform_key);
        Ok(Self { running: guard, api: stage.api.clone(), platform, phones: stage.phones.clone(), stage, url: environment.url })
    }

    pub fn restart(&self, name: &str) -> Result<()> {
        let status = command(&self.running.root, &self.running.home, &["restart", name]).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "{name} did not restart");
        Ok(())
    }

    pub fn process(&self, name: &str) -> Result<u32> {
        super::process::named(&self.running.home, name)
    }

    /// A stream of the events of a tenant that come after this one.
    pub async fn subscribe(&self, http: &reqwest::Client, tenant: &str, after: &str) -> Result<reqwest::Response> {
        let request = http.get(format!("{}/v1/events:subscribe", self.url)).bearer_auth(self.api.key());
        Ok(request.query(&[("tenantId", tenant), ("after", after)]).send().await?.error_for_status()?)
    }

    /// Ids of the events of a tenant after one of them, or all, in their order.
    pub async fn events(&self, tenant: &str, after: &str) -> Result<Vec<String>> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let after = ids.last().map_or(after, String::as_str).to_owned();
            let page = self.api.get("/v1/events", &[("tenantId", tenant), ("pageSize", "1000"), ("after", &after)]).await?;
            let page = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
            if page.is_empty() {
                return Ok(ids);
            }
            for event in page {
                ids.push(text(event, "id")?);
            }
        }
    }

    /// Memory of all services together.
    pub fn memory(&self) -> Result<Memory> {
        SERVICES.iter().try_fold(Memory::default(), |sum, name| Ok(sum + super::process::memory(self.process(name)?)?))
    }

    /// What the ledger's server answers, as the owner of its tables: rows as lines, columns parted by `|`.
    pub async fn ask(&self, statements: &[&str]) -> Result<String> {
        barid_testkit::ask(&self.database_url()?, DATABASE, statements).await
    }

    /// The database for its owner.
    pub fn database_url(&self) -> Result<String> {
        let config: toml::Table = std::fs::read_to_string(self.running.home.join("barid.toml"))?.parse()?;
        let url = config.get("migrate").and_then(|migrate| migrate.get("database_url")?.as_str());
        url.map(str::to_owned).context("the configuration names the database")
    }

    /// Makes a business; `more` are fields of the tenant beside those that it must have.
    pub async fn business(&self, name: &str, more: Value) -> Result<String> {
        let mut tenant = json!({"name": format!("Bench {name}"), "locale": "ar-EG", "country": "EG", "currency": "EGP",
            "timeZone": "Africa/Cairo", "dailyQuota": DAILY_QUOTA});
        if let (Value::Object(tenant), Value::Object(more)) = (&mut tenant, more) {
            tenant.extend(more);
        }
        text(&self.api.post("/v1/tenants", &[], &json!({"tenant": tenant})).await?, "id")
    }

    /// Links a new device for each of these tenants, through the protocol: a code is shown, and the phone scans it.
    pub async fn link(&self, tenants: impl IntoIterator<Item = String>) -> Result<Vec<Device>> {
        let linked = stream::iter(tenants.into_iter().enumerate()).map(|(index, tenant)| self.link_one(tenant, format!("2012{index:08}")));
        let mut linked = linked.buffered(AT_ONCE);
        let mut devices = Vec::new();
        while let Some(device) = linked.try_next().await? {
            devices.push(device);
            if devices.len() % 500 == 0 {
                eprintln!("  {} are linked", devices.len());
            }
        }
        Ok(devices)
    }

    async fn link_one(&self, tenant: String, number: String) -> Result<Device> {
        let session = json!({"phoneNumber": format!("+{number}"), "messagesPerMinute": 60_000, "web": {}});
        let session = text(&self.api.post("/v1/sessions", &[("tenantId", &tenant)], &session).await?, "id")?;
        let path = format!("/v1/sessions/{session}/pairing");
        let mut pairing = self.api.post(&path, &[], &json!({"tenantId": tenant})).await?;
        self.phones.scan(&number, &text(&pairing, "qr")?).await?;
        while pairing["done"] != true {
            let revision = pairing["revision"].as_str().unwrap_or("1").to_owned();
            pairing = self.api.get(&path, &[("tenantId", &tenant), ("afterRevision", &revision)]).await?;
        }
        ensure!(pairing["state"] == "PAIRING_STATE_PAIRED", "{number} was not linked: {}", pairing["reasonText"]);
        Ok(Device { tenant, session, number })
    }

    /// Hands over messages of one device to customers, in one call; their ids.
    pub async fn send(&self, device: &Device, customers: &[String], lane: &str, key: &str) -> Result<Vec<String>> {
        let message = |customer: &String| json!({"recipient": customer, "text": "طلبك جاهز", "sessionId": device.session, "lane": lane});
        let messages: Vec<Value> = customers.iter().map(message).collect();
        let body = json!({"tenantId": device.tenant, "messages": messages});
        let answer = self.api.send("/v1/messages:batchSend", key, &body).await?;
        let outcomes = answer["outcomes"].as_array().context("a batch has outcomes")?;
        outcomes.iter().map(|outcome| text(&outcome["accepted"], "id")).collect()
    }

    /// A message that WhatsApp has acknowledged.
    pub async fn sent(&self, device: &Device, id: &str, limit: Duration) -> Result<Value> {
        let start = Instant::now();
        loop {
            let message = self.api.get(&format!("/v1/messages/{id}"), &[("tenantId", &device.tenant)]).await?;
            if message["sentTime"].is_string() {
                return Ok(message);
            }
            ensure!(start.elapsed() < limit, "{id} is {} {}", message["state"], message["reason"]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until so many connections stand; how long that took. Replicas tell it with their heartbeats, every two seconds.
    pub async fn until_warm(&self, count: usize, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        loop {
            let used = self.slots_used().await?;
            if used >= count as u64 {
                return Ok(start.elapsed());
            }
            ensure!(start.elapsed() < limit, "{used} of {count} sessions are connected after {limit:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Slots with a session in them.
    pub async fn slots_used(&self) -> Result<u64> {
        let status = self.platform.get("/v1/pool", &[]).await?;
        Ok(status["replicas"].as_array().into_iter().flatten().filter_map(|replica| replica["slotsUsed"].as_u64()).sum())
    }

    /// Logins since the session-pool started, and those of them that failed.
    pub async fn logins(&self) -> Result<(u64, u64)> {
        let status = self.platform.get("/v1/pool", &[]).await?;
        let sum = |field: &str| {
            let replicas = status["replicas"].as_array().into_iter().flatten();
            replicas.filter_map(|replica| replica[field].as_str()?.parse::<u64>().ok()).sum()
        };
        Ok((sum("logins"), sum("failedLogins")))
    }

    /// Messages of a tenant by their ids.
    pub async fn messages(&self, tenant: &str) -> Result<HashMap<String, Value>> {
        let messages = self.api.list("/v1/messages", &[("tenantId", tenant), ("pageSize", "1000")], "messages").await?;
        messages.into_iter().map(|message| Ok((text(&message, "id")?, message))).collect()
    }
}

/// An offset at which nobody listens.
fn free_offset() -> Result<u16> {
    let is_free = |port: Option<u16>| port.is_some_and(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
    let free = PORT_OFFSETS.into_iter().find(|offset| is_free(gateway_port(*offset)) && is_free(simulator_port(*offset)));
    free.context("too many measurements run on this machine")
}

/// Milliseconds between two times of a message.
pub fn between(message: &Value, from: &str, to: &str) -> Option<f64> {
    let micros = (time(message, to)? - time(message, from)?).num_microseconds()?;
    Some(micros as f64 / 1000.0)
}

/// A time of a message.
pub fn time(message: &Value, field: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    message[field].as_str()?.parse().ok()
}
