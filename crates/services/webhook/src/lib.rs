//! Tells tenants at their own addresses what happens: signed, in order, at least once, and never to an address that only Barid can reach.
//!
//! Events become deliveries in the commit that keeps the consumer's place ([`store`]); couriers of every replica take them in turns and write
//! what came of each attempt ([`jobs`]).

mod api;
mod body;
mod carrier;
mod consumers;
mod error;
mod exchange;
mod filter;
mod jobs;
mod registration;
mod retry;
mod signature;
mod store;
mod verdict;

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Relay, RelayConfig, Server, Service};
use barid_db::{Db, Outbox, TenantKeys};
use barid_domain::{Clock, Minter};
use barid_egress::Sender;
use barid_proto::{
    Guard,
    webhook::v1::{delivery_service_server::DeliveryServiceServer, endpoint_service_server::EndpointServiceServer},
};
use barid_runtime::{Health, HealthConfig, Jobs, TelemetryConfig, config::Validate};
use barid_vault::{MasterKey, Vault};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

pub use error::Error;

/// The defaults, with their explanations.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Longest that an attempt may take.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(15);
/// Longer than the last retry can take.
const SHORTEST_RETENTION: Duration = Duration::from_secs(2 * 24 * 3600);
const SHORTEST_FAILING: Duration = Duration::from_secs(24 * 3600);
/// Endpoints tested at once by one replica.
const TESTS: usize = 32;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long deliveries are kept.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How long an endpoint may fail.
    #[serde(with = "humantime_serde")]
    pub disable_after: Duration,
    /// Requests under way at once in this replica, and to one endpoint.
    pub concurrency: usize,
    pub endpoint_concurrency: u32,
    pub egress: barid_egress::Settings,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub nats: barid_bus::Config,
    pub database: barid_db::Config,
    pub vault: barid_vault::Config,
}

impl Validate for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.retention < SHORTEST_RETENTION {
            problems.push("retention: is shorter than the last retry can take; give at least 2d".to_owned());
        }
        if self.disable_after < SHORTEST_FAILING {
            problems.push("disable_after: is shorter than a day; give at least 1d".to_owned());
        }
        if self.concurrency == 0 || self.endpoint_concurrency == 0 {
            problems.push("concurrency, endpoint_concurrency: are 0, which delivers nothing; give at least 1".to_owned());
        }
        if self.egress.total_timeout > LONGEST_ATTEMPT {
            problems.push("egress.total_timeout: is longer than an endpoint may take; give at most 15s".to_owned());
        }
        problems.extend(self.egress.problems().into_iter().map(|problem| format!("egress.{problem}")));
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
    sender: Sender,
    told: Arc<Notify>,
    waiting: Arc<Notify>,
}

impl App {
    /// Connects to what the service needs.
    pub async fn build(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let sender = Sender::new(&config.egress)?;
        let master = MasterKey::read(&config.vault.master_key_file)?;
        let bus = Bus::connect(&config.nats, Service::Webhook).await?;
        let db = Db::connect(&config.database).await?;
        let vault = Vault::new(master, TenantKeys::new(db.engine.clone(), "webhook"));
        let (told, waiting) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let ids = Arc::new(Minter::new(clock.clone()));
        let store = store::Store::new(db.clone(), vault, ids, clock.clone(), told.clone(), waiting.clone());
        Ok(Self { config: config.clone(), bus, db, clock, store, sender, told, waiting })
    }

    /// With another way to find addresses than the machine's. They are judged all the same.
    pub fn with_resolver(self, resolver: impl barid_egress::Resolve) -> Result<Self, Error> {
        Ok(Self { sender: Sender::with_resolver(&self.config.egress, resolver)?, ..self })
    }

    /// Delivers and serves until `shutdown`, then finishes what it has.
    pub async fn run(self, health: Health, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { config, bus, db, clock, store, sender, told, waiting } = self;
        let (connected, database) = (bus.clone(), db.clone());
        health.check("nats", move || std::future::ready(connected.is_connected()));
        health.check("postgres", move || {
            let database = database.clone();
            async move { database.is_reachable().await }
        });
        let jobs = Jobs::new(shutdown.clone());
        let relay = Relay::new(bus.clone(), Outbox::new(db.engine, store::EVENTS), told, clock, RelayConfig::default());
        let lag = relay.lag();
        health.metrics(move || lag.prometheus());
        jobs.spawn("relay", relay.run(jobs.shutdown()));
        let writer = body::Writer::new();
        for entity in consumers::LEDGERS {
            let ledger = consumers::Ledger { entity, store: store.clone(), writer: writer.clone() };
            jobs.spawn(entity, barid_bus::consume(bus.clone(), ledger, jobs.shutdown()));
        }
        let carrier = carrier::Carrier::new(sender, config.egress.total_timeout);
        let courier = jobs::Courier {
            store: store.clone(),
            carrier: carrier.clone(),
            waiting,
            concurrency: config.concurrency,
            endpoint_concurrency: config.endpoint_concurrency,
            disable_after: config.disable_after,
        };
        jobs.spawn("courier", courier.run(jobs.shutdown()));
        jobs::wind_up(&jobs, &store);
        jobs::forget(&jobs, &store, config.retention);

        let state = api::State { store, carrier, writer, tests: Arc::new(Semaphore::new(TESTS)) };
        let server = Server::new(bus.clone(), Arc::new(Guard::new()))
            .add(EndpointServiceServer::new(state.clone()))
            .add(DeliveryServiceServer::new(state));
        server.run(shutdown, || health.serving()).await?;
        health.draining();
        jobs.drained().await;
        bus.close().await;
        Ok(())
    }
}
