//! `template-changed` of this service's own replicas: the id of a tenant and the name of its template.

use barid_bus::{Bus, Service};
use barid_domain::TenantId;
use futures::StreamExt;

use crate::{Error, catalog::Catalog};

const TOPIC: &str = "template-changed";

/// Tells every replica.
pub(crate) async fn tell(bus: &Bus, tenant: TenantId, name: &str) {
    bus.notify(TOPIC, format!("{tenant} {name}").into_bytes().into()).await;
}

/// Hears of changes from now on, until the connection ends.
pub(crate) async fn listen(bus: &Bus, catalog: Catalog) -> Result<impl Future<Output = ()> + Send + use<>, Error> {
    let mut notices = bus.notices(Service::Template, TOPIC).await.map_err(|error| Error::Listen(error.into()))?;
    Ok(async move {
        while let Some(notice) = notices.next().await {
            let Some((tenant, name)) = std::str::from_utf8(&notice).ok().and_then(|text| text.split_once(' ')) else { continue };
            if let Ok(tenant) = tenant.parse() {
                catalog.forget(tenant, name).await;
            }
        }
    })
}
