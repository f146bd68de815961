//! What is where under `.barid/`, and which processes make a Barid.

use crate::workspace;
use std::path::{Path, PathBuf};

/// The addresses that stay the same from run to run, but for `--port-offset`.
const GATEWAY_PORT: u16 = 8080;
const SIMULATOR_PORT: u16 = 8090;

/// A process of Barid: `barid <command>`.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// The subcommand, and what people call it.
    pub command: &'static str,
    /// Its section in the configuration and its name on the bus and in the database.
    pub section: &'static str,
    pub database: bool,
    pub vault: bool,
}

/// In the order of starting. They stop the other way round, so that nothing is asked for what is gone.
pub const SERVICES: [Service; 7] = [
    Service { command: "tenant", section: "tenant", database: true, vault: false },
    Service { command: "template", section: "template", database: true, vault: false },
    Service { command: "queue", section: "queue", database: true, vault: true },
    Service { command: "session-pool", section: "session_pool", database: true, vault: true },
    Service { command: "analytics", section: "analytics", database: true, vault: false },
    Service { command: "webhook", section: "webhook", database: true, vault: true },
    Service { command: "gateway", section: "gateway", database: false, vault: false },
];

/// The names of the logins on the bus: the services, and whoever looks on with `barid events tail`.
pub fn bus_users() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|service| service.section).chain(["operator"])
}

/// The paths of one checkout.
#[derive(Clone, Debug)]
pub struct Layout {
    pub root: PathBuf,
    pub home: PathBuf,
}

impl Layout {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), home: workspace::home(root) }
    }

    pub fn config(&self) -> PathBuf {
        self.home.join("barid.toml")
    }

    pub fn state(&self) -> PathBuf {
        self.home.join("state.json")
    }

    pub fn lock(&self) -> PathBuf {
        self.home.join("lock")
    }

    pub fn control(&self) -> PathBuf {
        self.home.join("control.sock")
    }

    pub fn master_key(&self) -> PathBuf {
        self.home.join("master.key")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    /// A path as people see it who stand in the checkout.
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

pub fn gateway_port(offset: u16) -> Option<u16> {
    GATEWAY_PORT.checked_add(offset)
}

pub fn simulator_port(offset: u16) -> Option<u16> {
    SIMULATOR_PORT.checked_add(offset)
}
