//! Figures, counted from the event stream: how many messages of a tenant reached a state, by quarter of an hour and template.

mod api;
mod clients;
mod consumers;
mod days;
mod error;
mod figures;
mod store;
mod tally;

use std::sync::Arc;

use barid_bus::{Bus, Server, Service};
use barid_db::Db;
use barid_domain::Clock;
use barid_proto::{Guard, analytics::v1::analytics_service_server::AnalyticsServiceServer};
use barid_runtime::{Health, HealthConfig, Jobs, TelemetryConfig, config::Validate};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use error::Error;

/// The defaults, with their explanations.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub nats: barid_bus::Config,
    pub database: barid_db::Config,
}

impl Validate for Config {}

/// The service with everything it needs.
pub struct App {
    bus: Bus,
    db: Db,
    clock: Arc<dyn Clock>,
    store: store::Store,
}

impl App {
    /// Connects to what the service needs.
    pub async fn build(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let bus = Bus::connect(&config.nats, Service::Analytics).await?;
        let db = Db::connect(&config.database).await?;
        let store = store::Store::new(db.clone());
        Ok(Self { bus, db, clock, store })
    }

    /// Counts and serves until `shutdown`, then finishes what it has.
    pub async fn run(self, health: Health, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { bus, db, clock, store } = self;
        let connected = bus.clone();
        health.check("nats", move || std::future::ready(connected.is_connected()));
        health.check("postgres", move || {
            let db = db.clone();
            async move { db.is_reachable().await }
        });
        let jobs = Jobs::new(shutdown.clone());
        let directory = clients::Directory::new(&bus);
        jobs.spawn("directory", directory.clone().follow(bus.clone(), jobs.shutdown()));
        jobs.spawn("messages", barid_bus::consume(bus.clone(), consumers::Messages(store.clone()), jobs.shutdown()));
        let state = api::State { store, directory, clock };
        let server = Server::new(bus.clone(), Arc::new(Guard::new())).add(AnalyticsServiceServer::new(state));
        server.run(shutdown, || health.serving()).await?;
        health.draining();
        jobs.drained().await;
        bus.close().await;
        Ok(())
    }
}
