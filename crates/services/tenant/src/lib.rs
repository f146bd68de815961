//! Organisations, tenants, and the keys to both.

mod api;
mod error;
mod settings;
mod store;

use std::sync::Arc;

use barid_bus::{Bus, Relay, RelayConfig, Server, Service};
use barid_db::{Db, Outbox};
use barid_domain::{Clock, Minter, Secret};
use barid_proto::{
    Guard,
    tenant::v1::{
        api_key_service_server::ApiKeyServiceServer, directory_service_server::DirectoryServiceServer,
        organisation_service_server::OrganisationServiceServer, tenant_service_server::TenantServiceServer,
    },
};
use barid_runtime::{Health, HealthConfig, Jobs, TelemetryConfig, config::Validate};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use error::Error;

/// The defaults, with their explanations.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub platform_key: Secret,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub nats: barid_bus::Config,
    pub database: barid_db::Config,
}

impl Validate for Config {
    fn problems(&self) -> Vec<String> {
        if self.platform_key.expose().len() < 32 {
            vec!["platform_key: is shorter than 32 characters; make one with `openssl rand -hex 32`".to_owned()]
        } else {
            Vec::new()
        }
    }
}

/// The service with everything it needs.
pub struct App {
    bus: Bus,
    db: Db,
    clock: Arc<dyn Clock>,
    state: api::State,
    told: Arc<Notify>,
}

impl App {
    /// Connects to what the service needs.
    pub async fn build(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let bus = Bus::connect(&config.nats, Service::Tenant).await?;
        let db = Db::connect(&config.database).await?;
        let told = Arc::new(Notify::new());
        let state = api::State {
            store: store::Store::new(db.clone(), Arc::new(Minter::new(clock.clone())), clock.clone(), told.clone()),
            bus: bus.clone(),
            platform_key: Arc::new(store::digest(config.platform_key.expose())),
        };
        Ok(Self { bus, db, clock, state, told })
    }

    /// Serves until `shutdown`, then finishes what it has.
    pub async fn run(self, health: Health, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { bus, db, clock, state, told } = self;
        let (connected, database) = (bus.clone(), db.clone());
        health.check("nats", move || std::future::ready(connected.is_connected()));
        health.check("postgres", move || {
            let database = database.clone();
            async move { database.is_reachable().await }
        });
        let jobs = Jobs::new(shutdown.clone());
        let relay = Relay::new(bus.clone(), Outbox::new(db.engine, store::EVENTS), told, clock, RelayConfig::default());
        jobs.spawn("relay", relay.run(jobs.shutdown()));
        let server = Server::new(bus.clone(), Arc::new(Guard::new()))
            .add(OrganisationServiceServer::new(state.clone()))
            .add(TenantServiceServer::new(state.clone()))
            .add(ApiKeyServiceServer::new(state.clone()))
            .add(DirectoryServiceServer::new(state));
        server.run(shutdown, || health.serving()).await?;
        health.draining();
        jobs.drained().await;
        bus.close().await;
        Ok(())
    }
}
