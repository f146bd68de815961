//! In what form a claimed message goes out, or why it cannot go.

use std::collections::HashMap;

use barid_db::Tx;
use barid_domain::{ContactId, MessageId, SessionId, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::{Store, days};
use crate::{content::Content, target::Target};

/// How long after a customer wrote free text reaches them.
const WINDOW: TimeDelta = TimeDelta::hours(24);

/// The message that another one refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub provider_id: String,
    /// Whether it is one of ours.
    pub from_me: bool,
    pub text: String,
}

/// A message as it goes out.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub content: Content,
    /// Whether it goes as Meta's template.
    pub as_template: bool,
    pub quote: Option<Quote>,
}

/// A claimed message with its form, or with the code of why it cannot go.
pub(super) struct Sheet {
    pub message: MessageId,
    pub tenant: TenantId,
    pub session: SessionId,
    pub contact: ContactId,
    /// Whether the session exchanged anything with the contact before.
    pub known: bool,
    pub form: Result<Form, &'static str>,
}

/// Reads messages in the order of their ids. `windowed` tells of a session whether free text reaches customers inside the window only.
pub(super) async fn read(store: &Store, tx: &Tx, messages: Vec<Uuid>, windowed: impl Fn(SessionId) -> bool) -> Result<Vec<Sheet>, DbErr> {
    let now = store.now();
    let mut sheets = Vec::with_capacity(messages.len());
    for row in rows(tx, messages).await? {
        let (message, tenant) = (MessageId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?));
        let session = SessionId::from_uuid(row.try_get_by_index(2)?);
        let sealed: Vec<u8> = row.try_get_by_index(3)?;
        let last_inbound: Option<DateTime<Utc>> = row.try_get_by_index(4)?;
        let open = !windowed(session) || last_inbound.is_some_and(|at| at + WINDOW > now);
        sheets.push(Sheet {
            message,
            tenant,
            session,
            contact: ContactId::from_uuid(row.try_get_by_index(5)?),
            known: last_inbound.is_some() || row.try_get_by_index(6)?,
            form: form(store, tenant, message, &sealed, open).await,
        });
    }
    quote(tx, &mut sheets).await?;
    Ok(sheets)
}

async fn rows(tx: &Tx, messages: Vec<Uuid>) -> Result<Vec<QueryResult>, DbErr> {
    let [first, last] = days::bounds(&messages);
    tx.rows(
        "SELECT m.id, m.tenant_id, m.session_id, m.content,
                    (SELECT w.last_inbound_at FROM queue.windows w WHERE w.session_id = m.session_id AND w.contact_id = m.contact_id),
                    m.contact_id,
                    EXISTS (SELECT FROM queue.acquaintances a WHERE a.session_id = m.session_id AND a.contact_id = m.contact_id)
             FROM queue.messages m WHERE m.id = ANY($1) AND m.id BETWEEN $2 AND $3 ORDER BY m.id",
        [messages.into(), first, last],
    )
    .await
}

async fn form(store: &Store, tenant: TenantId, message: MessageId, sealed: &[u8], open: bool) -> Result<Form, &'static str> {
    let unreadable = |error: barid_vault::Error| {
        tracing::error!(%message, %error, "a stored content cannot be read");
        "content_unreadable"
    };
    let key = store.vault.tenant(tenant.uuid()).await.map_err(unreadable)?;
    let content = Content::open(&key, tenant, message.uuid(), sealed).map_err(unreadable)?;
    match (open, content.meta.is_some()) {
        (true, _) => Ok(Form { content, as_template: false, quote: None }),
        (false, true) => Ok(Form { content, as_template: true, quote: None }),
        (false, false) => Err("window_closed"),
    }
}

/// Finds WhatsApp's ids of what messages refer to; asks nothing when none does. What was never sent cannot be quoted, and the message goes
/// without; a reaction to it cannot go.
async fn quote(tx: &Tx, sheets: &mut [Sheet]) -> Result<(), DbErr> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for target in sheets.iter().filter_map(target) {
        match target {
            Target::Message(id) => ours.push(id.uuid()),
            Target::Inbound(id) => theirs.push(id.uuid()),
        }
    }
    if ours.is_empty() && theirs.is_empty() {
        return Ok(());
    }
    let rows = tx
        .rows(
            "SELECT s.message_id, true, p.provider_id FROM queue.message_state s
             CROSS JOIN LATERAL (
                SELECT p.provider_id FROM queue.provider_ids p WHERE p.message_id = s.message_id ORDER BY p.recorded_at DESC, p.provider_id LIMIT 1
             ) p WHERE s.message_id = ANY($1) AND s.sent_at IS NOT NULL
             UNION ALL SELECT i.id, false, i.provider_id FROM queue.inbound_messages i WHERE i.id = ANY($2)",
            [ours.into(), theirs.into()],
        )
        .await?;
    let mut known: HashMap<Uuid, (bool, String)> = HashMap::new();
    for row in rows {
        known.insert(row.try_get_by_index(0)?, (row.try_get_by_index(1)?, row.try_get_by_index(2)?));
    }
    for sheet in sheets {
        let Some(target) = target(sheet) else { continue };
        let Ok(form) = &mut sheet.form else { continue };
        let id = match target {
            Target::Message(id) => id.uuid(),
            Target::Inbound(id) => id.uuid(),
        };
        form.quote = known.get(&id).map(|(from_me, provider_id)| Quote {
            provider_id: provider_id.clone(),
            from_me: *from_me,
            text: form.content.target_text.clone(),
        });
        if form.content.is_reaction && form.quote.is_none() {
            sheet.form = Err("target_not_sent");
        }
    }
    Ok(())
}

fn target(sheet: &Sheet) -> Option<Target> {
    let content = &sheet.form.as_ref().ok()?.content;
    if content.target.is_empty() { None } else { Target::parse(&content.target) }
}
