//! A Barid for a measurement: linked devices over wss, and nothing else in it.

use crate::demo::{Api, Environment, Phones, Stage, text};
use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Devices linked at once.
const AT_ONCE: usize = 16;

pub struct House {
    root: PathBuf,
    pub api: Api,
    pub platform: Api,
    pub phones: Phones,
    _certificate: tempfile::TempDir,
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
    /// Starts a release build with these settings on top, over wss with a certificate of its own.
    pub async fn start(root: &Path, settings: &[(&str, String)]) -> Result<Self> {
        let running = Environment::of_checkout(root)?;
        let folder = tempfile::tempdir()?;
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).context("making a certificate")?;
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["up", "--detach", "--release", "--no-demo"]).current_dir(root);
        command.env("BARID_SIMULATOR__WEB__LISTEN_TLS", format!("127.0.0.1:{port}"));
        command.env("BARID_SIMULATOR__WEB__CERTIFICATE", &certificate).env("BARID_SIMULATOR__WEB__PRIVATE_KEY", &key);
        command.env("BARID_SIMULATOR__WEB__STATE_DIR", folder.path().join("state"));
        command.env("BARID_SESSION_POOL__WEB__URL", format!("wss://localhost:{port}/ws/chat"));
        command.env("BARID_SESSION_POOL__WEB__ROOT_CERTIFICATE", &certificate);
        for (name, value) in settings {
            command.env(name, value);
        }
        let status = command.stdout(std::process::Stdio::null()).status().context("starting Barid")?;
        if !status.success() {
            bail!(
                "Barid did not come up; see .barid/logs/up.log. Does one run already (BARID_URL {})? `cargo xtask down` stops it",
                running.url
            );
        }
        let environment = Environment::of_checkout(root)?;
        let stage = Stage::set(root, environment.clone()).await?;
        let platform_key = environment.platform_key.as_deref().context("the platform's key is in .barid/dev.env")?;
        let platform = Api::new(reqwest::Client::new(), &environment.url, platform_key);
        Ok(Self { root: root.to_owned(), api: stage.api, platform, phones: stage.phones, _certificate: folder })
    }

    pub fn stop(self) -> Result<()> {
        let status = Command::new(std::env::current_exe()?).arg("down").current_dir(&self.root).status()?;
        ensure!(status.success(), "Barid did not stop");
        Ok(())
    }

    pub fn restart(&self, name: &str) -> Result<()> {
        let status = Command::new(std::env::current_exe()?)
            .args(["restart", name])
            .current_dir(&self.root)
            .stdout(std::process::Stdio::null())
            .status()?;
        ensure!(status.success(), "{name} did not restart");
        Ok(())
    }

    pub fn process(&self, name: &str) -> Result<u32> {
        super::process::named(&self.root, name)
    }

    /// Links so many new devices, each tenant with `each` of them, through the protocol: a code is shown, and the phone scans it.
    pub async fn link(&self, count: usize, each: usize) -> Result<Vec<Device>> {
        let run = barid_testkit::secret();
        let tenants = stream::iter(0..count.div_ceil(each)).map(async |index| {
            let tenant = json!({"name": format!("Bench {run} {index}"), "locale": "ar-EG", "country": "EG", "currency": "EGP",
                "timeZone": "Africa/Cairo", "dailyQuota": 1_000_000});
            text(&self.api.post("/v1/tenants", &[], &json!({"tenant": tenant})).await?, "id")
        });
        let tenants: Vec<String> = tenants.buffered(AT_ONCE).try_collect().await?;
        let first = u64::from_str_radix(&run[..6], 16).unwrap_or_default() % 1_000_000;
        let devices =
            stream::iter(0..count).map(|index| self.link_one(&tenants[index / each], format!("2012{:08}", first * 50 + index as u64)));
        devices.buffered(AT_ONCE).try_collect().await
    }

    async fn link_one(&self, tenant: &str, number: String) -> Result<Device> {
        let query = [("tenantId", tenant)];
        let session = json!({"phoneNumber": format!("+{number}"), "messagesPerMinute": 60_000, "web": {}});
        let session = text(&self.api.post("/v1/sessions", &query, &session).await?, "id")?;
        let path = format!("/v1/sessions/{session}/pairing");
        let mut pairing = self.api.post(&path, &[], &json!({"tenantId": tenant})).await?;
        self.phones.scan(&number, &text(&pairing, "qr")?).await?;
        while pairing["done"] != true {
            let revision = pairing["revision"].as_str().unwrap_or("1").to_owned();
            pairing = self.api.get(&path, &[("tenantId", tenant), ("afterRevision", &revision)]).await?;
        }
        ensure!(pairing["state"] == "PAIRING_STATE_PAIRED", "{number} was not linked: {}", pairing["reasonText"]);
        Ok(Device { tenant: tenant.to_owned(), session, number })
    }

    /// Hands over messages of one device to customers, in one call; their ids.
    pub async fn send(&self, device: &Device, customers: &[String], key: &str) -> Result<Vec<String>> {
        let message = |customer: &String| json!({"recipient": customer, "text": "طلبك جاهز", "sessionId": device.session});
        let messages: Vec<Value> = customers.iter().map(message).collect();
        let body = json!({"tenantId": device.tenant, "messages": messages});
        let answer = self.api.send("/v1/messages:batchSend", key, &body).await?;
        let outcomes = answer["outcomes"].as_array().context("a batch has outcomes")?;
        outcomes.iter().map(|outcome| text(&outcome["accepted"], "id")).collect()
    }

    /// Waits until so many connections stand; how long that took.
    pub async fn until_warm(&self, count: usize, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        loop {
            let status = self.platform.get("/v1/pool", &[]).await?;
            let used: u64 = status["replicas"].as_array().into_iter().flatten().filter_map(|replica| replica["slotsUsed"].as_u64()).sum();
            if used >= count as u64 {
                return Ok(start.elapsed());
            }
            ensure!(start.elapsed() < limit, "{used} of {count} sessions are connected after {limit:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
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

/// Milliseconds between two times of a message.
pub fn between(message: &Value, from: &str, to: &str) -> Option<f64> {
    let time = |field: &str| message[field].as_str()?.parse::<chrono::DateTime<chrono::Utc>>().ok();
    let micros = (time(to)? - time(from)?).num_microseconds()?;
    Some(micros as f64 / 1000.0)
}
