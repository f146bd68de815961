//! The ledger: what was promised is a committed row, and its state is what the ledger says.
//!
//! Accepts, claims, outcomes and receipts are commits of many messages at once. Everything that happens to a message goes through
//! [`state`] and leaves an event.

mod api;
mod channel;
mod clients;
mod consumers;
mod content;
mod draft;
mod error;
mod fallback;
mod hours;
mod jobs;
mod lanes;
mod outlets;
mod provider_id;
mod reason;
mod state;
mod store;
mod target;
mod wire_id;

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Relay, RelayConfig, Server, Service};
use barid_db::{Db, TenantKeys};
use barid_domain::{Clock, Minter};
use barid_proto::{
    Guard,
    queue::v1::{
        contact_service_server::ContactServiceServer, event_service_server::EventServiceServer,
        inbound_service_server::InboundServiceServer, job_service_server::JobServiceServer, ledger_service_server::LedgerServiceServer,
        message_service_server::MessageServiceServer, queue_service_server::QueueServiceServer,
    },
};
use barid_runtime::{Health, HealthConfig, Jobs, TelemetryConfig, config::Validate};
use barid_vault::{MasterKey, Vault};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use outlets::{Config as FallbackConfig, Invalid as InvalidFallback, SmsConfig};

/// The defaults, with their explanations.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(with = "humantime_serde")]
    pub doubt_after: Duration,
    #[serde(with = "humantime_serde")]
    pub give_up_after: Duration,
    /// How long messages and their events are kept.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// Other ways for what WhatsApp does not deliver.
    pub fallback: outlets::Config,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub nats: barid_bus::Config,
    pub database: barid_db::Config,
    pub vault: barid_vault::Config,
}

impl Validate for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.give_up_after < self.doubt_after {
            problems.push("give_up_after: is shorter than doubt_after; give at least as long".to_owned());
        }
        if self.retention < SHORTEST_RETENTION {
            problems.push("retention: is shorter than keys and streams are kept; give at least 14d".to_owned());
        }
        problems.extend(self.fallback.egress.problems().into_iter().map(|problem| format!("fallback.egress.{problem}")));
        if let Err(problem) = outlets::Outlets::new(&self.fallback) {
            problems.push(problem.to_string());
        }
        problems
    }
}

/// Idempotency keys and the streams of events are kept for a week.
const SHORTEST_RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);

/// The service with everything it needs.
pub struct App {
    config: Config,
    bus: Bus,
    db: Db,
    clock: Arc<dyn Clock>,
    store: store::Store,
    guard: Arc<Guard>,
    told: Arc<Notify>,
    outlets: outlets::Outlets,
}

impl App {
    /// Connects to what the service needs.
    pub async fn build(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let master = MasterKey::read(&config.vault.master_key_file)?;
        let bus = Bus::connect(&config.nats, Service::Queue).await?;
        let db = Db::connect(&config.database).await?;
        let vault = Vault::new(master, TenantKeys::new(db.engine.clone(), "queue"));
        let told = Arc::new(Notify::new());
        let store = store::Store::new(db.clone(), vault, Arc::new(Minter::new(clock.clone())), clock.clone(), bus.clone(), told.clone());
        let outlets = outlets::Outlets::new(&config.fallback)?;
        Ok(Self { outlets, config: config.clone(), bus, db, clock, store, guard: Arc::new(Guard::new()), told })
    }

    /// Serves until `shutdown`, then finishes what it has.
    pub async fn run(self, health: Health, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { config, bus, db, clock, store, guard, told, outlets } = self;
        let (connected, database) = (bus.clone(), db.clone());
        health.check("nats", move || std::future::ready(connected.is_connected()));
        health.check("postgres", move || {
            let database = database.clone();
            async move { database.is_reachable().await }
        });

        let jobs = Jobs::new(shutdown.clone());
        let directory = clients::Directory::new(&bus);
        let (committer, commits) = store::Committer::new(store.clone());
        let (address_book, look_ups) = store::AddressBook::new(store.clone());
        let (renderer, renderings) = clients::Renderer::new(&bus);
        let batches = [tokio::spawn(commits), tokio::spawn(look_ups), tokio::spawn(renderings)];
        let relay = Relay::new(bus.clone(), store::Told::new(db.engine), told, clock, RelayConfig::default());
        let lag = relay.lag();
        let shown = lag.clone();
        health.metrics(move || shown.prometheus());
        jobs.spawn("relay", relay.run(jobs.shutdown()));
        jobs.spawn("directory", directory.clone().follow(bus.clone(), jobs.shutdown()));
        jobs.spawn("sessions", barid_bus::consume(bus.clone(), consumers::Sessions(store.clone()), jobs.shutdown()));
        let tenants = consumers::Tenants { store: store.clone(), directory: directory.clone() };
        jobs.spawn("tenants", barid_bus::consume(bus.clone(), tenants, jobs.shutdown()));
        jobs::start(&jobs, &store, &directory, &config, lag, &outlets);

        let item = guard.input("/barid.queue.v1.MessageService/SendMessage").expect("the protos have the method");
        let sessions = clients::Sessions::new(&bus);
        let state = api::State { store, committer, address_book, directory, renderer, sessions, guard: guard.clone(), item };
        let server = Server::new(bus.clone(), guard)
            .add(MessageServiceServer::new(state.clone()))
            .add(QueueServiceServer::new(state.clone()))
            .add(JobServiceServer::new(state.clone()))
            .add(ContactServiceServer::new(state.clone()))
            .add(EventServiceServer::new(state.clone()))
            .add(InboundServiceServer::new(state.clone()))
            .add(LedgerServiceServer::new(state));
        server.run(shutdown, || health.serving()).await?;
        health.draining();
        // Every call is answered by now, so nobody hands anything over any more and the last batches end the work.
        for batch in batches {
            if let Err(error) = batch.await {
                tracing::error!(%error, "a batch failed");
            }
        }
        jobs.drained().await;
        bus.close().await;
        Ok(())
    }
}
