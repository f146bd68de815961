//! What customers write is committed here before WhatsApp hears that it arrived.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use barid_domain::{SessionId, TenantId};
use barid_proto::queue::v1::{Inbound as WireInbound, ReportInboundRequest};
use barid_whatsapp::web::{Inbound, Sink, SinkError};
use prost::Message;
use tokio::sync::Notify;

use super::inbound;
use crate::store::Store;

/// The first byte of what a connection puts into the inbox; Meta's webhooks begin with a brace.
const MARK: u8 = 1;

pub(super) struct Arrivals {
    pub store: Store,
    /// Notified when something was stored.
    pub arrived: Arc<Notify>,
    pub session: SessionId,
    pub tenant: TenantId,
}

impl Arrivals {
    async fn commit(&self, batch: Vec<Inbound>) -> Result<(), crate::Error> {
        let messages: Vec<WireInbound> =
            batch.into_iter().filter_map(|message| inbound::wire(self.tenant, self.session, message)).collect();
        if messages.is_empty() {
            return Ok(());
        }
        let mut body = vec![MARK];
        body.extend(ReportInboundRequest { inbound: messages }.encode_to_vec());
        self.store.ingest_own(self.tenant, self.session, &body).await?;
        self.arrived.notify_one();
        Ok(())
    }

    /// Keeps what WhatsApp does not repeat, however long it takes.
    pub(super) async fn keep(&self, batch: Vec<Inbound>) {
        while let Err(error) = self.commit(batch.clone()).await {
            tracing::warn!(session = %self.session, %error, "a message waits to be kept");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[async_trait]
impl Sink for Arrivals {
    async fn inbound(&self, batch: Vec<Inbound>) -> Result<(), SinkError> {
        self.commit(batch).await.map_err(|error| SinkError(error.to_string()))
    }
}

/// What a connection put into the inbox; `None` when it is something else.
pub(crate) fn unpack(body: &[u8]) -> Option<Vec<WireInbound>> {
    let (mark, rest) = body.split_first()?;
    if *mark != MARK {
        return None;
    }
    ReportInboundRequest::decode(rest).ok().map(|request| request.inbound)
}
