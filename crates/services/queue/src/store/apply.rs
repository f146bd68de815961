//! The one way in which messages change: facts go in, the state machine says where they lead, and every step becomes an event.

use std::collections::{BTreeMap, HashMap};

use barid_db::{NewEvent, Tx};
use barid_domain::{ContactId, MessageId, SessionId, TenantId};
use barid_proto::{
    events::v1::{MessagePayload, event::Payload},
    timestamp,
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::{EVENTS, Store, acquaintances, days, quota, waiting};
use crate::{
    channel::Channel,
    lanes::Lane,
    reason,
    state::{self, Fact, Standing, State},
};

/// Something that happened to a message.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub message: MessageId,
    pub fact: Fact,
    pub at: DateTime<Utc>,
    /// Why, as a code; empty when nothing went wrong.
    pub reason: String,
    /// When it is tried again, at the earliest; of what is deferred, until when.
    pub not_before: Option<DateTime<Utc>>,
    /// Of what is deferred: whether it waits for its job to go on, whatever its time.
    pub held: bool,
    /// Of what becomes due: what goes with it into its session's queue.
    pub ticket: Option<Ticket>,
    /// Whether it ends without ever having reached the wire.
    pub unsent: bool,
    /// Of what is deferred: whether it lives as long from then on as it would have from its time.
    pub renewed: bool,
    /// The way that it takes from here on, when that changes.
    pub channel: Option<Channel>,
}

/// What a message has with it while it waits for its session or is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub closes: Closes,
    /// The day it was charged to; none when it reached the wire and nothing is given back any more.
    pub charged_on: Option<NaiveDate>,
}

/// Until when a message that waits for its session may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closes {
    Never,
    At(DateTime<Utc>),
    /// Its hours are looked at before anyone may claim it.
    Unknown,
}

impl Change {
    pub(crate) fn new(message: MessageId, fact: Fact, at: DateTime<Utc>) -> Self {
        Self {
            message,
            fact,
            at,
            reason: String::new(),
            not_before: None,
            held: false,
            ticket: None,
            unsent: false,
            renewed: false,
            channel: None,
        }
    }
}

/// A message as it stands after its changes.
#[derive(Clone, Debug)]
pub(crate) struct Standings {
    pub before: Standing,
    pub after: Standing,
    /// What it had with it when it left its session's queue.
    pub ticket: Option<Ticket>,
}

pub(super) struct Row {
    pub tenant: TenantId,
    pub session: SessionId,
    pub contact: ContactId,
    lane: Lane,
    template: String,
    client_reference: String,
    pub created_at: DateTime<Utc>,
    pub before: Standing,
    pub after: Standing,
    /// Whether anything happened to it.
    touched: bool,
    pub held: bool,
    pub ticket: Option<Ticket>,
    /// Whether its last change kept it off the wire.
    pub unsent: bool,
    reason: String,
    pub sent: Option<DateTime<Utc>>,
    delivered: Option<DateTime<Utc>>,
    read: Option<DateTime<Utc>>,
    played: Option<DateTime<Utc>>,
    pub due: Option<DateTime<Utc>>,
    pub expires: DateTime<Utc>,
    pub channel: Channel,
    /// How long after it was due it was worth sending when it was handed over.
    life: TimeDelta,
    /// Whether it lives anew.
    renewed: bool,
}

/// Applies changes in their order; gives back the messages that were found. Locks their states in the order of their ids.
pub(super) async fn apply(store: &Store, tx: &Tx, changes: Vec<Change>) -> Result<BTreeMap<MessageId, Standings>, DbErr> {
    if changes.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut rows = lock(tx, changes.iter().map(|change| change.message.uuid()).collect()).await?;
    let mut events = Vec::new();
    for mut change in changes {
        let Some(row) = rows.get_mut(&change.message) else { continue };
        // What WhatsApp says of an attempt of its own is no word on one that goes another way, unless it arrived after all.
        let of_whatsapp = change.channel.is_none() && matches!(change.fact, Fact::Rejected { .. } | Fact::Sent);
        if row.channel != Channel::Whatsapp && of_whatsapp {
            continue;
        }
        // WhatsApp tells whole seconds: a receipt would seem to come before what it is the receipt of.
        change.at = [row.sent, row.delivered, row.read].into_iter().flatten().fold(change.at, DateTime::max);
        for step in state::follow(row.after, change.fact) {
            // Being played is no state, and yet something to tell.
            let kind = if step.state == row.after.state && step.played { "played" } else { step.state.name() };
            take_step(row, step, &change);
            events.push(event(store, change.message, row, step, kind, &change));
        }
    }
    let changed: BTreeMap<&MessageId, &Row> = rows.iter().filter(|(_, row)| row.touched).collect();
    let mut tickets = HashMap::new();
    if !changed.is_empty() {
        write_states(tx, &changed).await?;
        write_new_lives(tx, &changed).await?;
        acquaintances::write(tx, &changed).await?;
        tickets = waiting::write(tx, &changed).await?;
        write_dead_letters(tx, &changed, store.now()).await?;
        barid_db::append(tx, EVENTS, events).await?;
        quota::give_back(tx, &changed, &tickets).await?;
    }
    Ok(rows.into_iter().map(|(id, row)| (id, Standings { before: row.before, after: row.after, ticket: tickets.remove(&id) })).collect())
}

fn take_step(row: &mut Row, step: Standing, change: &Change) {
    (row.after, row.touched, row.unsent) = (step, true, change.unsent || reason::before_the_wire(&change.reason));
    row.reason.clone_from(&change.reason);
    row.channel = match change.fact {
        Fact::Redriven | Fact::Delivered | Fact::Read | Fact::Played => Channel::Whatsapp,
        _ => change.channel.unwrap_or(row.channel),
    };
    if step.played {
        row.played = row.played.or(Some(change.at));
    }
    match step.state {
        State::Sent => row.sent = row.sent.or(Some(change.at)),
        State::Delivered => row.delivered = row.delivered.or(Some(change.at)),
        State::Read => row.read = row.read.or(Some(change.at)),
        State::Scheduled => {
            (row.due, row.held) = (Some(change.not_before.unwrap_or(change.at)), change.held);
            if change.fact == Fact::Redriven || change.renewed {
                row.expires = row.due.unwrap_or(change.at) + row.life;
                row.renewed = true;
            }
        }
        State::Queued => {
            row.ticket = change.ticket;
            let backoff = if matches!(change.fact, Fact::AttemptFailed { .. } | Fact::Rejected { .. }) {
                TimeDelta::from_std(state::backoff(step.failures)).unwrap_or_default()
            } else {
                TimeDelta::zero()
            };
            row.due = Some(not_before(change, backoff));
        }
        // When it may go out again, if it went out under an id of ours.
        State::Uncertain => {
            row.due = Some(not_before(change, TimeDelta::from_std(state::repeat_after(step.attempt)).unwrap_or_default()));
        }
        _ => {}
    }
}

fn not_before(change: &Change, wait: TimeDelta) -> DateTime<Utc> {
    change.not_before.map_or(change.at + wait, |earliest| earliest.max(change.at + wait))
}

fn event(store: &Store, message: MessageId, row: &Row, step: Standing, kind: &'static str, change: &Change) -> NewEvent {
    NewEvent {
        id: store.mint(),
        tenant: row.tenant,
        entity: message.uuid(),
        kind,
        at: change.at,
        payload: Payload::Message(MessagePayload {
            session_id: row.session.to_string(),
            contact_id: row.contact.to_string(),
            template: row.template.clone(),
            lane: lane(row, step).name().to_owned(),
            attempt: step.attempt,
            reason: change.reason.clone(),
            client_reference: row.client_reference.clone(),
            accept_time: Some(timestamp(row.created_at)),
            due_time: row.due.filter(|_| step.state.waits()).map(timestamp),
            channel: row.channel.name().to_owned(),
        }),
    }
}

/// The lane of a message: RETRY once an attempt has failed.
pub(super) fn lane(row: &Row, standing: Standing) -> Lane {
    if standing.failures > 0 { Lane::Retry } else { row.lane }
}

async fn lock(tx: &Tx, mut ids: Vec<Uuid>) -> Result<BTreeMap<MessageId, Row>, DbErr> {
    ids.sort_unstable();
    ids.dedup();
    let [first, last] = days::bounds(&ids);
    let rows = tx
        .rows(
            "SELECT s.message_id, m.tenant_id, m.session_id, m.contact_id, m.lane, m.template, m.client_reference, m.created_at,
                    s.state, s.attempt, s.failures, s.dead_letter, s.reason, s.sent_at, s.delivered_at, s.read_at, s.played_at,
                    m.due_at, m.expires_at, s.expires_at, s.channel
             FROM queue.message_state s JOIN queue.messages m ON m.id = s.message_id
             WHERE s.message_id = ANY($1) AND s.message_id BETWEEN $2 AND $3 AND m.id BETWEEN $2 AND $3
             ORDER BY s.message_id FOR UPDATE OF s",
            [ids.into(), first, last],
        )
        .await?;
    rows.iter().map(|row| Ok((MessageId::from_uuid(row.try_get_by_index(0)?), read(row)?))).collect()
}

fn read(row: &QueryResult) -> Result<Row, DbErr> {
    let played: Option<DateTime<Utc>> = row.try_get_by_index(16)?;
    let (due, expires): (DateTime<Utc>, DateTime<Utc>) = (row.try_get_by_index(17)?, row.try_get_by_index(18)?);
    let standing = Standing {
        state: State::from_number(row.try_get_by_index(8)?).ok_or_else(|| DbErr::Type("unknown state".to_owned()))?,
        attempt: row.try_get_by_index::<i32>(9)?.cast_unsigned(),
        failures: row.try_get_by_index::<i32>(10)?.cast_unsigned(),
        dead_letter: row.try_get_by_index(11)?,
        played: played.is_some(),
    };
    Ok(Row {
        tenant: TenantId::from_uuid(row.try_get_by_index(1)?),
        session: SessionId::from_uuid(row.try_get_by_index(2)?),
        contact: ContactId::from_uuid(row.try_get_by_index(3)?),
        lane: Lane::from_number(row.try_get_by_index(4)?).unwrap_or(Lane::Batch),
        template: row.try_get_by_index(5)?,
        client_reference: row.try_get_by_index(6)?,
        created_at: row.try_get_by_index(7)?,
        before: standing,
        after: standing,
        touched: false,
        held: false,
        ticket: None,
        unsent: false,
        reason: row.try_get_by_index(12)?,
        sent: row.try_get_by_index(13)?,
        delivered: row.try_get_by_index(14)?,
        read: row.try_get_by_index(15)?,
        played,
        due: None,
        expires: row.try_get_by_index::<Option<DateTime<Utc>>>(19)?.unwrap_or(expires),
        channel: Channel::from_number(row.try_get_by_index(20)?).unwrap_or_default(),
        life: expires - due,
        renewed: false,
    })
}

async fn write_states(tx: &Tx, changed: &BTreeMap<&MessageId, &Row>) -> Result<(), DbErr> {
    let rows = || changed.values();
    // sea-orm has no arrays with gaps: an empty text stands for none.
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339()).unwrap_or_default();
    let ids: Vec<Uuid> = changed.keys().map(|id| id.uuid()).collect();
    let [first, last] = days::bounds(&ids);
    let values = [
        ids.into(),
        rows().map(|row| row.after.state as i16).collect::<Vec<_>>().into(),
        rows().map(|row| row.after.attempt.cast_signed()).collect::<Vec<_>>().into(),
        rows().map(|row| row.after.failures.cast_signed()).collect::<Vec<_>>().into(),
        rows().map(|row| row.after.dead_letter).collect::<Vec<_>>().into(),
        rows().map(|row| row.reason.clone()).collect::<Vec<_>>().into(),
        rows().map(|row| time(row.sent)).collect::<Vec<_>>().into(),
        rows().map(|row| time(row.delivered)).collect::<Vec<_>>().into(),
        rows().map(|row| time(row.read)).collect::<Vec<_>>().into(),
        rows().map(|row| time(row.played)).collect::<Vec<_>>().into(),
        rows().map(|row| row.channel as i16).collect::<Vec<_>>().into(),
        first,
        last,
    ];
    tx.run(
        // Each row finds its place in the arrays. As a join with them, a plan made for other sizes would look for every row at every place.
        "UPDATE queue.message_state s
         SET (state, attempt, failures, dead_letter, reason, sent_at, delivered_at, read_at, played_at, channel) = (
            SELECT ($2::smallint[])[n.i], ($3::int[])[n.i], ($4::int[])[n.i], ($5::bool[])[n.i], ($6::text[])[n.i],
                   nullif(($7::text[])[n.i], '')::timestamptz, nullif(($8::text[])[n.i], '')::timestamptz,
                   nullif(($9::text[])[n.i], '')::timestamptz, nullif(($10::text[])[n.i], '')::timestamptz, ($11::smallint[])[n.i]
            FROM (SELECT array_position($1::uuid[], s.message_id) AS i OFFSET 0) n)
         WHERE s.message_id = ANY($1) AND s.message_id BETWEEN $12 AND $13",
        values,
    )
    .await?;
    Ok(())
}

/// What is sent again on request is worth sending as long as it was at first.
async fn write_new_lives(tx: &Tx, changed: &BTreeMap<&MessageId, &Row>) -> Result<(), DbErr> {
    let (ids, times): (Vec<Uuid>, Vec<DateTime<Utc>>) =
        changed.iter().filter(|(_, row)| row.renewed).map(|(id, row)| (id.uuid(), row.expires)).unzip();
    if !ids.is_empty() {
        let update = "UPDATE queue.message_state s SET expires_at = n.expires_at
                      FROM UNNEST($1::uuid[], $2::timestamptz[]) AS n(id, expires_at) WHERE s.message_id = n.id AND s.message_id = ANY($1)";
        tx.run(update, [ids.into(), times.into()]).await?;
    }
    Ok(())
}

async fn write_dead_letters(tx: &Tx, changed: &BTreeMap<&MessageId, &Row>, now: DateTime<Utc>) -> Result<(), DbErr> {
    let (mut dead, mut tenants, mut alive) = (Vec::new(), Vec::new(), Vec::new());
    for (id, row) in changed {
        if row.after.dead_letter {
            dead.push(id.uuid());
            tenants.push(row.tenant.uuid());
        } else if row.before.dead_letter {
            alive.push(id.uuid());
        }
    }
    if !dead.is_empty() {
        let insert = "INSERT INTO queue.dead_letters (message_id, tenant_id, at) SELECT *, $3 FROM UNNEST($1::uuid[], $2::uuid[]) ON CONFLICT DO NOTHING";
        tx.run(insert, [dead.into(), tenants.into(), now.into()]).await?;
    }
    if !alive.is_empty() {
        tx.run("DELETE FROM queue.dead_letters WHERE message_id = ANY($1)", [alive.into()]).await?;
    }
    Ok(())
}
