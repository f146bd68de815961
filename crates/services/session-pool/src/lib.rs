//! Owns the sessions: sends what the ledger hands out, and brings back what WhatsApp tells.
//!
//! At any moment one replica owns a session, proven by an epoch that the ledger knows before the first message goes. `ownership` says when a
//! replica may send, [`choice`] which sessions come first, and the pump does it.

mod api;
mod breaker;
pub mod choice;
mod clients;
mod error;
mod jobs;
mod ownership;
mod pace;
mod pump;
mod registration;
mod replica;
mod share;
mod store;
mod verdict;
mod webhook;
mod wire;

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Relay, RelayConfig, Server, Service};
use barid_db::{Db, Outbox, TenantKeys};
use barid_domain::Clock;
use barid_proto::{
    Guard,
    session_pool::v1::{pool_service_server::PoolServiceServer, session_service_server::SessionServiceServer},
};
use barid_runtime::{Health, HealthConfig, Jobs, TelemetryConfig, config::Validate};
use barid_vault::{MasterKey, Vault};
use barid_whatsapp::cloud::{Client, Settings};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use error::Error;

/// The defaults, with their explanations.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub cloud: CloudConfig,
    pub pool: PoolConfig,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub nats: barid_bus::Config,
    pub database: barid_db::Config,
    pub vault: barid_vault::Config,
}

/// Where Meta's Cloud API is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CloudConfig {
    pub base_url: String,
    pub version: String,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
}

/// How much a replica takes on.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    #[serde(with = "humantime_serde")]
    pub heartbeat_ttl: Duration,
    #[serde(with = "humantime_serde")]
    pub tick: Duration,
    pub slots: usize,
    pub max_in_flight: u32,
    pub max_in_flight_per_session: u32,
}

impl Validate for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |right: bool, problem: &str| {
            if !right {
                problems.push(problem.to_owned());
            }
        };
        let (cloud, pool) = (&self.cloud, &self.pool);
        let is_address = cloud.base_url.starts_with("http://") || cloud.base_url.starts_with("https://");
        check(is_address, "cloud.base_url: is no http or https address");
        check(!cloud.version.is_empty(), "cloud.version: is empty; give one such as v23.0");
        check(!cloud.connect_timeout.is_zero(), "cloud.connect_timeout: is zero");
        check(cloud.request_timeout >= cloud.connect_timeout, "cloud.request_timeout: is shorter than connect_timeout");
        check(pool.heartbeat_ttl >= Duration::from_millis(300), "pool.heartbeat_ttl: is shorter than 300ms");
        check(
            pool.heartbeat_ttl <= Duration::from_secs(60),
            "pool.heartbeat_ttl: is longer than a minute; sessions would wait for so long",
        );
        check(pool.tick >= Duration::from_millis(10), "pool.tick: is shorter than 10ms");
        check(pool.tick <= Duration::from_secs(60), "pool.tick: is longer than a minute");
        check(pool.slots >= 1, "pool.slots: give at least 1");
        check((1..=4096).contains(&pool.max_in_flight), "pool.max_in_flight: give 1 to 4096");
        let per_session = (1..=pool.max_in_flight).contains(&pool.max_in_flight_per_session);
        check(per_session, "pool.max_in_flight_per_session: give at least 1 and at most max_in_flight");
        problems
    }
}

/// The service with everything it needs.
pub struct App {
    config: Config,
    bus: Bus,
    db: Db,
    clock: Arc<dyn Clock>,
    store: store::Store,
    cloud: Client,
    told: Arc<Notify>,
}

impl App {
    /// Connects to what the service needs.
    pub async fn build(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let master = MasterKey::read(&config.vault.master_key_file)?;
        let cloud = Client::new(&Settings {
            base_url: config.cloud.base_url.clone(),
            version: config.cloud.version.clone(),
            connect_timeout: config.cloud.connect_timeout,
            request_timeout: config.cloud.request_timeout,
        })?;
        let bus = Bus::connect(&config.nats, Service::SessionPool).await?;
        let db = Db::connect(&config.database).await?;
        let vault = Vault::new(master, TenantKeys::new(db.engine.clone(), "session_pool"));
        let told = Arc::new(Notify::new());
        let store = store::Store::new(db.clone(), vault, clock.clone(), bus.clone(), told.clone());
        Ok(Self { config: config.clone(), bus, db, clock, store, cloud, told })
    }

    /// Serves until `shutdown`, then finishes what it has.
    pub async fn run(self, health: Health, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { config, bus, db, clock, store, cloud, told } = self;
        let lease = ownership::Lease::new(Arc::new(ownership::Boottime), config.pool.heartbeat_ttl);
        let (connected, database, beating) = (bus.clone(), db.clone(), lease.clone());
        health.check("nats", move || std::future::ready(connected.is_connected()));
        health.check("postgres", move || {
            let database = database.clone();
            async move { database.is_reachable().await }
        });
        health.check("heartbeat", move || std::future::ready(beating.holds()));

        let jobs = Jobs::new(shutdown.clone());
        let directory = clients::Directory::new(&bus);
        let arrived = Arc::new(Notify::new());
        // A request of an owner that died may still be under way for as long as it may take.
        let patience = config.pool.heartbeat_ttl + config.cloud.request_timeout;
        let replica = Uuid::new_v4();
        tracing::info!(%replica, "a replica begins");
        let (alive, known) = watch::channel(Vec::new());
        let heart = replica::Heart { store: store.clone(), replica, ttl: config.pool.heartbeat_ttl, lease: lease.clone(), alive };
        heart.beat().await?;
        let parts = pump::Parts {
            replica,
            store: store.clone(),
            bus: bus.clone(),
            directory: directory.clone(),
            clock: clock.clone(),
            lease,
            alive: known,
            cloud,
            config: config.pool,
            patience,
        };
        let (pump, reporting) = pump::Pump::new(parts).await?;
        let relay = Relay::new(bus.clone(), Outbox::new(db.engine, store::EVENTS), told, clock.clone(), RelayConfig::default());
        jobs.spawn("relay", relay.run(jobs.shutdown()));
        jobs.spawn("tenant changes", directory.clone().follow(&bus, jobs.shutdown()).await?);
        jobs.spawn("reports", reporting);
        jobs.spawn("pump", replica::live(heart, pump, bus.clone(), jobs.shutdown()));
        jobs::start(&jobs, &store, clients::Ledger::new(bus.channel()), clock, arrived.clone(), patience);

        let state = api::State { store, directory, arrived };
        let server = Server::new(bus.clone(), Arc::new(Guard::new()))
            .add(SessionServiceServer::new(state.clone()))
            .add(PoolServiceServer::new(state));
        server.run(shutdown, || health.serving()).await?;
        health.draining();
        jobs.drained().await;
        bus.close().await;
        Ok(())
    }
}
