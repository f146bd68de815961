//! `tenant-changed` of the tenant service: the id of a tenant.

use barid_bus::{Bus, Service};
use futures::StreamExt;

use crate::{Error, tenants::Tenants};

/// Hears of changes from now on, until the connection ends.
pub(crate) async fn listen(bus: &Bus, tenants: Tenants) -> Result<impl Future<Output = ()> + Send + use<>, Error> {
    let mut notices = bus.notices(Service::Tenant, "tenant-changed").await.map_err(|error| Error::Listen(error.into()))?;
    Ok(async move {
        while let Some(notice) = notices.next().await {
            if let Some(tenant) = std::str::from_utf8(&notice).ok().and_then(|text| text.parse().ok()) {
                tenants.forget(tenant).await;
            }
        }
    })
}
