//! Sessions, as the session-pool chooses them.

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Channel};
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    ids,
    session_pool::v1::{ChooseSessionRequest, FetchMediaRequest, FetchMediaResponse, pool_service_client::PoolServiceClient},
};
use moka::future::Cache;
use tonic::{Request, Status};

use super::REMEMBER;

/// How long the first part of a file may take, which the session-pool has to bring from WhatsApp as a whole.
const FETCH: Duration = Duration::from_secs(60);

/// Asks which session a message shall take, and for files that came to sessions.
#[derive(Clone)]
pub(crate) struct Sessions {
    client: PoolServiceClient<Channel>,
    known: Cache<(TenantId, Option<SessionId>), SessionId>,
}

impl Sessions {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self { client: PoolServiceClient::new(bus.channel()), known: Cache::builder().max_capacity(50_000).time_to_live(REMEMBER).build() }
    }

    pub(crate) async fn choose(&self, tenant: TenantId, session: Option<SessionId>) -> Result<SessionId, Status> {
        let mut client = self.client.clone();
        let ask = async move {
            let session_id = session.map(|id| id.to_string()).unwrap_or_default();
            let answer = client.choose_session(ChooseSessionRequest { tenant_id: tenant.to_string(), session_id }).await?;
            ids::resource(&answer.into_inner().session_id)
        };
        self.known.try_get_with((tenant, session), ask).await.map_err(Arc::unwrap_or_clone)
    }

    /// A part of a file that a customer sent to a session, from `offset` on.
    pub(crate) async fn fetch(
        &self,
        tenant: TenantId,
        session: SessionId,
        pointer: Vec<u8>,
        offset: u64,
    ) -> Result<FetchMediaResponse, Status> {
        let (tenant_id, session_id) = (tenant.to_string(), session.to_string());
        let mut request = Request::new(FetchMediaRequest { tenant_id, session_id, pointer, offset });
        request.set_timeout(FETCH);
        Ok(self.client.clone().fetch_media(request).await?.into_inner())
    }
}
