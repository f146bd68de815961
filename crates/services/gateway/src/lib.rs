//! The only public door. It authenticates, checks the access rule of the method, limits the rate, and passes bytes on: gRPC as it comes,
//! REST through the transcoder. No method has code here, but for the streams that the gateway itself feeds.

mod access;
mod auth;
mod calls;
mod config;
mod directory;
mod door;
mod framing;
mod grpc;
mod hub;
mod polled;
mod rest;
mod signature;
mod sse;
mod state;
mod subscribe;
mod tether;
mod waiting;
mod webhooks;

use std::sync::Arc;

use barid_bus::{Bus, Service};
use barid_cache::Limiter;
use barid_runtime::{Health, Jobs};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{Config, DEFAULTS, Limits, MetaApp};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Bus(#[from] barid_bus::ConnectError),
    #[error(transparent)]
    Limiter(#[from] barid_cache::Error),
    #[error("the annotations in the protos do not fit together: {0}")]
    Routes(#[from] barid_transcode::BuildError),
    #[error("the annotations in the protos do not fit together: {0}")]
    Polling(#[from] barid_proto::access::PollingError),
    #[error("the descriptors of the protos cannot be read: {0}")]
    Descriptors(#[from] prost::DecodeError),
    #[error("gRPC reflection cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("serving failed: {0}")]
    Serve(#[from] std::io::Error),
}

/// The gateway with everything it needs.
pub struct App {
    config: Config,
    bus: Bus,
    calls: calls::Calls,
    routes: Arc<rest::Routes>,
    hub: Arc<hub::Hub>,
}

impl App {
    /// Connects to what the gateway needs.
    pub async fn build(config: &Config) -> Result<Self, Error> {
        let bus = Bus::connect(&config.nats, Service::Gateway).await?;
        let limiter = Limiter::new(&config.redis)?;
        let routes = Arc::new(rest::Routes::new()?);
        let calls = calls::Calls::new(&bus, limiter, config)?;
        Ok(Self { config: config.clone(), bus, calls, routes, hub: Arc::default() })
    }

    /// Serves on `listener` until `shutdown`, then finishes what it has.
    pub async fn run(self, listener: TcpListener, health: Health, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { config, bus, calls, routes, hub } = self;
        let connected = bus.clone();
        health.check("nats", move || std::future::ready(connected.is_connected()));
        let jobs = Jobs::new(shutdown.clone());
        jobs.spawn("revocations", calls.auth.clone().follow(bus.clone(), jobs.shutdown()));
        jobs.spawn("tenants", calls.directory.clone().follow(bus.clone(), jobs.shutdown()));
        jobs.spawn("events", barid_bus::consume(bus.clone(), hub::Feed(hub.clone()), jobs.shutdown()));
        let door = door::router(state::State { calls, routes, hub, config: Arc::new(config), shutdown: shutdown.clone() }, health.clone())?;
        health.serving();
        axum::serve(listener, door.into_make_service_with_connect_info::<std::net::SocketAddr>())
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await?;
        health.draining();
        jobs.drained().await;
        bus.close().await;
        Ok(())
    }
}
