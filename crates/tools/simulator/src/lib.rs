//! A WhatsApp in a box: the Cloud API over real HTTP, with signed webhooks, phones you can look at and faults you
//! can arm. The README of this crate describes its HTTP API.

mod config;
mod control;
mod directory;
mod faults;
mod flow;
mod graph;
mod mailbox;
mod media;
mod page;
mod phone;
mod phones;
mod simulator;
mod sms;
mod stats;
mod template;
mod templates;
mod timer;
#[cfg(feature = "web")]
mod tls;
mod wamid;
#[cfg(feature = "web")]
mod web;
mod webhook;
mod world;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{App, Config, DEFAULTS, Delays, Invalid, Meta, Phones, Web, Webhooks};
pub use simulator::Simulator;

/// Why the simulator did not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] Invalid),
    #[error("the HTTP client for webhooks cannot be built")]
    Client(#[from] reqwest::Error),
    #[error("the listener failed")]
    Serve(#[from] std::io::Error),
    #[error("the Web protocol cannot be served: {0}")]
    Web(String),
}

/// Serves the simulated WhatsApp on `listener` until `shutdown`, then ends requests under way within two seconds.
///
/// # Errors
/// When the configuration is invalid, or the listener fails.
pub async fn serve(config: Config, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
    Simulator::build(config, listener).await?.run(shutdown).await
}
