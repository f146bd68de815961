use super::layout::{self, Layout, SERVICES};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::TcpListener;

/// What is remembered in `.barid/state.json` from one run to the next: the ports, the secrets, and what runs now.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// By the name of what listens: `postgres`, `nats`, `redis`, `<service> health`.
    pub ports: BTreeMap<String, u16>,
    pub secrets: Secrets,
    pub running: Option<Running>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Secrets {
    /// By user of the bus.
    pub bus: BTreeMap<String, String>,
    /// Of every database role of the services.
    pub roles: String,
    pub platform_key: String,
    pub app_secret: String,
    pub verify_token: String,
}

impl Default for Secrets {
    fn default() -> Self {
        let new = barid_testkit::secret;
        Self { bus: BTreeMap::new(), roles: new(), platform_key: format!("platform_{}", new()), app_secret: new(), verify_token: new() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// The `cargo xtask up` that started everything and stops it.
    pub supervisor: u32,
    pub gateway: String,
    pub simulator: String,
    pub processes: Vec<Recorded>,
    /// Whether everything answers and the demo is over.
    pub ready: bool,
    /// What went wrong in the demo.
    pub trouble: Option<String>,
}

/// A process, with what tells it from another that got its id later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    pub name: String,
    pub pid: u32,
    pub program: String,
}

impl State {
    pub fn load(layout: &Layout) -> Result<Self> {
        let path = layout.state();
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged: delete it together with the data beside it", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    pub fn save(&self, layout: &Layout) -> Result<()> {
        crate::private_file::write(&layout.state(), &serde_json::to_string_pretty(self)?)
    }

    /// Chooses a port for everything that listens: the one of last time when it is free, else any free one. Makes secrets that are missing.
    pub fn prepare(&mut self, port_offset: u16) -> Result<()> {
        // Kept open until all are chosen, so that no port is chosen twice.
        let mut held = Vec::new();
        for (name, port) in [("gateway", layout::gateway_port(port_offset)), ("simulator", layout::simulator_port(port_offset))] {
            let Some(port) = port else { bail!("--port-offset {port_offset} leads past the last port, 65535") };
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => held.push(listener),
                Err(error) => {
                    bail!("127.0.0.1:{port} for the {name} is taken ({error}): stop what uses it, or move Barid with `--port-offset 100`")
                }
            }
            self.ports.insert(name.to_owned(), port);
        }
        self.choose(&["postgres", "nats", "redis"], held)
    }

    /// Free ports for everything and new secrets: a Barid that minds no other.
    pub fn private() -> Result<Self> {
        let mut state = Self::default();
        state.choose(&["gateway", "simulator", "postgres", "nats", "redis"], Vec::new())?;
        Ok(state)
    }

    fn choose(&mut self, names: &[&str], mut held: Vec<TcpListener>) -> Result<()> {
        let names = names.iter().map(|name| (*name).to_owned());
        for name in names.chain(SERVICES.iter().map(|service| health_name(service.section))) {
            let last = self.ports.get(&name).copied().unwrap_or(0);
            let listener = TcpListener::bind(("127.0.0.1", last))
                .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))
                .context("no free port on 127.0.0.1")?;
            self.ports.insert(name, listener.local_addr()?.port());
            held.push(listener);
        }
        for user in layout::bus_users() {
            self.secrets.bus.entry(user.to_owned()).or_insert_with(barid_testkit::secret);
        }
        Ok(())
    }

    pub fn port(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or_default()
    }
}

pub fn health_name(section: &str) -> String {
    format!("{section} health")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// High enough not to meet a Barid that runs beside the tests.
    const OFFSET: u16 = 21_000;

    #[test]
    fn ports_and_secrets_stay_while_they_can() {
        let mut state = State::default();
        state.prepare(OFFSET).unwrap();
        let mut distinct: Vec<u16> = state.ports.values().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), state.ports.len());
        assert_eq!(state.port("gateway"), 29_080);

        let mut again: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        let taken = TcpListener::bind(("127.0.0.1", state.port("nats"))).unwrap();
        again.prepare(OFFSET).unwrap();
        assert_eq!(again.secrets.bus, state.secrets.bus);
        assert_eq!(again.port("postgres"), state.port("postgres"));
        assert_ne!(again.port("nats"), taken.local_addr().unwrap().port());
    }

    #[test]
    fn a_taken_gateway_port_is_told_with_the_remedy() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let offset = taken.local_addr().unwrap().port() - 8080;
        let failure = State::default().prepare(offset).unwrap_err().to_string();
        assert!(failure.contains("--port-offset"), "{failure}");
        assert!(State::default().prepare(u16::MAX).is_err());
    }
}
