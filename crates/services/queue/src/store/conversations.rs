//! Reads what customers wrote.

use barid_db::Tx;
use barid_domain::{ContactId, InboundId, MessageId, SessionId, TenantId};
use barid_proto::{
    queue::v1::{AliasKind, InboundMessage, MediaContent, inbound_content::Kind},
    timestamp,
};
use barid_vault::TenantKey;
use chrono::{DateTime, Utc};
use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use super::{Store, contacts, inbound};
use crate::Error;

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub before_id: Option<InboundId>,
    pub contact: Option<ContactId>,
    pub session: Option<SessionId>,
}

const PHONE: i16 = AliasKind::Phone as i16;

impl Store {
    /// A message from a customer.
    pub(crate) async fn inbound(&self, tenant: TenantId, id: InboundId) -> Result<InboundMessage, Error> {
        let mut message = self.stored_inbound(tenant, id).await?;
        hide_pointer(&mut message);
        Ok(message)
    }

    /// The session and the file of a message from a customer; no file when it has none.
    pub(crate) async fn inbound_media(&self, tenant: TenantId, id: InboundId) -> Result<(SessionId, Option<MediaContent>), Error> {
        let message = self.stored_inbound(tenant, id).await?;
        let session = message.session_id.parse().map_err(|_| Error::not_found("session", &message.session_id))?;
        Ok(match message.content.and_then(|content| content.kind) {
            Some(Kind::Media(media)) => (session, Some(media)),
            _ => (session, None),
        })
    }

    /// Messages from customers of a tenant, newest first.
    pub(crate) async fn inbound_messages(&self, tenant: TenantId, wanted: Wanted, limit: u64) -> Result<Vec<InboundMessage>, Error> {
        let mut conditions = String::from("i.tenant_id = $1 AND NOT i.applied");
        let mut values: Vec<Value> = vec![tenant.uuid().into(), limit.cast_signed().into()];
        for (condition, value) in [
            ("i.id <", wanted.before_id.map(InboundId::uuid)),
            ("i.contact_id =", wanted.contact.map(ContactId::uuid)),
            ("i.session_id =", wanted.session.map(SessionId::uuid)),
        ] {
            if let Some(value) = value {
                values.push(value.into());
                conditions += &format!(" AND {condition} ${}", values.len());
            }
        }
        let mut messages = self.read_inbound(tenant, format!("{conditions} ORDER BY i.id DESC LIMIT $2"), values).await?;
        messages.iter_mut().for_each(hide_pointer);
        Ok(messages)
    }

    async fn stored_inbound(&self, tenant: TenantId, id: InboundId) -> Result<InboundMessage, Error> {
        let found = self.read_inbound(tenant, "i.id = $1 AND NOT i.applied".to_owned(), vec![id.uuid().into()]).await?;
        found.into_iter().next().ok_or_else(|| Error::not_found("inbound message", id))
    }

    async fn read_inbound(&self, tenant: TenantId, conditions: String, values: Vec<Value>) -> Result<Vec<InboundMessage>, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let read = move |tx: Tx| async move {
            // What it answers or is about may have come to be known after it.
            let sql = format!(
                "SELECT i.id, i.session_id, i.contact_id, i.content, i.sent_at, i.edited_at, i.deleted_at,
                    (SELECT p.message_id FROM queue.provider_ids p WHERE (p.session_id, p.provider_id) = (i.session_id, i.context_provider_id)),
                    (SELECT o.id FROM queue.inbound_messages o WHERE (o.session_id, o.provider_id) = (i.session_id, i.context_provider_id)),
                    (SELECT p.message_id FROM queue.provider_ids p WHERE (p.session_id, p.provider_id) = (i.session_id, i.about_provider_id)),
                    (SELECT o.id FROM queue.inbound_messages o WHERE (o.session_id, o.provider_id) = (i.session_id, i.about_provider_id)),
                    (SELECT a.value FROM queue.contact_aliases a WHERE a.contact_id = i.contact_id AND a.kind = {PHONE}
                        ORDER BY a.learnt_at DESC, a.kind DESC LIMIT 1)
                 FROM queue.inbound_messages i WHERE {conditions}"
            );
            tx.rows(sql, values).await?.iter().map(|row| to_message(row, &key, tenant)).collect()
        };
        self.db.tenant.transaction(tenant, read).await
    }
}

fn to_message(row: &QueryResult, key: &TenantKey, tenant: TenantId) -> Result<InboundMessage, Error> {
    let id: Uuid = row.try_get_by_index(0)?;
    let contact = ContactId::from_uuid(row.try_get_by_index(2)?);
    let mut content = inbound::open(key, tenant, id, &row.try_get_by_index::<Vec<u8>>(3)?)?;
    if let Some(Kind::Reaction(reaction)) = &mut content.kind {
        reaction.message_id = message_id(row, 9)?;
    }
    let from = match row.try_get_by_index::<Option<Vec<u8>>>(11)? {
        Some(sealed) => String::from_utf8_lossy(&key.open(contacts::alias_place(tenant, contact), &sealed)?).into_owned(),
        None => String::new(),
    };
    let time = |index: usize| row.try_get_by_index::<Option<DateTime<Utc>>>(index).map(|time| time.map(timestamp));
    Ok(InboundMessage {
        id: InboundId::from_uuid(id).to_string(),
        tenant_id: tenant.to_string(),
        session_id: SessionId::from_uuid(row.try_get_by_index(1)?).to_string(),
        contact_id: contact.to_string(),
        from,
        content: content.kind.is_some().then_some(content),
        reply_to: message_id(row, 7)?,
        time: time(4)?,
        edit_time: time(5)?,
        delete_time: time(6)?,
    })
}

/// One of ours at this index, or one of the customer's at the next; empty when neither is known.
fn message_id(row: &QueryResult, index: usize) -> Result<String, Error> {
    let ours: Option<Uuid> = row.try_get_by_index(index)?;
    let theirs: Option<Uuid> = row.try_get_by_index(index + 1)?;
    let ours = ours.map(|id| MessageId::from_uuid(id).to_string());
    Ok(ours.or_else(|| theirs.map(|id| InboundId::from_uuid(id).to_string())).unwrap_or_default())
}

/// Where a file is and the key that opens it stay inside.
fn hide_pointer(message: &mut InboundMessage) {
    if let Some(Kind::Media(media)) = message.content.as_mut().and_then(|content| content.kind.as_mut()) {
        media.pointer.clear();
    }
}
