//! Runs parts as a process, from the first connection to the last task.

use std::path::Path;

use anyhow::{Context, Result};
use barid_runtime::{init_telemetry, shutdown_signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::part::Part;

/// Runs one part until the process is asked to stop.
pub(crate) async fn one(part: Part, file: Option<&Path>) -> Result<()> {
    let _telemetry = init_telemetry(part.section(), &part.telemetry(file)?)?;
    let shutdown = CancellationToken::new();
    let running = part.run(file, shutdown.clone());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended,
        signal = shutdown_signal() => signal?,
    }
    tracing::info!("asked to stop; finishing");
    shutdown.cancel();
    running.await
}

/// Runs every service in one process. One that ends takes the others with it.
pub(crate) async fn all(file: Option<&Path>) -> Result<()> {
    let _telemetry = init_telemetry("all", &Part::Gateway.telemetry(file)?)?;
    let shutdown = CancellationToken::new();
    let mut running = JoinSet::new();
    for part in Part::SERVICES {
        let (file, shutdown) = (file.map(Path::to_path_buf), shutdown.clone());
        running.spawn(async move { part.run(file.as_deref(), shutdown).await.with_context(|| format!("{} ended", part.section())) });
    }
    let mut outcome = Ok(());
    tokio::select! {
        Some(ended) = running.join_next() => outcome = ended.map_err(Into::into).flatten(),
        signal = shutdown_signal() => signal?,
    }
    tracing::info!("stopping; finishing");
    shutdown.cancel();
    while let Some(ended) = running.join_next().await {
        outcome = outcome.and(ended.map_err(Into::into).flatten());
    }
    outcome
}
