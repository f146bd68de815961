//! A WhatsApp in a box: the Cloud API over real HTTP, with signed webhooks, phones you can look at and faults you
//! can arm. The README of this crate describes its HTTP API.

mod config;
mod control;
mod directory;
mod faults;
mod flow;
mod graph;
mod media;
mod page;
mod phone;
mod phones;
mod stats;
mod template;
mod templates;
mod timer;
mod wamid;
mod webhook;
mod world;

use std::{future::Future, time::Duration};

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{App, Config, DEFAULTS, Delays, Invalid, Meta, Phones, Webhooks};

/// How long requests under way may take once the simulator is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Why the simulator did not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] Invalid),
    #[error("the HTTP client for webhooks cannot be built")]
    Client(#[from] reqwest::Error),
    #[error("the listener failed")]
    Serve(#[from] std::io::Error),
}

/// Serves the simulated WhatsApp on `listener` until `shutdown`, then ends requests under way within two seconds.
///
/// # Errors
/// When the configuration is invalid, or the listener fails.
pub async fn serve(config: Config, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
    config.validate()?;
    // A child, so that what runs here also ends when the listener fails.
    let stop = shutdown.child_token();
    let world = world::World::new(config, stop.clone())?;
    world.tasks.spawn(flow::run(world.clone()));
    let app = page::router().merge(control::router()).merge(graph::router()).with_state(world.clone());
    let listener = listener.tap_io(|stream| {
        // Small answers must not wait for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    tracing::info!(address = ?axum::serve::Listener::local_addr(&listener).ok(), "simulator listens");
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let served = within(server.into_future(), &stop).await;
    stop.cancel();
    world.tasks.close();
    world.tasks.wait().await;
    served.map_err(Error::from)
}

/// Runs the server, and past `stop` only as long as allowed for the last requests.
async fn within(server: impl Future<Output = std::io::Result<()>>, stop: &CancellationToken) -> std::io::Result<()> {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        served = server => served,
        () = late => Ok(()),
    }
}
