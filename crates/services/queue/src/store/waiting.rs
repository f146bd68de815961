//! Moves messages between the tables of what waits, as their states change. Whoever does so holds their states.

use std::collections::{BTreeMap, HashMap};

use barid_db::Tx;
use barid_domain::MessageId;
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, Value};
use uuid::Uuid;

use super::apply::{self, Closes, Row};
use crate::state::State;

type Changed<'a> = BTreeMap<&'a MessageId, &'a Row>;

/// Writes where messages wait now; gives back until when those that left their session's queue might have been claimed.
pub(super) async fn write(tx: &Tx, changed: &Changed<'_>) -> Result<HashMap<MessageId, Closes>, DbErr> {
    let left = |state: State| -> Vec<Uuid> {
        let gone = changed.iter().filter(|(_, row)| row.before.state == state && row.after.state != state);
        gone.map(|(id, _)| id.uuid()).collect()
    };
    let scheduled = left(State::Scheduled);
    if !scheduled.is_empty() {
        tx.run("DELETE FROM queue.scheduled WHERE message_id = ANY($1)", [scheduled.into()]).await?;
    }
    let mut closes = take(tx, "ready", left(State::Queued)).await?;
    let (mut landed, mut unknown) = (left(State::Sending), left(State::Uncertain));
    take(tx, "ready", unknown.clone()).await?;
    // What became uncertain still occupies its conversation.
    landed.retain(|id| changed[&MessageId::from_uuid(*id)].after.state != State::Uncertain);
    landed.append(&mut unknown);
    closes.extend(take(tx, "in_flight", landed).await?);
    repeat(tx, changed).await?;
    schedule(tx, changed).await?;
    queue(tx, changed, &closes).await?;
    Ok(closes)
}

/// Takes messages out of a table.
async fn take(tx: &Tx, table: &'static str, ids: Vec<Uuid>) -> Result<HashMap<MessageId, Closes>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows =
        tx.rows(format!("DELETE FROM queue.{table} WHERE message_id = ANY($1) RETURNING message_id, closes_at"), [ids.into()]).await?;
    rows.iter()
        .map(|row| {
            let closes: Option<DateTime<Utc>> = row.try_get_by_index(1)?;
            Ok((MessageId::from_uuid(row.try_get_by_index(0)?), closes.map_or(Closes::Never, Closes::At)))
        })
        .collect()
}

/// What waits for its time.
async fn schedule(tx: &Tx, changed: &Changed<'_>) -> Result<(), DbErr> {
    let waiting: Vec<_> = changed.iter().filter(|(_, row)| row.after.state == State::Scheduled).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let values: [Value; 3] = [
        waiting.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>().into(),
        waiting.iter().map(|(_, row)| row.due.unwrap_or(row.created_at)).collect::<Vec<_>>().into(),
        waiting.iter().map(|(_, row)| row.expires).collect::<Vec<_>>().into(),
    ];
    tx.run(
        "INSERT INTO queue.scheduled (message_id, tenant_id, due_at, expires_at)
         SELECT m.id, m.tenant_id, n.due_at, n.expires_at
         FROM UNNEST($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS n(id, due_at, expires_at) JOIN queue.messages m USING (id)
         ON CONFLICT (message_id) DO UPDATE SET due_at = excluded.due_at",
        values,
    )
    .await?;
    Ok(())
}

/// What waits for its session.
async fn queue(tx: &Tx, changed: &Changed<'_>, known: &HashMap<MessageId, Closes>) -> Result<(), DbErr> {
    let ready: Vec<_> = changed.iter().filter(|(_, row)| row.after.state == State::Queued).collect();
    if ready.is_empty() {
        return Ok(());
    }
    let due = |row: &Row| row.due.unwrap_or(row.created_at);
    let closes = |id: &MessageId, row: &Row| {
        // What was looked at for the lane it had counts for that lane.
        let same_lane = apply::lane(row, row.before) == apply::lane(row, row.after);
        match (row.closes, known.get(id).filter(|_| same_lane)) {
            (Closes::Unknown, Some(known)) => *known,
            (closes, _) => closes,
        }
    };
    let values: [Value; 5] = [
        ready.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>().into(),
        ready.iter().map(|(_, row)| apply::lane(row, row.after) as i16).collect::<Vec<_>>().into(),
        ready.iter().map(|(_, row)| due(row)).collect::<Vec<_>>().into(),
        ready.iter().map(|(_, row)| row.expires).collect::<Vec<_>>().into(),
        ready
            .iter()
            .map(|(id, row)| match closes(id, row) {
                Closes::Never => String::new(),
                Closes::At(time) => optional(Some(time)),
                Closes::Unknown => optional(Some(due(row))),
            })
            .collect::<Vec<_>>()
            .into(),
    ];
    tx.run(
        "INSERT INTO queue.ready (message_id, tenant_id, session_id, contact_id, lane, due_at, expires_at, closes_at)
         SELECT m.id, m.tenant_id, m.session_id, m.contact_id, n.lane, n.due_at, n.expires_at, nullif(n.closes_at, '')::timestamptz
         FROM UNNEST($1::uuid[], $2::smallint[], $3::timestamptz[], $4::timestamptz[], $5::text[]) AS n(id, lane, due_at, expires_at, closes_at)
         JOIN queue.messages m USING (id)
         ON CONFLICT (message_id) DO UPDATE SET lane = excluded.lane, due_at = excluded.due_at, closes_at = excluded.closes_at, repeat = false",
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
    let values: [Value; 4] = [
        doubtful.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>().into(),
        doubtful.iter().map(|(_, row)| apply::lane(row, row.after) as i16).collect::<Vec<_>>().into(),
        doubtful.iter().map(|(_, row)| row.due.unwrap_or(row.created_at)).collect::<Vec<_>>().into(),
        doubtful.iter().map(|(_, row)| row.expires).collect::<Vec<_>>().into(),
    ];
    tx.run(
        "WITH gone AS (
            DELETE FROM queue.in_flight WHERE message_id = ANY($1::uuid[]) AND repeatable RETURNING message_id
         )
         INSERT INTO queue.ready (message_id, tenant_id, session_id, contact_id, lane, due_at, expires_at, repeat)
         SELECT m.id, m.tenant_id, m.session_id, m.contact_id, n.lane, n.due_at, n.expires_at, true
         FROM UNNEST($1::uuid[], $2::smallint[], $3::timestamptz[], $4::timestamptz[]) AS n(id, lane, due_at, expires_at)
         JOIN gone ON gone.message_id = n.id JOIN queue.messages m ON m.id = n.id",
        values,
    )
    .await?;
    Ok(())
}

/// A time that may be missing. sea-orm has no arrays with gaps: an empty text stands for none.
pub(super) fn optional(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.to_rfc3339()).unwrap_or_default()
}
