//! What customers write is kept, and opens their windows. Facts: heard twice they count once.
//!
//! A change or a withdrawal acts on the message it is about, if that is the same customer's, and its own row only remembers that it was heard.
//! Where that message is not known, it is kept like any other message, so that nothing is lost.

use barid_db::{NewEvent, Tx};
use barid_domain::{ContactId, InboundId, MessageId, SessionId, TenantId};
use barid_proto::{
    events::v1::{InboundPayload, event::Payload},
    queue::v1::{EditContent, InboundContent, UnsupportedContent, inbound_content::Kind, media_content},
};
use barid_vault::{Place, TenantKey};
use chrono::{DateTime, Utc};
use prost::Message;
use uuid::Uuid;

use super::{EVENTS, Names, Store, people};
use crate::{Error, provider_id::storable, target::Target};

/// A customer wrote.
#[derive(Clone, Debug)]
pub(crate) struct NewInbound {
    pub tenant: TenantId,
    pub session: SessionId,
    pub from: Names,
    pub at: DateTime<Utc>,
    /// WhatsApp's id; empty for what only opens the window.
    pub provider_id: String,
    /// WhatsApp's id of the message it answers; empty when it answers none.
    pub context_provider_id: String,
    pub content: InboundContent,
}

/// The message of a customer that a change is about.
struct Subject {
    id: InboundId,
    content: InboundContent,
    changed_at: Option<DateTime<Utc>>,
    deleted: bool,
}

impl Store {
    /// Keeps what customers wrote, opens their windows, and learns who they are.
    pub(crate) async fn report_inbound(&self, inbound: Vec<NewInbound>) -> Result<(), Error> {
        for message in inbound {
            let (store, key) = (self.clone(), self.vault.tenant(message.tenant.uuid()).await?);
            let tenant = message.tenant;
            let keep = move |tx: Tx| async move {
                let contact = people::resolve(&store, &tx, &key, tenant, &message.from, message.at).await?;
                open_window(&tx, &message, contact).await?;
                if !message.provider_id.is_empty() {
                    keep(&store, &tx, &key, message, contact).await?;
                }
                Ok::<_, Error>(())
            };
            self.db.tenant.transaction(tenant, keep).await?;
        }
        self.committed(false).await;
        Ok(())
    }
}

async fn open_window(tx: &Tx, message: &NewInbound, contact: ContactId) -> Result<(), Error> {
    tx.run(
        "INSERT INTO queue.windows AS w (session_id, contact_id, tenant_id, last_inbound_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (session_id, contact_id) DO UPDATE SET last_inbound_at = greatest(w.last_inbound_at, $4)",
        [message.session.uuid().into(), contact.uuid().into(), message.tenant.uuid().into(), message.at.into()],
    )
    .await?;
    Ok(())
}

async fn keep(store: &Store, tx: &Tx, key: &TenantKey, mut message: NewInbound, contact: ContactId) -> Result<(), Error> {
    if message.content.kind.is_none() {
        message.content.kind = Some(Kind::Unsupported(UnsupportedContent::default()));
    }
    let about = storable(about(&message.content).to_owned());
    let subject = match &message.content.kind {
        Some(Kind::Edit(_) | Kind::Deletion(_)) => subject(tx, key, &message, contact, &about).await?,
        _ => None,
    };
    let id: InboundId = store.mint();
    if !insert(store, tx, key, id, &message, contact, &about, subject.is_some()).await? {
        return Ok(());
    }
    let (entity, event, target) = match (subject, message.content.kind.clone()) {
        (Some(subject), kind) => {
            let changed = match kind {
                Some(Kind::Edit(edit)) => change(tx, key, &message, subject, edit).await?,
                _ => withdraw(tx, key, &message, subject).await?,
            };
            let Some((subject, event)) = changed else { return Ok(()) };
            (subject, event, Some(Target::Inbound(subject)))
        }
        (None, Some(Kind::Reaction(_))) => (id, "reacted", exchanged(tx, &message, contact, &about).await?),
        (None, _) => (id, "received", None),
    };
    let payload = InboundPayload {
        session_id: message.session.to_string(),
        contact_id: contact.to_string(),
        content_kind: kind_name(&message.content).to_owned(),
        target_id: target.map(|target| target.to_string()).unwrap_or_default(),
    };
    // The time is the ledger's: a customer's clock may say anything, and the relay looks for its place by it.
    let (tenant, at) = (message.tenant, store.now());
    let event = NewEvent { id: store.mint(), tenant, entity: entity.uuid(), kind: event, at, payload: Payload::Inbound(payload) };
    Ok(barid_db::append(tx, EVENTS, vec![event]).await?)
}

/// Stores a message; `false` when it was heard before.
#[expect(clippy::too_many_arguments, reason = "everything that a row is made of, once")]
async fn insert(
    store: &Store,
    tx: &Tx,
    key: &TenantKey,
    id: InboundId,
    message: &NewInbound,
    contact: ContactId,
    about: &str,
    applied: bool,
) -> Result<bool, Error> {
    let content = match &message.content.kind {
        // The words stand in the message that was changed, and go when the customer takes that back.
        Some(Kind::Edit(edit)) if applied => {
            &InboundContent { kind: Some(Kind::Edit(EditContent { text: String::new(), ..edit.clone() })) }
        }
        _ => &message.content,
    };
    let inserted = tx
        .run(
            "INSERT INTO queue.inbound_messages (id, tenant_id, session_id, contact_id, provider_id, context_provider_id, about_provider_id,
                applied, kind, content, sent_at, received_at)
             VALUES ($1, $2, $3, $4, $5, nullif($6, ''), nullif($7, ''), $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
            [
                id.uuid().into(),
                message.tenant.uuid().into(),
                message.session.uuid().into(),
                contact.uuid().into(),
                message.provider_id.clone().into(),
                message.context_provider_id.clone().into(),
                about.into(),
                applied.into(),
                kind_name(&message.content).into(),
                seal(key, message.tenant, id.uuid(), content).into(),
                message.at.into(),
                store.now().into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// The message of the same customer that a change is about, locked.
async fn subject(tx: &Tx, key: &TenantKey, message: &NewInbound, contact: ContactId, about: &str) -> Result<Option<Subject>, Error> {
    let sql = "SELECT id, content, edited_at, deleted_at FROM queue.inbound_messages
               WHERE session_id = $1 AND provider_id = $2 AND contact_id = $3 AND kind NOT IN ('edit', 'deletion') FOR UPDATE";
    let Some(row) = tx.row(sql, [message.session.uuid().into(), about.into(), contact.uuid().into()]).await? else { return Ok(None) };
    let id: Uuid = row.try_get_by_index(0)?;
    Ok(Some(Subject {
        id: InboundId::from_uuid(id),
        content: open(key, message.tenant, id, &row.try_get_by_index::<Vec<u8>>(1)?)?,
        changed_at: row.try_get_by_index(2)?,
        deleted: row.try_get_by_index::<Option<DateTime<Utc>>>(3)?.is_some(),
    }))
}

/// Gives a message its new words. `None` when it was taken back, or changed later, already.
async fn change(
    tx: &Tx,
    key: &TenantKey,
    message: &NewInbound,
    subject: Subject,
    edit: EditContent,
) -> Result<Option<(InboundId, &'static str)>, Error> {
    let Subject { id, mut content, changed_at, deleted } = subject;
    if deleted || changed_at.is_some_and(|at| at > message.at) {
        return Ok(None);
    }
    match &mut content.kind {
        Some(Kind::Text(text)) => text.text = edit.text,
        Some(Kind::Media(media)) => media.caption = edit.text,
        Some(Kind::Poll(poll)) => poll.question = edit.text,
        // Nothing else has words to change.
        _ => return Ok(None),
    }
    let sealed = seal(key, message.tenant, id.uuid(), &content);
    let sql = "UPDATE queue.inbound_messages SET content = $2, edited_at = $3 WHERE id = $1";
    tx.run(sql, [id.uuid().into(), sealed.into(), message.at.into()]).await?;
    Ok(Some((id, "edited")))
}

/// Forgets what a message said. `None` when it was taken back already.
async fn withdraw(tx: &Tx, key: &TenantKey, message: &NewInbound, subject: Subject) -> Result<Option<(InboundId, &'static str)>, Error> {
    if subject.deleted {
        return Ok(None);
    }
    let sealed = seal(key, message.tenant, subject.id.uuid(), &InboundContent::default());
    let sql = "UPDATE queue.inbound_messages SET content = $2, deleted_at = $3 WHERE id = $1";
    tx.run(sql, [subject.id.uuid().into(), sealed.into(), message.at.into()]).await?;
    Ok(Some((subject.id, "deleted")))
}

/// The message with WhatsApp's id in the conversation with this customer.
async fn exchanged(tx: &Tx, message: &NewInbound, contact: ContactId, provider_id: &str) -> Result<Option<Target>, Error> {
    let row = tx
        .row(
            "SELECT true, m.id FROM queue.provider_ids p JOIN queue.messages m ON m.id = p.message_id
             WHERE p.session_id = $1 AND p.provider_id = $2 AND m.contact_id = $3
             UNION ALL SELECT false, i.id FROM queue.inbound_messages i
             WHERE i.session_id = $1 AND i.provider_id = $2 AND i.contact_id = $3 LIMIT 1",
            [message.session.uuid().into(), provider_id.into(), contact.uuid().into()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let id: Uuid = row.try_get_by_index(1)?;
    Ok(Some(if row.try_get_by_index(0)? { Target::Message(MessageId::from_uuid(id)) } else { Target::Inbound(InboundId::from_uuid(id)) }))
}

/// WhatsApp's id of the message that a content is about; empty for what stands for itself.
fn about(content: &InboundContent) -> &str {
    match &content.kind {
        Some(Kind::Edit(edit)) => &edit.provider_id,
        Some(Kind::Deletion(deletion)) => &deletion.provider_id,
        Some(Kind::Reaction(reaction)) => &reaction.provider_id,
        Some(Kind::PollVote(vote)) => &vote.provider_id,
        _ => "",
    }
}

/// The word for a content in events.
fn kind_name(content: &InboundContent) -> &'static str {
    match &content.kind {
        Some(Kind::Text(_)) => "text",
        Some(Kind::Media(media)) => match media.kind() {
            media_content::Kind::Image => "image",
            media_content::Kind::Video => "video",
            media_content::Kind::Audio => "audio",
            media_content::Kind::Voice => "voice",
            media_content::Kind::Sticker => "sticker",
            media_content::Kind::Document | media_content::Kind::Unspecified => "document",
        },
        Some(Kind::Location(_)) => "location",
        Some(Kind::Contacts(_)) => "contacts",
        Some(Kind::Reaction(_)) => "reaction",
        Some(Kind::Choice(_)) => "choice",
        Some(Kind::Poll(_)) => "poll",
        Some(Kind::PollVote(_)) => "poll_vote",
        Some(Kind::Order(_)) => "order",
        Some(Kind::Edit(_)) => "edit",
        Some(Kind::Deletion(_)) => "deletion",
        Some(Kind::MissedCall(_)) => "missed_call",
        Some(Kind::Unsupported(_)) | None => "unsupported",
    }
}

fn seal(key: &TenantKey, tenant: TenantId, id: Uuid, content: &InboundContent) -> Vec<u8> {
    key.seal(place(tenant, id), &content.encode_to_vec())
}

pub(super) fn open(key: &TenantKey, tenant: TenantId, id: Uuid, sealed: &[u8]) -> Result<InboundContent, Error> {
    let plain = key.open(place(tenant, id), sealed)?;
    InboundContent::decode(plain.as_slice()).map_err(|_| barid_vault::Error::Sealed.into())
}

fn place(tenant: TenantId, row: Uuid) -> Place {
    Place { tenant: tenant.uuid(), column: "queue.inbound_messages.content", row }
}
