//! The messages that replies and reactions are about, looked up at acceptance.

use std::collections::HashMap;

use barid_db::Tx;
use barid_domain::{ContactId, InboundId, MessageId, SessionId, TenantId};
use barid_proto::queue::v1::{InboundContent, inbound_content::Kind};
use uuid::Uuid;

use super::{Store, inbound};
use crate::{Error, content::Content, target::Target};

/// Where a message was exchanged, and how it began.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub contact: ContactId,
    pub session: SessionId,
    pub text: String,
}

/// Characters of a quoted text. Phones show two lines of it.
const QUOTED: usize = 100;

impl Store {
    /// Those of the messages that the tenant has.
    pub(crate) async fn targets(&self, tenant: TenantId, wanted: Vec<Target>) -> Result<HashMap<Target, Found>, Error> {
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let key = self.vault.tenant(tenant.uuid()).await?;
        let read = move |tx: Tx| async move {
            let (mut messages, mut inbound) = (Vec::<Uuid>::new(), Vec::<Uuid>::new());
            for target in wanted {
                match target {
                    Target::Message(id) => messages.push(id.uuid()),
                    Target::Inbound(id) => inbound.push(id.uuid()),
                }
            }
            let rows = tx
                .rows(
                    "SELECT true, id, contact_id, session_id, content FROM queue.messages WHERE id = ANY($1)
                     UNION ALL SELECT false, id, contact_id, session_id, content FROM queue.inbound_messages WHERE id = ANY($2)",
                    [messages.into(), inbound.into()],
                )
                .await?;
            let mut found = HashMap::new();
            for row in rows {
                let (ours, id): (bool, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
                let sealed: Vec<u8> = row.try_get_by_index(4)?;
                let (target, text) = if ours {
                    (Target::Message(MessageId::from_uuid(id)), Content::open(&key, tenant, id, &sealed)?.text)
                } else {
                    (Target::Inbound(InboundId::from_uuid(id)), words(inbound::open(&key, tenant, id, &sealed)?))
                };
                found.insert(
                    target,
                    Found {
                        contact: ContactId::from_uuid(row.try_get_by_index(2)?),
                        session: SessionId::from_uuid(row.try_get_by_index(3)?),
                        text: text.chars().take(QUOTED).collect(),
                    },
                );
            }
            Ok(found)
        };
        self.db.tenant.transaction(tenant, read).await
    }
}

/// The words of what a customer wrote; empty when there are none.
fn words(content: InboundContent) -> String {
    match content.kind {
        Some(Kind::Text(text)) => text.text,
        Some(Kind::Media(media)) => media.caption,
        Some(Kind::Choice(choice)) => choice.title,
        Some(Kind::Poll(poll)) => poll.question,
        Some(Kind::Location(place)) => place.name,
        _ => String::new(),
    }
}
