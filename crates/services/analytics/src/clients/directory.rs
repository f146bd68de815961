//! The tenants' time zones, as the tenant service knows them.

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Channel, Service};
use barid_domain::TenantId;
use barid_proto::{
    fault,
    tenant::v1::{ResolveTenantRequest, directory_service_client::DirectoryServiceClient},
};
use chrono_tz::Tz;
use futures::StreamExt;
use moka::future::Cache;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// How long an answer is remembered when nothing says that it changed.
const REMEMBER: Duration = Duration::from_secs(5);

/// Looks tenants up.
#[derive(Clone)]
pub(crate) struct Directory {
    client: DirectoryServiceClient<Channel>,
    known: Cache<TenantId, Tz>,
}

impl Directory {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            client: DirectoryServiceClient::new(bus.channel()),
            known: Cache::builder().max_capacity(50_000).time_to_live(REMEMBER).build(),
        }
    }

    pub(crate) async fn time_zone(&self, tenant: TenantId) -> Result<Tz, Status> {
        let mut client = self.client.clone();
        let look_up = async move {
            let answer = client.resolve_tenant(ResolveTenantRequest { tenant_id: tenant.to_string() }).await?.into_inner();
            let unreadable = |_| fault(Code::Internal, "TENANT_UNREADABLE", "the tenant's settings cannot be read");
            answer.time_zone.parse().map_err(unreadable)
        };
        self.known.try_get_with(tenant, look_up).await.map_err(Arc::unwrap_or_clone)
    }

    /// Forgets tenants that changed, until `shutdown`.
    pub(crate) async fn follow(self, bus: Bus, shutdown: CancellationToken) {
        let mut changed = match bus.notices(Service::Tenant, "tenant-changed").await {
            Ok(changed) => changed,
            Err(error) => return tracing::warn!(%error, "changes of tenants are noticed late"),
        };
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
