//! Owns the sessions: sends what the ledger hands out, and brings back what WhatsApp tells.
//!
//! At any moment one replica owns a session, proven by an epoch that the ledger knows before the first message goes. `ownership` says when a
//! replica may send, [`choice`] which sessions come first, and the pump does it.

#![cfg_attr(
    not(feature = "web"),
    allow(dead_code, unused_imports, reason = "much of it serves connections, which only a build with `web` has")
)]

mod api;
pub mod balance;
pub mod breaker;
pub mod choice;
mod clients;
mod config;
mod error;
mod figures;
mod jobs;
mod link;
pub mod logins;
mod meta;
mod ownership;
pub mod pace;
mod picture;
mod pump;
mod registration;
mod replica;
mod share;
mod signals;
mod store;
mod verdict;
#[cfg(feature = "web")]
mod web;
mod webhook;
mod wire;

use std::sync::Arc;

use barid_bus::{Bus, Relay, RelayConfig, Server, Service};
use barid_db::{Db, Outbox, TenantKeys};
use barid_domain::Clock;
use barid_proto::{
    Guard,
    session_pool::v1::{
        Replica, pairing_service_server::PairingServiceServer, pool_service_server::PoolServiceServer,
        pool_status_service_server::PoolStatusServiceServer, session_service_server::SessionServiceServer,
    },
};
use barid_runtime::{Health, Jobs};
use barid_vault::{MasterKey, Vault};
use barid_whatsapp::cloud::{Client, Settings};
use prost::Message;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use config::{CloudConfig, Config, DEFAULTS, PacingConfig, PoolConfig, WebConfig};
pub use error::Error;

/// The service with everything it needs.
pub struct App {
    config: Config,
    bus: Bus,
    db: Db,
    clock: Arc<dyn Clock>,
    store: store::Store,
    cloud: Client,
    blobs: barid_blob::Store,
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
        let blobs = barid_blob::Store::open(&config.media, vault.clone())?;
        let store = store::Store::new(db.clone(), vault, clock.clone(), bus.clone(), told.clone());
        Ok(Self { config: config.clone(), bus, db, clock, store, cloud, blobs, told })
    }

    /// Serves until `shutdown`, then finishes what it has.
    pub async fn run(self, health: Health, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { config, bus, db, clock, store, cloud, blobs, told } = self;
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
        let patience = store::Patience {
            // A request of an owner that died may still be under way for as long as it may take.
            cloud: config.pool.heartbeat_ttl + config.cloud.request_timeout,
            web: config.pool.heartbeat_ttl,
        };
        let replica = Uuid::new_v4();
        tracing::info!(%replica, "a replica begins");
        let (alive, known) = watch::channel(Vec::new());
        let (standing, stands) = watch::channel(replica::Standing::default());
        let figures = stands.clone();

        health.metrics(move || figures::prometheus(&Replica::decode(figures.borrow().status.as_slice()).unwrap_or_default()));
        let heart =
            replica::Heart { store: store.clone(), replica, ttl: config.pool.heartbeat_ttl, lease: lease.clone(), alive, standing: stands };
        heart.beat().await?;
        let ledger = clients::Ledger::new(bus.channel());
        let (signals, signalling) = signals::Signals::listen(&bus, jobs.shutdown()).await?;
        jobs.spawn("signals", signalling);
        let news = pump::news(&config.pool);
        let house = House {
            replica,
            store: store.clone(),
            blobs: blobs.clone(),
            ledger: ledger.clone(),
            lease: lease.clone(),
            clock: clock.clone(),
            arrived: arrived.clone(),
            news: news.0.clone(),
            patience,
        };
        let (dialer, pairer) = devices(&config, house, &jobs)?;
        let files = cloud.clone();
        let parts = pump::Parts {
            replica,
            store: store.clone(),
            bus: bus.clone(),
            directory: directory.clone(),
            clock: clock.clone(),
            lease,
            alive: known,
            cloud,
            dialer,
            news,
            standing,
            config: config.pool.clone(),
            pacing: config.pacing.clone(),
            patience,
        };
        let (pump, reporting) = pump::Pump::new(parts).await?;
        let relay = Relay::new(bus.clone(), Outbox::new(db.engine, store::EVENTS), told, clock.clone(), RelayConfig::default());
        jobs.spawn("relay", relay.run(jobs.shutdown()));
        jobs.spawn("tenant changes", directory.clone().follow(&bus, jobs.shutdown()).await?);
        jobs.spawn("reports", reporting);
        jobs.spawn("pump", replica::live(heart, pump, bus.clone(), jobs.shutdown()));
        let (intake, handed, storing) = store::Intake::new(store.clone(), replica, arrived.clone());
        let storing = tokio::spawn(storing);
        let ttl = config.pool.heartbeat_ttl;
        let inbox = jobs::Inbox { replica, ttl, store: store.clone(), ledger, clock: clock.clone(), arrived };
        jobs::start(&jobs, &store, inbox, handed, patience.cloud);

        let state =
            api::State { store, intake, cloud: files, directory, signals, pairer, blobs, clock, media_limit: config.web.media_limit, ttl };
        let server = Server::new(bus.clone(), Arc::new(Guard::new()))
            .add(SessionServiceServer::new(state.clone()))
            .add(PairingServiceServer::new(state.clone()))
            .add(PoolStatusServiceServer::new(state.clone()))
            .add(PoolServiceServer::new(state));
        server.run(shutdown, || health.serving()).await?;
        health.draining();
        // Every call is answered by now, so the intakes are gone.
        if let Err(error) = storing.await {
            tracing::error!(%error, "the intake failed");
        }
        jobs.drained().await;
        bus.close().await;
        Ok(())
    }
}

/// What connections need of the rest of the service.
pub(crate) struct House {
    replica: Uuid,
    store: store::Store,
    blobs: barid_blob::Store,
    ledger: clients::Ledger,
    lease: ownership::Lease,
    clock: Arc<dyn Clock>,
    arrived: Arc<Notify>,
    news: tokio::sync::mpsc::Sender<pump::News>,
    patience: store::Patience,
}

type Devices = (Option<Arc<dyn link::Dialer>>, Option<Arc<dyn link::Pairer>>);

/// What connects and links devices; nothing in a build without them.
#[cfg(feature = "web")]
fn devices(config: &Config, house: House, jobs: &Jobs) -> Result<Devices, Error> {
    let devices = web::Devices::start(config, house, jobs)?;
    Ok((Some(devices.clone()), Some(devices)))
}

#[cfg(not(feature = "web"))]
fn devices(_: &Config, _: House, _: &Jobs) -> Result<Devices, Error> {
    Ok((None, None))
}
