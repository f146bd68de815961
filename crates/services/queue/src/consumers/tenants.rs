//! Tenants that changed: what waits is judged by their new hours.

use barid_bus::{Applied, BoxError, Checkpoint, Consumer};
use barid_domain::TenantId;
use barid_proto::events::v1::Event;

use crate::{clients::Directory, store::Store};

pub(crate) struct Tenants {
    pub store: Store,
    pub directory: Directory,
}

impl Consumer for Tenants {
    fn entity(&self) -> &'static str {
        "tenant"
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        Ok(Some(self.store.checkpoint("tenants").await?))
    }

    async fn apply(&self, events: Vec<Event>, from: Checkpoint, to: Checkpoint) -> Result<Applied, BoxError> {
        let changed: Vec<TenantId> =
            events.iter().filter(|event| event.kind == "updated").filter_map(|event| event.entity_id.parse().ok()).collect();
        for tenant in &changed {
            self.directory.forget(*tenant).await;
        }
        // Before the place is kept: once more changes nothing.
        self.store.look_again(&changed).await?;
        Ok(self.store.tenants_changed("tenants", from, to).await?)
    }
}
