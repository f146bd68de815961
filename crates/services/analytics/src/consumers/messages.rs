//! What happened to messages, counted.

use std::time::Duration;

use barid_bus::{Applied, BoxError, Checkpoint, Consumer};
use barid_proto::events::v1::Event;

use crate::{store::Store, tally::Tally};

const NAME: &str = "messages";

/// Figures may be so old.
const GATHER: Duration = Duration::from_millis(250);

pub(crate) struct Messages(pub Store);

impl Consumer for Messages {
    fn entity(&self) -> &'static str {
        "message"
    }

    fn gather(&self) -> Duration {
        GATHER
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        Ok(Some(self.0.checkpoint(NAME).await?))
    }

    async fn apply(&self, events: Vec<Event>, from: Checkpoint, to: Checkpoint) -> Result<Applied, BoxError> {
        Ok(self.0.count(NAME, Tally::of(&events), from, to).await?)
    }
}
