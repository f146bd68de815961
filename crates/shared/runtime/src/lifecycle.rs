//! From the first signal to the last task.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Ends when the process is asked to: SIGTERM or SIGINT.
pub async fn shutdown_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The background work of a service: started together, asked to stop together, waited for with a bound.
#[derive(Clone, Debug)]
pub struct Jobs {
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Jobs {
    /// How long work may take to finish after it was asked to.
    pub const DRAIN: Duration = Duration::from_secs(20);

    pub fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, tasks: TaskTracker::new() }
    }

    /// The token that asks them to stop.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts a job.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, name: &'static str, job: F) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            job.await;
            if !shutdown.is_cancelled() {
                tracing::error!(job = name, "a job ended by itself");
            }
        });
    }

    /// Runs `work` every `interval` until shutdown; an error is logged and the next turn comes all the same.
    pub fn every<W, F, E>(&self, name: &'static str, interval: Duration, mut work: W)
    where
        W: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send,
        E: std::fmt::Display,
    {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(interval) => {}
                }
                if let Err(error) = work().await {
                    tracing::warn!(job = name, %error, "a turn failed");
                }
            }
        });
    }

    /// Waits for all of them, at most [`Jobs::DRAIN`].
    pub async fn drained(&self) {
        self.tasks.close();
        if tokio::time::timeout(Self::DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "jobs did not finish in time and are dropped");
        }
    }
}
