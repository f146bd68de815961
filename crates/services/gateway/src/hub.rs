//! One consumer of events per replica feeds every subscriber.

use std::sync::Arc;

use barid_bus::{Applied, BoxError, Checkpoint, Consumer};
use barid_proto::events::v1::Event;
use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Events a subscriber may be behind before it has to read up on the ledger.
const BEHIND: usize = 8192;

/// Where events come in and go out to subscribers.
pub(crate) struct Hub {
    events: broadcast::Sender<Arc<Event>>,
    at: Mutex<Option<Checkpoint>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { events: broadcast::Sender::new(BEHIND), at: Mutex::new(None) }
    }
}

impl Hub {
    /// Everything from now on, of every tenant: the subscriber keeps what is its own.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }
}

/// The consumer of the hub. Its place is in memory: subscribers resume through the ledger.
pub(crate) struct Feed(pub Arc<Hub>);

impl Consumer for Feed {
    fn entity(&self) -> &'static str {
        "message"
    }

    /// Both entities of the queue's ledger: messages and what customers write.
    fn wants(&self, _: &Event) -> bool {
        true
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        Ok(*self.0.at.lock())
    }

    async fn apply(&self, events: Vec<Event>, _: Checkpoint, to: Checkpoint) -> Result<Applied, BoxError> {
        for event in events {
            // Nobody may be listening.
            drop(self.0.events.send(Arc::new(event)));
        }
        *self.0.at.lock() = Some(to);
        Ok(Applied::Done)
    }
}
