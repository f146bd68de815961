//! Sessions that are gone: what waits for them ends.

use barid_bus::{Applied, BoxError, Checkpoint, Consumer};
use barid_domain::SessionId;
use barid_proto::events::v1::Event;

use crate::store::Store;

pub(crate) struct Sessions(pub Store);

impl Consumer for Sessions {
    fn entity(&self) -> &'static str {
        "session"
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        Ok(Some(self.0.checkpoint("sessions").await?))
    }

    async fn apply(&self, events: Vec<Event>, from: Checkpoint, to: Checkpoint) -> Result<Applied, BoxError> {
        let gone: Vec<SessionId> =
            events.iter().filter(|event| event.kind == "deleted").filter_map(|event| event.entity_id.parse().ok()).collect();
        Ok(self.0.sessions_gone("sessions", gone, from, to).await?)
    }
}
