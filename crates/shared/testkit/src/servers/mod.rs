//! The three servers. Each can be stopped, killed and started again on the same port and data.

mod nats;
mod postgres;
mod redis;

pub use nats::Nats;
pub use postgres::{Durability, Postgres};
pub use redis::Redis;

use crate::process::Process;
use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

/// Beyond this a server that still runs is considered stuck. Generous: the machine may be busy compiling.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Waits until `ready` says so; an error as soon as the process ended.
async fn until_ready<F: Future<Output = bool>>(process: &Process, mut ready: impl FnMut() -> F) -> Result<()> {
    let start = Instant::now();
    loop {
        if let Some(status) = process.ended() {
            bail!("{} ended at once ({status}); the end of its log:\n{}", process.name(), process.log_tail(15));
        }
        if ready().await {
            return Ok(());
        }
        if start.elapsed() > START_LIMIT {
            bail!("{} is not ready after {START_LIMIT:?}; the end of its log:\n{}", process.name(), process.log_tail(15));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How often a server is started on another port when the one that was free is taken by someone faster.
const PORT_ATTEMPTS: usize = 5;

/// Runs `start` on the given port, or on free ones until one is still free when the server binds it.
async fn on_port<T, F: Future<Output = Result<T>>>(port: Option<u16>, mut start: impl FnMut(u16) -> F) -> Result<T> {
    if let Some(port) = port {
        return start(port).await;
    }
    let mut attempt = 1;
    loop {
        match start(crate::free_port()?).await {
            // The three servers' logs agree on these words, but for the capital.
            Err(error) if attempt < PORT_ATTEMPTS && error.to_string().to_lowercase().contains("address already in use") => attempt += 1,
            outcome => return outcome,
        }
    }
}
