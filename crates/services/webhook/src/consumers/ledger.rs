//! What one ledger tells, put into the lines of the endpoints that want it.

use std::time::Duration;

use barid_bus::{Applied, BoxError, Checkpoint, Consumer};
use barid_proto::events::v1::Event;

use crate::{body::Writer, filter::ENTITIES, store::Store};

/// The ledgers, each by the entity that names its stream. What customers write is told with the messages.
pub(crate) const LEDGERS: [&str; 4] = ["message", "session", "template", "webhook"];

/// Tenants hear of things so much later, and steps of many messages share a transaction.
const GATHER: Duration = Duration::from_millis(20);

pub(crate) struct Ledger {
    pub entity: &'static str,
    pub store: Store,
    pub writer: Writer,
}

impl Consumer for Ledger {
    fn entity(&self) -> &'static str {
        self.entity
    }

    fn gather(&self) -> Duration {
        GATHER
    }

    fn wants(&self, event: &Event) -> bool {
        ENTITIES.contains(&event.entity.as_str())
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        Ok(Some(self.store.checkpoint(self.entity).await?))
    }

    async fn apply(&self, events: Vec<Event>, from: Checkpoint, to: Checkpoint) -> Result<Applied, BoxError> {
        Ok(self.store.enqueue(self.entity, self.writer.clone(), events, from, to).await?)
    }
}
