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
        let mut others = Vec::new();
        for tenant in changed {
            self.directory.forget(tenant).await;
            // Hours that cannot be told are others than any.
            let hours = self.directory.profile(tenant).await.map(|profile| profile.terms.hours.text()).unwrap_or_default();
            if self.store.note_hours(tenant, hours).await? {
                others.push(tenant);
            }
        }
        // Before the place is kept: once more changes nothing.
        self.store.look_again(&others).await?;
        Ok(self.store.tenants_changed("tenants", from, to).await?)
    }
}
