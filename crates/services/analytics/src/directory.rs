//! Time zones of tenants, as the tenant service knows them.

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Channel};
use barid_domain::TenantId;
use barid_proto::{
    fault,
    tenant::v1::{ResolveTenantRequest, directory_service_client::DirectoryServiceClient},
};
use chrono_tz::Tz;
use moka::future::Cache;
use tonic::{Code, Status};

/// How long a time zone is remembered.
const REMEMBER: Duration = Duration::from_secs(30);

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
            answer.time_zone.parse().map_err(|_| fault(Code::Internal, "TENANT_UNREADABLE", "the tenant's time zone cannot be read"))
        };
        self.known.try_get_with(tenant, look_up).await.map_err(Arc::unwrap_or_clone)
    }
}
