//! The parts that run, by name.

use std::path::Path;

use anyhow::Result;
use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use crate::deploy::{self, Deployable};

/// A service, or the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Part {
    /// The public door: gRPC, REST, events and Meta's webhooks on one port
    Gateway,
    /// Organisations, tenants and API keys
    Tenant,
    /// Message templates and their rendering
    Template,
    /// The ledger: accepts, schedules, hands out and accounts for messages
    Queue,
    /// Owns WhatsApp sessions and sends over them
    SessionPool,
    /// Figures, counted from the events
    Analytics,
    /// Signed deliveries of events to the tenants' own endpoints
    Webhook,
    /// A WhatsApp in a box, to try everything without a phone
    Simulator,
}

/// Evaluates `$body` with `$kind` standing for the part's type.
macro_rules! dispatch {
    ($part:expr, $kind:ident => $body:expr) => {
        dispatch!(@arms $part, $kind, $body, Gateway Tenant Template Queue SessionPool Analytics Webhook Simulator)
    };
    (@arms $part:expr, $kind:ident, $body:expr, $($name:ident)*) => {
        match $part {
            $(Part::$name => {
                type $kind = deploy::$name;
                $body
            })*
        }
    };
}

impl Part {
    /// The services, in the order of their starting.
    pub(crate) const SERVICES: [Self; 7] =
        [Self::Tenant, Self::Template, Self::Queue, Self::SessionPool, Self::Analytics, Self::Webhook, Self::Gateway];

    /// Its section in the configuration.
    pub(crate) fn section(self) -> &'static str {
        dispatch!(self, D => D::SECTION)
    }

    /// The part with this name, as a section or as a command.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let section = name.replace('-', "_");
        Self::SERVICES.into_iter().chain([Self::Simulator]).find(|part| part.section() == section)
    }

    /// Its configuration as TOML, secrets masked; or what is wrong with it.
    pub(crate) fn dump(self, file: Option<&Path>) -> Result<String> {
        dispatch!(self, D => Ok(barid_runtime::config::dump(D::SECTION, &D::load(file)?)?))
    }

    /// What it logs and traces.
    pub(crate) fn telemetry(self, file: Option<&Path>) -> Result<barid_runtime::TelemetryConfig> {
        dispatch!(self, D => Ok(D::telemetry(&D::load(file)?)))
    }

    /// Connects and serves until `shutdown`.
    pub(crate) async fn run(self, file: Option<&Path>, shutdown: CancellationToken) -> Result<()> {
        dispatch!(self, D => D::run(D::load(file)?, shutdown).await)
    }
}
