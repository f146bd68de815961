//! One commit that accepts many messages: keys, quota, contacts, messages, what waits, events.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use barid_db::{NewEvent, Tx};
use barid_domain::{ContactId, EventId, JobId, MessageId, SessionId, TenantId};
use barid_proto::{
    events::v1::{MessagePayload, event::Payload},
    timestamp,
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::{DbErr, Value};
use uuid::Uuid;

use super::{Change, EVENTS, JobState, Recipient, Store, apply, contacts, jobs, keys, people, quota, waiting};
use crate::{
    Error,
    draft::Key,
    hours::{Closed, Daily, Plan},
    lanes::Lane,
    state::Fact,
    state::State,
};

/// A message to accept, sealed.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub id: MessageId,
    pub event: EventId,
    pub tenant: TenantId,
    pub session: SessionId,
    pub recipient: Recipient,
    pub lane: Lane,
    pub template: String,
    pub template_version: u32,
    pub locale: String,
    pub client_reference: String,
    /// The thing whose stage it is, and the stage's rank.
    pub supersede: Option<(String, u32)>,
    pub content: Vec<u8>,
    pub created_at: DateTime<Utc>,
    /// When it was asked to go out.
    pub asked: DateTime<Utc>,
    pub window: Option<Daily>,
    pub plan: Plan,
    pub job: Option<JobId>,
    /// Whether it waits for its job to go on.
    pub held: bool,
    pub expires_at: DateTime<Utc>,
    pub key: Option<Key>,
    /// The tenant's day, and its quota.
    pub day: NaiveDate,
    pub quota: u32,
}

/// How long after one stage another one is known to be earlier or later. Longer than any message waits.
const STAGES_KNOWN: TimeDelta = TimeDelta::days(120);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub id: MessageId,
    pub state: State,
    /// Whether an earlier call with the same key made it.
    pub repeated: bool,
    /// Whom it goes to; of a new one only.
    pub contact: Option<ContactId>,
}

impl Store {
    /// Accepts messages of many tenants in one commit, each with its own outcome, in order.
    pub(crate) async fn accept(&self, messages: Vec<NewMessage>) -> Result<Vec<Result<Accepted, Error>>, Error> {
        let store = self.clone();
        let (outcomes, waiting) =
            self.db.engine.transaction("accept", move |tx| async move { accept(&store, &tx, messages).await.map_err(Error::from) }).await?;
        self.committed(waiting).await;
        Ok(outcomes)
    }
}

/// What became of a message so far; none while it is to be accepted.
pub(super) type Outcome = Option<Result<Accepted, Error>>;

async fn accept(store: &Store, tx: &Tx, mut messages: Vec<NewMessage>) -> Result<(Vec<Result<Accepted, Error>>, bool), DbErr> {
    let mut outcomes: Vec<Outcome> = messages.iter().map(|_| None).collect();
    let followers = keys::settle(tx, &messages, &mut outcomes).await?;
    join(tx, &mut messages, &mut outcomes).await?;
    charge(tx, &messages, &mut outcomes).await?;
    contacts::settle(tx, messages.iter_mut().zip(&outcomes).filter(|(_, outcome)| outcome.is_none()).map(|(message, _)| message)).await?;

    let accepted: Vec<&NewMessage> =
        messages.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_none()).map(|(message, _)| message).collect();
    let waiting = accepted.iter().any(|message| first_state(message) == State::Queued);
    let persons = insert(tx, &accepted).await?;
    let mut joined = BTreeMap::new();
    for job in accepted.iter().filter_map(|message| message.job) {
        *joined.entry(job).or_default() += 1;
    }
    jobs::count(tx, joined).await?;
    let superseded = supersede(store, tx, &accepted).await?;
    for (message, outcome) in messages.iter().zip(&mut outcomes) {
        if outcome.is_none() {
            let state = if superseded.contains(&message.id.uuid()) { State::Cancelled } else { first_state(message) };
            let contact = Some(person(&persons, message.recipient.contact));
            *outcome = Some(Ok(Accepted { id: message.id, state, repeated: false, contact }));
        }
    }
    for (follower, leader) in followers {
        outcomes[follower] = Some(keys::repeated(&outcomes[leader]));
    }
    Ok((outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(Error::Busy))).collect(), waiting))
}

fn first_state(message: &NewMessage) -> State {
    match message.plan {
        Plan::Open { .. } => State::Queued,
        Plan::Wait { .. } => State::Scheduled,
    }
}

/// When it is due, and why not when that was asked for.
fn due(message: &NewMessage) -> (DateTime<Utc>, &'static str) {
    match message.plan {
        Plan::Open { .. } => (message.asked, ""),
        Plan::Wait { until, .. } if message.held => (until, "job_paused"),
        Plan::Wait { until, closed } => (until, closed.map_or("", Closed::code)),
    }
}

/// Has messages join their jobs, which are held from here on; what a job does not take is refused and its key given back.
async fn join(tx: &Tx, messages: &mut [NewMessage], outcomes: &mut [Outcome]) -> Result<(), DbErr> {
    let named = messages.iter().zip(outcomes.iter()).filter(|(_, outcome)| outcome.is_none());
    let ids: BTreeSet<Uuid> = named.filter_map(|(message, _)| message.job.map(JobId::uuid)).collect();
    let mut known = jobs::hold(tx, ids.into_iter().collect()).await?;
    let mut freed: Vec<&NewMessage> = Vec::new();
    for (message, outcome) in messages.iter_mut().zip(outcomes).filter(|(_, outcome)| outcome.is_none()) {
        let Some(id) = message.job else { continue };
        let refusal = match known.get_mut(&id).filter(|job| job.tenant == message.tenant) {
            None => Error::not_found("job", id),
            Some(job) if job.state == JobState::Cancelled => Error::JobCancelled,
            Some(job) if job.room == 0 => Error::JobFull { limit: jobs::MOST },
            Some(job) => {
                job.room -= 1;
                if job.state == JobState::Paused {
                    (message.plan, message.held) = (Plan::Wait { until: due(message).0, closed: None }, true);
                }
                continue;
            }
        };
        *outcome = Some(Err(refusal));
        freed.push(message);
    }
    keys::free(tx, freed).await
}

/// Charges what is due now against its tenant's day; what goes beyond the quota is refused and its key given back.
async fn charge(tx: &Tx, messages: &[NewMessage], outcomes: &mut [Outcome]) -> Result<(), DbErr> {
    let mut due: BTreeMap<(TenantId, NaiveDate), Vec<usize>> = BTreeMap::new();
    for (index, message) in messages.iter().enumerate() {
        if outcomes[index].is_none() && first_state(message) == State::Queued {
            due.entry((message.tenant, message.day)).or_default().push(index);
        }
    }
    let wish = |indexes: &Vec<usize>| quota::Wish {
        messages: u32::try_from(indexes.len()).unwrap_or(u32::MAX),
        quota: messages[indexes[0]].quota,
    };
    let granted = quota::take(tx, &due.iter().map(|(day, indexes)| (*day, wish(indexes))).collect()).await?;
    let mut freed = Vec::new();
    for (day, indexes) in due {
        for &index in indexes.iter().skip(granted.get(&day).map_or(0, |granted| *granted as usize)) {
            outcomes[index] = Some(Err(Error::QuotaExceeded { limit: messages[index].quota }));
            freed.push(&messages[index]);
        }
    }
    keys::free(tx, freed).await
}

/// What contacts turned out to be other ones, each with the one that it is.
type Persons = HashMap<ContactId, ContactId>;

fn person(persons: &Persons, contact: ContactId) -> ContactId {
    *persons.get(&contact).unwrap_or(&contact)
}

async fn insert(tx: &Tx, messages: &[&NewMessage]) -> Result<Persons, DbErr> {
    if messages.is_empty() {
        return Ok(Persons::new());
    }
    fn column<T>(messages: &[&NewMessage], read: impl Fn(&NewMessage) -> T) -> Value
    where
        Vec<T>: Into<Value>,
    {
        messages.iter().map(|message| read(message)).collect::<Vec<T>>().into()
    }
    let values = [
        column(messages, |message| message.id.uuid()),
        column(messages, |message| message.tenant.uuid()),
        column(messages, |message| message.session.uuid()),
        column(messages, |message| message.recipient.contact.uuid()),
        column(messages, |message| message.lane as i16),
        column(messages, |message| message.template.clone()),
        column(messages, |message| message.template_version.cast_signed()),
        column(messages, |message| message.locale.clone()),
        column(messages, |message| message.client_reference.clone()),
        column(messages, |message| message.supersede.as_ref().map(|(key, _)| key.clone()).unwrap_or_default()),
        column(messages, |message| message.supersede.as_ref().map_or(0, |(_, rank)| rank.cast_signed())),
        column(messages, |message| message.content.clone()),
        column(messages, |message| message.created_at),
        column(messages, |message| message.asked),
        column(messages, |message| message.expires_at),
        column(messages, |message| first_state(message) as i16),
        column(messages, |message| due(message).0),
        column(messages, |message| due(message).1.to_owned()),
        column(messages, |message| match message.plan {
            Plan::Open { closes } => waiting::optional(closes),
            Plan::Wait { .. } => String::new(),
        }),
        column(messages, |message| message.day),
        column(messages, |message| message.window.map_or(-1, |window| window.minutes().0.cast_signed())),
        column(messages, |message| message.window.map_or(-1, |window| window.minutes().1.cast_signed())),
        column(messages, |message| message.job.map_or(Uuid::nil(), JobId::uuid)),
        column(messages, |message| message.held),
    ];
    // One statement: the rows of a message appear in every table or in none, and the values travel once. Contacts are held, so that none
    // ends before its messages can be seen.
    let ended = tx
        .rows(
        format!(
            "WITH person AS MATERIALIZED (
                SELECT id, merged_into FROM queue.contacts WHERE id = ANY($4::uuid[]) ORDER BY id FOR KEY SHARE
             ), new AS (
                SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::smallint[], $6::text[], $7::int[], $8::text[],
                    $9::text[], $10::text[], $11::int[], $12::bytea[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::smallint[],
                    $17::timestamptz[], $18::text[], $19::text[], $20::date[], $21::smallint[], $22::smallint[],
                    $23::uuid[], $24::bool[])
                AS n(id, tenant_id, session_id, contact_id, lane, template, template_version, locale, client_reference, supersede_key,
                    supersede_rank, content, created_at, asked_at, expires_at, state, due_at, reason, closes_at, day, window_start, window_end,
                    job_id, held)
             ), message AS (
                INSERT INTO queue.messages (id, tenant_id, session_id, contact_id, lane, template, template_version, locale, client_reference,
                    supersede_key, supersede_rank, content, created_at, due_at, expires_at, window_start, window_end, job_id)
                SELECT id, tenant_id, session_id, contact_id, lane, template, template_version, locale, client_reference,
                    nullif(supersede_key, ''), supersede_rank, content, created_at, asked_at, expires_at,
                    nullif(window_start, -1), nullif(window_end, -1), nullif(job_id, '{nil}') FROM new
             ), state AS (
                INSERT INTO queue.message_state (message_id, tenant_id, state, attempt, failures, dead_letter, reason)
                SELECT id, tenant_id, state, 0, 0, false, reason FROM new
             ), ready AS (
                INSERT INTO queue.ready (message_id, tenant_id, session_id, contact_id, lane, due_at, expires_at, closes_at, charged_on)
                SELECT id, tenant_id, session_id, contact_id, lane, due_at, expires_at, nullif(closes_at, '')::timestamptz, day FROM new WHERE state = {queued}
             ), scheduled AS (
                INSERT INTO queue.scheduled (message_id, tenant_id, due_at, expires_at, held)
                SELECT id, tenant_id, due_at, expires_at, held FROM new WHERE state = {scheduled}
             )
             SELECT id FROM person WHERE merged_into IS NOT NULL",
            queued = State::Queued as i16,
            scheduled = State::Scheduled as i16,
            nil = Uuid::nil(),
        ),
        values,
    )
    .await?;
    let ended = ended.iter().map(|row| row.try_get_by_index(0).map(ContactId::from_uuid)).collect::<Result<Vec<_>, _>>()?;
    let persons = follow(tx, messages, ended).await?;
    barid_db::append(tx, EVENTS, messages.iter().map(|message| accepted_event(message, &persons)).collect()).await?;
    Ok(persons)
}

/// Gives messages of contacts that ended since they were looked up to those that they turned out to be.
async fn follow(tx: &Tx, messages: &[&NewMessage], ended: Vec<ContactId>) -> Result<Persons, DbErr> {
    let mut persons = HashMap::new();
    for contact in ended {
        let person = people::hold(tx, contact).await?;
        let ids: Vec<Uuid> =
            messages.iter().filter(|message| message.recipient.contact == contact).map(|message| message.id.uuid()).collect();
        tx.run("UPDATE queue.messages SET contact_id = $1 WHERE id = ANY($2)", [person.uuid().into(), ids.clone().into()]).await?;
        tx.run("UPDATE queue.ready SET contact_id = $1 WHERE message_id = ANY($2)", [person.uuid().into(), ids.into()]).await?;
        persons.insert(contact, person);
    }
    Ok(persons)
}

fn accepted_event(message: &NewMessage, persons: &Persons) -> NewEvent {
    NewEvent {
        id: message.event,
        tenant: message.tenant,
        entity: message.id.uuid(),
        kind: first_state(message).name(),
        at: message.created_at,
        payload: Payload::Message(MessagePayload {
            session_id: message.session.to_string(),
            contact_id: person(persons, message.recipient.contact).to_string(),
            template: message.template.clone(),
            lane: message.lane.name().to_owned(),
            attempt: 0,
            reason: due(message).1.to_owned(),
            client_reference: message.client_reference.clone(),
            accept_time: Some(timestamp(message.created_at)),
            due_time: Some(timestamp(due(message).0)),
            channel: String::new(),
        }),
    }
}

/// Calls back what waits and has a later stage, whichever of the two came first.
async fn supersede(store: &Store, tx: &Tx, messages: &[&NewMessage]) -> Result<HashSet<Uuid>, DbErr> {
    let (mut tenants, mut keys) = (Vec::new(), Vec::new());
    for message in messages {
        if let Some((key, _)) = &message.supersede {
            tenants.push(message.tenant.uuid());
            keys.push(key.clone());
        }
    }
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let now = store.now();
    let rows = tx
        .rows(
            // Each key is read once, however many of its stages come in this commit.
            "WITH stages AS (
                SELECT m.id, m.tenant_id, m.supersede_key, m.supersede_rank, s.state
                FROM (SELECT DISTINCT * FROM UNNEST($1::uuid[], $2::text[]) AS k(tenant_id, supersede_key)) k
                JOIN queue.messages m USING (tenant_id, supersede_key)
                JOIN queue.message_state s ON s.message_id = m.id
                WHERE m.id >= $3 AND s.message_id >= $3 AND s.state NOT IN (8, 9, 10)
             ), latest AS (
                SELECT tenant_id, supersede_key, max(supersede_rank) AS rank FROM stages GROUP BY tenant_id, supersede_key
             )
             SELECT s.id FROM stages s JOIN latest l USING (tenant_id, supersede_key) WHERE s.state IN (1, 2) AND s.supersede_rank < l.rank",
            [tenants.into(), keys.into(), barid_db::first_id(now - STAGES_KNOWN).into()],
        )
        .await?;
    let late: Vec<Uuid> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    let changes =
        late.iter().map(|id| Change { reason: "superseded".to_owned(), ..Change::new(MessageId::from_uuid(*id), Fact::Cancelled, now) });
    apply::apply(store, tx, changes.collect()).await?;
    Ok(late.into_iter().collect())
}
