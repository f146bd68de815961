//! How long events wait to be told.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use barid_domain::Clock;
use barid_proto::events::v1::Position;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::{BoxError, Outbox};

/// How far a relay is behind. Clone it freely.
#[derive(Clone)]
pub struct Lag {
    entity: &'static str,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The last event that is known to be told.
    told: Option<Position>,
    /// When the first event after it was written; none when there is none.
    oldest: Option<DateTime<Utc>>,
}

impl Lag {
    /// How often the ledger is looked at.
    const LOOK: Duration = Duration::from_secs(1);
    /// How often the log repeats itself.
    const REPEAT: Duration = Duration::from_secs(30);

    pub(crate) fn new(entity: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self { entity, clock, state: Arc::default() }
    }

    /// Age of the oldest event that is not told yet; zero when every one is. It grows on while the ledger cannot be read.
    pub fn age(&self) -> Duration {
        let oldest = self.state().oldest;
        oldest.and_then(|at| (self.clock.now() - at).to_std().ok()).unwrap_or_default()
    }

    /// The last event that is known to be told; none before it is known where the stream stands.
    pub fn position(&self) -> Option<Position> {
        self.state().told
    }

    /// As a line of Prometheus' text format.
    pub fn prometheus(&self) -> String {
        let name = "barid_relay_lag_seconds";
        let help = "Age of the oldest event that is not told yet";
        format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{entity=\"{}\"}} {:.3}\n", self.entity, self.age().as_secs_f64())
    }

    pub(crate) fn told(&self, position: Position) {
        self.state().told = Some(position);
    }

    /// Looks at the ledger until `shutdown`, and warns of events that are older than `alarm`.
    pub(crate) async fn watch(&self, outbox: &impl Outbox, alarm: Duration, shutdown: &CancellationToken) {
        let begun = self.clock.now();
        let mut warned: Option<tokio::time::Instant> = None;
        while shutdown.run_until_cancelled(tokio::time::sleep(Self::LOOK)).await.is_some() {
            if let Err(error) = self.look(outbox, begun).await {
                tracing::debug!(entity = self.entity, %error, "the ledger cannot be looked at");
            }
            let age = self.age();
            if age >= alarm && warned.is_none_or(|at| at.elapsed() >= Self::REPEAT) {
                warned = Some(tokio::time::Instant::now());
                let seconds = age.as_secs();
                tracing::warn!(entity = self.entity, seconds, "events wait to be told: is NATS down, or a transaction open for long?");
            } else if age < alarm {
                warned = None;
            }
        }
    }

    async fn look(&self, outbox: &impl Outbox, begun: DateTime<Utc>) -> Result<(), BoxError> {
        let told = self.state().told;
        // Before it is known where the stream stands, only what has happened since counts.
        let after = match told {
            Some(position) => position,
            None => outbox.before(begun).await?,
        };
        self.state().oldest = outbox.oldest(after).await?;
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
