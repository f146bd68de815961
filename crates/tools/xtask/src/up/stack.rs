use super::layout::Layout;
use super::state::Recorded;
use anyhow::{Context, Result, anyhow, bail};
use barid_testkit::process::{Ending, Process};
use barid_testkit::{Nats, Postgres, Redis};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a service may take until it answers, and to finish what it has begun.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// A `barid <service>` process.
#[derive(Debug)]
pub struct Running {
    process: Process,
    ready_url: String,
}

impl Running {
    /// Starts a service with a fresh log. It is ready later: see [`Running::until_ready`].
    pub fn start(layout: &Layout, binary: &Path, command: &str, ready_url: String) -> Result<Self> {
        Self::replica(layout, binary, command, command, ready_url, &[])
    }

    /// Starts one more of a service under another name, with variables of its own.
    pub fn replica(
        layout: &Layout,
        binary: &Path,
        name: &str,
        command: &str,
        ready_url: String,
        variables: &[(String, String)],
    ) -> Result<Self> {
        let log = layout.log(name);
        std::fs::write(&log, "").with_context(|| format!("writing {}", log.display()))?;
        let mut process = Process::new(name, binary, log)
            .arguments([command.as_ref(), "--config".as_ref(), layout.config().as_os_str()])
            .directory(&layout.root);
        for (name, value) in variables {
            process = process.environment(name, value);
        }
        process.start()?;
        Ok(Self { process, ready_url })
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub async fn until_ready(&self, http: &reqwest::Client) -> Result<()> {
        let start = Instant::now();
        loop {
            if self.process.ended().is_some() {
                return Err(self.death());
            }
            let answer = http.get(&self.ready_url).timeout(Duration::from_secs(2)).send().await;
            let trouble = match answer {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if start.elapsed() > START_LIMIT {
                bail!("{} is not ready after {START_LIMIT:?}: {}\n{}", self.process.name(), trouble.trim(), self.tail());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn death(&self) -> anyhow::Error {
        let status = self.process.ended().map(|status| status.to_string()).unwrap_or_default();
        anyhow!("{} ended ({status}).\n{}", self.process.name(), self.tail())
    }

    fn tail(&self) -> String {
        format!("The end of {}:\n{}", self.process.log().display(), self.process.log_tail(20))
    }
}

/// Everything that runs, in the order it was started. Dropping it kills all of it.
#[derive(Debug, Default)]
pub struct Stack {
    pub services: Vec<Running>,
    pub redis: Option<Redis>,
    pub nats: Option<Nats>,
    pub postgres: Option<Postgres>,
}

impl Stack {
    /// Waits until something ends that should not, and tells what.
    pub async fn first_death(&self) -> anyhow::Error {
        loop {
            for process in self.servers() {
                if let Some(status) = process.ended() {
                    return anyhow!(
                        "{} ended ({status}). The end of {}:\n{}",
                        process.name(),
                        process.log().display(),
                        process.log_tail(20)
                    );
                }
            }
            if let Some(service) = self.services.iter().find(|service| service.process.ended().is_some()) {
                return service.death();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn servers(&self) -> impl Iterator<Item = &Process> {
        let postgres = self.postgres.as_ref().map(Postgres::process);
        let nats = self.nats.as_ref().map(Nats::process);
        let redis = self.redis.as_ref().map(Redis::process);
        postgres.into_iter().chain(nats).chain(redis)
    }

    /// What runs now.
    pub fn recorded(&self) -> Vec<Recorded> {
        let all = self.servers().chain(self.services.iter().map(|service| &service.process));
        let record = |process: &Process| Some(Recorded { name: process.name().to_owned(), pid: process.id()?, program: process.program() });
        all.filter_map(record).collect()
    }

    /// A service by its name.
    pub fn service(&self, name: &str) -> Result<&Running> {
        let found = self.services.iter().find(|service| service.process.name() == name);
        found.with_context(|| {
            let known: Vec<&str> =
                self.services.iter().map(|service| service.process.name()).chain(["postgres", "nats", "redis"]).collect();
            format!("there is no {name} here; there are {}", known.join(", "))
        })
    }

    /// Ends one process, softly or by SIGKILL, starts it again and waits until it is ready.
    pub async fn restart(&self, name: &str, hard: bool, http: &reqwest::Client) -> Result<()> {
        match (name, &self.postgres, &self.nats, &self.redis) {
            ("postgres", Some(server), _, _) => {
                if hard {
                    server.kill().await?
                } else {
                    server.stop().await?
                }
                return server.begin().await;
            }
            ("nats", _, Some(server), _) => {
                if hard {
                    server.kill().await?
                } else {
                    server.stop().await?
                }
                return server.begin().await;
            }
            ("redis", _, _, Some(server)) => {
                if hard {
                    server.kill().await?
                } else {
                    server.stop().await?
                }
                return server.begin().await;
            }
            _ => {}
        }
        let service = self.service(name)?;
        let (ending, patience) = if hard { (Ending::Kill, Duration::ZERO) } else { (Ending::Terminate, STOP_PATIENCE) };
        service.process.stop(ending, patience).await?;
        service.process.start()?;
        service.until_ready(http).await
    }

    /// Stops everything in reverse order, each with time to finish.
    pub async fn stop(&mut self) -> Result<()> {
        while let Some(service) = self.services.pop() {
            service.process.stop(Ending::Terminate, STOP_PATIENCE).await?;
        }
        if let Some(redis) = self.redis.take() {
            redis.stop().await?;
        }
        if let Some(nats) = self.nats.take() {
            nats.stop().await?;
        }
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await?;
        }
        Ok(())
    }
}
