//! The template service: what businesses say in their messages, and how it reads with a customer's data filled in.

mod api;
mod catalog;
mod consumers;
mod convert;
mod error;
mod nearest;
pub mod render;
mod rules;
pub mod starters;
mod store;
mod tenants;

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Relay, RelayConfig, Server, Service};
use barid_db::Db;
use barid_domain::{Clock, Minter};
use barid_proto::{
    Guard,
    template::v1::{renderer_service_server::RendererServiceServer, template_service_server::TemplateServiceServer},
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
    /// How long tenants and templates are remembered when the news of a change was lost.
    #[serde(with = "humantime_serde")]
    pub cache_ttl: Duration,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub nats: barid_bus::Config,
    pub database: barid_db::Config,
}

impl Validate for Config {
    fn problems(&self) -> Vec<String> {
        if self.cache_ttl > Duration::from_secs(600) {
            vec!["cache_ttl: is longer than 10 minutes; a lost notice would show for that long".to_owned()]
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
    /// Connects to what the service needs, and compiles the starters.
    pub async fn build(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let bus = Bus::connect(&config.nats, Service::Template).await?;
        let db = Db::connect(&config.database).await?;
        let told = Arc::new(Notify::new());
        let store = store::Store::new(db.clone(), Arc::new(Minter::new(clock.clone())), clock.clone(), told.clone());
        let engine = Arc::new(render::Engine::new());
        let state = api::State {
            bus: bus.clone(),
            catalog: catalog::Catalog::new(store.clone(), engine.clone(), config.cache_ttl)?,
            tenants: tenants::Tenants::new(bus.channel(), config.cache_ttl),
            engine,
            store,
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
        let relay = Relay::new(bus.clone(), store::outbox(&db), told, clock, RelayConfig::default());
        jobs.spawn("relay", relay.run(jobs.shutdown()));
        let tenant_changes = consumers::tenant_changed::listen(&bus, state.tenants.clone()).await?;
        jobs.spawn("tenant changes", until(jobs.shutdown(), tenant_changes));
        let template_changes = consumers::template_changed::listen(&bus, state.catalog.clone()).await?;
        jobs.spawn("template changes", until(jobs.shutdown(), template_changes));
        let server = Server::new(bus.clone(), Arc::new(Guard::new()))
            .add(TemplateServiceServer::new(state.clone()))
            .add(RendererServiceServer::new(state));
        server.run(shutdown, || health.serving()).await?;
        health.draining();
        jobs.drained().await;
        bus.close().await;
        Ok(())
    }
}

async fn until(shutdown: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}
