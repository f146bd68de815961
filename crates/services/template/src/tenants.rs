//! What rendering needs to know of tenants, asked of the tenant service and remembered.

use std::{sync::Arc, time::Duration};

use barid_bus::Channel;
use barid_domain::TenantId;
use barid_proto::tenant::v1::{ResolveTenantRequest, directory_service_client::DirectoryServiceClient};
use moka::future::Cache;
use tonic::Status;

use crate::{convert, render::Tenant};

const REMEMBERED: u64 = 20_000;

/// Clone it freely.
#[derive(Clone)]
pub(crate) struct Tenants {
    channel: Channel,
    known: Cache<TenantId, Arc<Tenant>>,
}

impl Tenants {
    pub(crate) fn new(channel: Channel, ttl: Duration) -> Self {
        Self { channel, known: Cache::builder().max_capacity(REMEMBERED).time_to_live(ttl).build() }
    }

    pub(crate) async fn get(&self, id: TenantId) -> Result<Arc<Tenant>, Status> {
        if let Some(tenant) = self.known.get(&id).await {
            return Ok(tenant);
        }
        let request = ResolveTenantRequest { tenant_id: id.to_string() };
        let tenant = DirectoryServiceClient::new(self.channel.clone()).resolve_tenant(request).await?.into_inner();
        let tenant = Arc::new(convert::tenant(tenant));
        self.known.insert(id, tenant.clone()).await;
        Ok(tenant)
    }

    /// To be asked again when next needed.
    pub(crate) async fn forget(&self, id: TenantId) {
        self.known.invalidate(&id).await;
    }
}
