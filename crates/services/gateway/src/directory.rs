//! Which organisation a tenant belongs to and whether it may work.

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Channel, Service};
use barid_domain::{OrganisationId, TenantId};
use barid_proto::{
    ids,
    status::not_found,
    tenant::v1::{ResolveTenantRequest, TenantState, directory_service_client::DirectoryServiceClient},
};
use futures::StreamExt;
use moka::future::Cache;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// How long a tenant is remembered when nothing says that it changed.
const REMEMBER: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenant {
    pub organisation: OrganisationId,
    pub active: bool,
}

/// Looks tenants up. Clone it freely.
#[derive(Clone)]
pub(crate) struct Directory {
    client: DirectoryServiceClient<Channel>,
    /// `None` for ids that are no tenant's: asked again, they answer as fast as those that are.
    known: Cache<TenantId, Option<Tenant>>,
}

impl Directory {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            client: DirectoryServiceClient::new(bus.channel()),
            known: Cache::builder().max_capacity(100_000).time_to_live(REMEMBER).build(),
        }
    }

    pub(crate) async fn tenant(&self, id: TenantId) -> Result<Tenant, Status> {
        let mut client = self.client.clone();
        let look_up = async move {
            let tenant = match client.resolve_tenant(ResolveTenantRequest { tenant_id: id.to_string() }).await {
                Ok(answer) => answer.into_inner(),
                Err(status) if status.code() == Code::NotFound => return Ok(None),
                Err(status) => return Err(status),
            };
            Ok(Some(Tenant { organisation: ids::resource(&tenant.organisation_id)?, active: tenant.state() == TenantState::Active }))
        };
        let found = self.known.try_get_with(id, look_up).await.map_err(Arc::unwrap_or_clone)?;
        found.ok_or_else(|| not_found("tenant", &id.to_string()))
    }

    /// Forgets tenants that changed, until `shutdown`.
    pub(crate) async fn follow(self, bus: Bus, shutdown: CancellationToken) {
        let Ok(mut changed) = bus.notices(Service::Tenant, "tenant-changed").await else { return };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                notice = changed.next() => {
                    let Some(notice) = notice else { return };
                    if let Some(id) = std::str::from_utf8(&notice).ok().and_then(|text| text.parse::<TenantId>().ok()) {
                        self.known.invalidate(&id).await;
                    }
                }
            }
        }
    }
}
