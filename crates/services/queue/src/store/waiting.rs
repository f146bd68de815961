//! Moves messages between the tables of what waits, as their states change. Whoever does so holds their states.

use std::collections::{BTreeMap, HashMap};

use barid_db::Tx;
use barid_domain::MessageId;
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{DbErr, Value};
use uuid::Uuid;

use super::{
    apply::{self, Closes, Row, Ticket},
    days,
};
use crate::state::State;

type Changed<'a> = BTreeMap<&'a MessageId, &'a Row>;

/// Writes where messages wait now; gives back what those had with them that left their session's queue or came from under way.
pub(super) async fn write(tx: &Tx, changed: &Changed<'_>) -> Result<HashMap<MessageId, Ticket>, DbErr> {
    let left = |state: State| -> Vec<Uuid> {
        let gone = changed.iter().filter(|(_, row)| row.before.state == state && row.after.state != state);
        gone.map(|(id, _)| id.uuid()).collect()
    };
    let scheduled = left(State::Scheduled);
    if !scheduled.is_empty() {
        tx.run("DELETE FROM queue.scheduled WHERE message_id = ANY($1)", [scheduled.into()]).await?;
    }
    let mut tickets = take(tx, "ready", left(State::Queued)).await?;
    let (mut landed, mut unknown) = (left(State::Sending), left(State::Uncertain));
    take(tx, "ready", unknown.clone()).await?;
    // What became uncertain still occupies its conversation.
    landed.retain(|id| changed[&MessageId::from_uuid(*id)].after.state != State::Uncertain);
    landed.append(&mut unknown);
    tickets.extend(take(tx, "in_flight", landed).await?);
    repeat(tx, changed).await?;
    schedule(tx, changed, &tickets).await?;
    queue(tx, changed, &tickets).await?;
    Ok(tickets)
}

/// Takes messages out of a table.
async fn take(tx: &Tx, table: &'static str, ids: Vec<Uuid>) -> Result<HashMap<MessageId, Ticket>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx
        .rows(format!("DELETE FROM queue.{table} WHERE message_id = ANY($1) RETURNING message_id, closes_at, charged_on"), [ids.into()])
        .await?;
    rows.iter()
        .map(|row| {
            let closes: Option<DateTime<Utc>> = row.try_get_by_index(1)?;
            let ticket = Ticket { closes: closes.map_or(Closes::Never, Closes::At), charged_on: row.try_get_by_index(2)? };
            Ok((MessageId::from_uuid(row.try_get_by_index(0)?), ticket))
        })
        .collect()
}

/// What waits for its time.
async fn schedule(tx: &Tx, changed: &Changed<'_>, tickets: &HashMap<MessageId, Ticket>) -> Result<(), DbErr> {
    let waiting: Vec<_> = changed.iter().filter(|(_, row)| row.after.state == State::Scheduled).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    // What it was charged for an attempt that was made is not given back, and stands for the next one.
    let charged = |id: &MessageId, row: &Row| {
        row.before.state == State::Queued && row.before.failures > 0 && tickets.get(id).is_some_and(|ticket| ticket.charged_on.is_none())
    };
    let ids: Vec<Uuid> = waiting.iter().map(|(id, _)| id.uuid()).collect();
    let [first, last] = days::bounds(&ids);
    let values: [Value; 7] = [
        ids.into(),
        waiting.iter().map(|(_, row)| row.due.unwrap_or(row.created_at)).collect::<Vec<_>>().into(),
        waiting.iter().map(|(_, row)| row.expires).collect::<Vec<_>>().into(),
        waiting.iter().map(|(_, row)| row.held).collect::<Vec<_>>().into(),
        waiting.iter().map(|(id, row)| charged(id, row)).collect::<Vec<_>>().into(),
        first,
        last,
    ];
    tx.run(
        "INSERT INTO queue.scheduled (message_id, tenant_id, due_at, expires_at, held, charged)
         SELECT m.id, m.tenant_id, n.due_at, n.expires_at, n.held, n.charged
         FROM UNNEST($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::bool[], $5::bool[]) AS n(id, due_at, expires_at, held, charged)
         JOIN queue.messages m USING (id) WHERE m.id = ANY($1) AND m.id BETWEEN $6 AND $7
         ON CONFLICT (message_id) DO UPDATE SET due_at = excluded.due_at, expires_at = excluded.expires_at, held = excluded.held",
        values,
    )
    .await?;
    Ok(())
}

/// What waits for its session.
async fn queue(tx: &Tx, changed: &Changed<'_>, known: &HashMap<MessageId, Ticket>) -> Result<(), DbErr> {
    let ready: Vec<_> = changed.iter().filter(|(_, row)| row.after.state == State::Queued).collect();
    if ready.is_empty() {
        return Ok(());
    }
    let due = |row: &Row| row.due.unwrap_or(row.created_at);
    let ticket = |id: &MessageId, row: &Row| {
        row.ticket.unwrap_or_else(|| {
            let kept = known.get(id);
            // What was looked at for the lane it had counts for that lane.
            let same_lane = apply::lane(row, row.before) == apply::lane(row, row.after);
            Ticket {
                closes: kept.filter(|_| same_lane).map_or(Closes::Unknown, |ticket| ticket.closes),
                // An attempt that failed was made, unless its reason says otherwise.
                charged_on: kept.filter(|_| row.after.failures == row.before.failures || row.unsent).and_then(|ticket| ticket.charged_on),
            }
        })
    };
    let ids: Vec<Uuid> = ready.iter().map(|(id, _)| id.uuid()).collect();
    let [first, last] = days::bounds(&ids);
    let values: [Value; 8] = [
        ids.into(),
        ready.iter().map(|(_, row)| apply::lane(row, row.after) as i16).collect::<Vec<_>>().into(),
        ready.iter().map(|(_, row)| due(row)).collect::<Vec<_>>().into(),
        ready.iter().map(|(_, row)| row.expires).collect::<Vec<_>>().into(),
        ready
            .iter()
            .map(|(id, row)| match ticket(id, row).closes {
                Closes::Never => String::new(),
                Closes::At(time) => optional(Some(time)),
                Closes::Unknown => optional(Some(due(row))),
            })
            .collect::<Vec<_>>()
            .into(),
        ready.iter().map(|(id, row)| optional_day(ticket(id, row).charged_on)).collect::<Vec<_>>().into(),
        first,
        last,
    ];
    tx.run(
        // What comes back to a job that does not run is looked at before anyone may claim it.
        "INSERT INTO queue.ready (message_id, tenant_id, session_id, contact_id, lane, due_at, expires_at, closes_at, charged_on)
         SELECT m.id, m.tenant_id, m.session_id, m.contact_id, n.lane, n.due_at, n.expires_at,
                CASE WHEN m.job_id IS NOT NULL AND EXISTS (SELECT FROM queue.jobs j WHERE j.id = m.job_id AND j.state <> 1) THEN n.due_at
                     ELSE nullif(n.closes_at, '')::timestamptz END,
                nullif(n.charged_on, '')::date
         FROM UNNEST($1::uuid[], $2::smallint[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[])
              AS n(id, lane, due_at, expires_at, closes_at, charged_on)
         JOIN queue.messages m USING (id) WHERE m.id = ANY($1) AND m.id BETWEEN $7 AND $8
         ON CONFLICT (message_id) DO UPDATE SET lane = excluded.lane, due_at = excluded.due_at, closes_at = excluded.closes_at,
             charged_on = excluded.charged_on, repeat = false",
        values,
    )
    .await?;
    Ok(())
}

/// Of what became uncertain, the messages that went out under an id of ours wait to go out again; the others wait for WhatsApp's word where
/// they are. Both are under way and never closed: what was begun is brought to its end.
async fn repeat(tx: &Tx, changed: &Changed<'_>) -> Result<(), DbErr> {
    let doubtful: Vec<_> =
        changed.iter().filter(|(_, row)| row.after.state == State::Uncertain && row.before.state != State::Uncertain).collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = doubtful.iter().map(|(id, _)| id.uuid()).collect();
    let [first, last] = days::bounds(&ids);
    let values: [Value; 6] = [
        ids.into(),
        doubtful.iter().map(|(_, row)| apply::lane(row, row.after) as i16).collect::<Vec<_>>().into(),
        doubtful.iter().map(|(_, row)| row.due.unwrap_or(row.created_at)).collect::<Vec<_>>().into(),
        doubtful.iter().map(|(_, row)| row.expires).collect::<Vec<_>>().into(),
        first,
        last,
    ];
    tx.run(
        "WITH gone AS (
            DELETE FROM queue.in_flight WHERE message_id = ANY($1::uuid[]) AND repeatable RETURNING message_id
         )
         INSERT INTO queue.ready (message_id, tenant_id, session_id, contact_id, lane, due_at, expires_at, repeat)
         SELECT m.id, m.tenant_id, m.session_id, m.contact_id, n.lane, n.due_at, n.expires_at, true
         FROM UNNEST($1::uuid[], $2::smallint[], $3::timestamptz[], $4::timestamptz[]) AS n(id, lane, due_at, expires_at)
         JOIN gone ON gone.message_id = n.id JOIN queue.messages m ON m.id = n.id WHERE m.id = ANY($1) AND m.id BETWEEN $5 AND $6",
        values,
    )
    .await?;
    Ok(())
}

/// A day that may be missing, as [`optional`].
pub(super) fn optional_day(day: Option<NaiveDate>) -> String {
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// A time that may be missing. sea-orm has no arrays with gaps: an empty text stands for none.
pub(super) fn optional(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.to_rfc3339()).unwrap_or_default()
}
