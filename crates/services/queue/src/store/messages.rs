//! Reads messages, and what their sender does with them.

use barid_db::Tx;
use barid_domain::{ContactId, JobId, MessageId, SessionId, TenantId};
use barid_proto::{
    events::v1::{Event, event::Payload},
    queue::v1::{HistoryEntry, Lane as ProtoLane, Message, MessageState, SendWindow},
    timestamp,
};
use chrono::{DateTime, Utc};
use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use super::{Change, EVENTS, Store, apply, planning};
use crate::{
    Error,
    channel::Channel,
    content::Content,
    reason,
    state::{Fact, Standing, State},
};

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub before_id: Option<MessageId>,
    pub states: Vec<i16>,
    pub contact: Option<ContactId>,
    pub template: Option<String>,
    pub session: Option<SessionId>,
    pub after: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
    pub dead_letters: bool,
    pub job: Option<JobId>,
}

const COLUMNS: &str = "m.id, m.session_id, m.contact_id, m.lane, m.template, m.template_version, m.locale, m.client_reference, m.content,
    m.created_at,
    coalesce((SELECT r.due_at FROM queue.ready r WHERE r.message_id = m.id), (SELECT c.due_at FROM queue.scheduled c WHERE c.message_id = m.id),
        m.due_at),
    coalesce(s.expires_at, m.expires_at), s.state, s.attempt, s.failures, s.dead_letter, s.reason, s.sent_at, s.delivered_at, s.read_at, s.played_at,
    (SELECT p.provider_id FROM queue.provider_ids p WHERE p.message_id = m.id ORDER BY p.recorded_at DESC, p.provider_id LIMIT 1),
    m.window_start, m.window_end, m.job_id, s.channel";

impl Store {
    /// A message with its history.
    pub(crate) async fn message(&self, tenant: TenantId, id: MessageId) -> Result<Message, Error> {
        let store = self.clone();
        let read = move |tx: Tx| async move {
            let mut message = store.find(&tx, tenant, id).await?;
            message.history = EVENTS.history(&tx, id.uuid()).await?.into_iter().filter_map(history_entry).collect();
            Ok(message)
        };
        self.db.tenant.transaction(tenant, read).await
    }

    /// Messages of a tenant, newest first.
    pub(crate) async fn messages(&self, tenant: TenantId, filter: Filter, limit: u64) -> Result<Vec<Message>, Error> {
        let store = self.clone();
        let read = move |tx: Tx| async move {
            let (conditions, values) = conditions(tenant, filter, limit);
            let sql = format!(
                "SELECT {COLUMNS} FROM queue.messages m JOIN queue.message_state s ON s.message_id = m.id WHERE {conditions} ORDER BY m.id DESC LIMIT $1"
            );
            let mut messages = Vec::new();
            for row in tx.rows(sql, values).await? {
                messages.push(store.read(&row, tenant).await?);
            }
            Ok(messages)
        };
        self.db.tenant.transaction(tenant, read).await
    }

    /// Does something to one message of a tenant, under its lock. `Err` with the standing when it changed nothing.
    pub(crate) async fn command(
        &self,
        tenant: TenantId,
        id: MessageId,
        fact: Fact,
        reason: &'static str,
    ) -> Result<Result<Message, Standing>, Error> {
        let store = self.clone();
        let now = self.now();
        let act = move |tx: Tx| async move {
            let change = Change { reason: reason.to_owned(), ..Change::new(id, fact, now) };
            let mut standings = apply::apply(&store, &tx, vec![change]).await?;
            let standing = standings.remove(&id).ok_or_else(|| Error::not_found("message", id))?;
            if standing.before == standing.after {
                return Ok(Err(standing.before));
            }
            store.find(&tx, tenant, id).await.map(Ok)
        };
        let outcome = self.db.tenant.transaction(tenant, act).await?;
        self.committed(fact == Fact::Redriven).await;
        Ok(outcome)
    }

    async fn find(&self, tx: &Tx, tenant: TenantId, id: MessageId) -> Result<Message, Error> {
        let sql = format!("SELECT {COLUMNS} FROM queue.messages m JOIN queue.message_state s ON s.message_id = m.id WHERE m.id = $1");
        let row = tx.row(sql, [id.uuid().into()]).await?.ok_or_else(|| Error::not_found("message", id))?;
        self.read(&row, tenant).await
    }

    async fn read(&self, row: &QueryResult, tenant: TenantId) -> Result<Message, Error> {
        let id = MessageId::from_uuid(row.try_get_by_index(0)?);
        let key = self.vault.tenant(tenant.uuid()).await?;
        let content = Content::open(&key, tenant, id.uuid(), &row.try_get_by_index::<Vec<u8>>(8)?)?;
        let failures: i32 = row.try_get_by_index(14)?;
        let lane: i16 = row.try_get_by_index(3)?;
        let code: String = row.try_get_by_index(16)?;
        let time = |index: usize| row.try_get_by_index::<Option<DateTime<Utc>>>(index).map(|time| time.map(timestamp));
        Ok(Message {
            id: id.to_string(),
            tenant_id: tenant.to_string(),
            session_id: SessionId::from_uuid(row.try_get_by_index(1)?).to_string(),
            contact_id: ContactId::from_uuid(row.try_get_by_index(2)?).to_string(),
            recipient: content.recipient,
            state: row.try_get_by_index::<i16>(12)?.into(),
            reason_text: reason::sentence(&code).to_owned(),
            reason: code,
            dead_letter: row.try_get_by_index(15)?,
            lane: if failures > 0 { ProtoLane::Retry.into() } else { lane.into() },
            attempt: row.try_get_by_index::<i32>(13)?.cast_unsigned(),
            template: row.try_get_by_index(4)?,
            template_version: row.try_get_by_index::<i32>(5)?.cast_unsigned(),
            locale: row.try_get_by_index(6)?,
            text: content.text,
            media_url: content.media_url,
            client_reference: row.try_get_by_index(7)?,
            create_time: time(9)?,
            due_time: time(10)?,
            expire_time: time(11)?,
            sent_time: time(17)?,
            delivered_time: time(18)?,
            read_time: time(19)?,
            history: Vec::new(),
            played_time: time(20)?,
            provider_id: row.try_get_by_index::<Option<String>>(21)?.unwrap_or_default(),
            window: planning::window(row, 22)?.map(|window| {
                let (start, end) = window.texts();
                SendWindow { start, end }
            }),
            channel: row.try_get_by_index::<i16>(25)?.into(),
            job_id: row.try_get_by_index::<Option<Uuid>>(24)?.map(|id| JobId::from_uuid(id).to_string()).unwrap_or_default(),
        })
    }
}

/// The conditions of a filter; their values begin with the limit.
fn conditions(tenant: TenantId, filter: Filter, limit: u64) -> (String, Vec<Value>) {
    let mut conditions = vec!["m.tenant_id = $2".to_owned()];
    let mut values: Vec<Value> = vec![limit.cast_signed().into(), tenant.uuid().into()];
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(id) = filter.before_id {
        add("m.id < ?", id.uuid().into());
    }
    if !filter.states.is_empty() {
        add("s.state = ANY(?)", filter.states.into());
    }
    if let Some(contact) = filter.contact {
        add("m.contact_id = ?", contact.uuid().into());
    }
    if let Some(template) = filter.template {
        add("m.template = ?", template.into());
    }
    if let Some(session) = filter.session {
        add("m.session_id = ?", session.uuid().into());
    }
    // An id tells when it was minted, by a clock that may differ a little: whole days are passed over.
    if let Some(after) = filter.after {
        add("m.id >= ?", barid_db::first_id(after.checked_sub_signed(barid_db::APART).unwrap_or(after)).into());
        add("m.created_at >= ?", after.into());
    }
    if let Some(before) = filter.before {
        add("m.id < ?", barid_db::first_id(before.checked_add_signed(barid_db::APART).unwrap_or(before)).into());
        add("m.created_at < ?", before.into());
    }
    if let Some(job) = filter.job {
        add("m.job_id = ?", job.uuid().into());
    }
    if filter.dead_letters {
        add("m.id IN (SELECT d.message_id FROM queue.dead_letters d WHERE d.tenant_id = ?)", tenant.uuid().into());
    }
    (conditions.join(" AND "), values)
}

/// A step of a message; `None` for what is no step, such as its being played.
fn history_entry(event: Event) -> Option<HistoryEntry> {
    let state = State::ALL.into_iter().find(|state| state.name() == event.kind)?;
    let (attempt, reason, due_time, channel) = match event.payload {
        Some(Payload::Message(payload)) => (payload.attempt, payload.reason, payload.due_time, Channel::from_name(&payload.channel)),
        _ => Default::default(),
    };
    let state = MessageState::try_from(state as i32).unwrap_or_default().into();
    Some(HistoryEntry { event_id: event.id, state, attempt, reason, time: event.time, due_time, channel: channel as i32 })
}
