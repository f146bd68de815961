//! Moves messages between the tables of what waits, as their states change.

use std::collections::BTreeMap;

use barid_db::Tx;
use barid_domain::MessageId;
use sea_orm::DbErr;
use uuid::Uuid;

use super::apply::{self, Row};
use crate::state::State;

/// Writes where messages wait now.
pub(super) async fn write(tx: &Tx, changed: &BTreeMap<&MessageId, &Row>) -> Result<(), DbErr> {
    let left = |state: State| -> Vec<Uuid> {
        let gone = changed.iter().filter(|(_, row)| row.before.state == state && row.after.state != state);
        gone.map(|(id, _)| id.uuid()).collect()
    };
    let scheduled = left(State::Scheduled);
    if !scheduled.is_empty() {
        tx.run("DELETE FROM queue.scheduled WHERE message_id = ANY($1)", [scheduled.into()]).await?;
    }
    let queued = left(State::Queued);
    if !queued.is_empty() {
        tx.run("DELETE FROM queue.ready WHERE message_id = ANY($1)", [queued.into()]).await?;
    }
    let (mut landed, mut unknown) = (left(State::Sending), left(State::Uncertain));
    if !unknown.is_empty() {
        tx.run("DELETE FROM queue.ready WHERE message_id = ANY($1)", [unknown.clone().into()]).await?;
    }
    // What became uncertain still occupies its conversation.
    landed.retain(|id| changed[&MessageId::from_uuid(*id)].after.state != State::Uncertain);
    landed.append(&mut unknown);
    if !landed.is_empty() {
        tx.run("DELETE FROM queue.in_flight WHERE message_id = ANY($1)", [landed.into()]).await?;
    }
    repeat(tx, changed).await?;
    let ready: Vec<(&&MessageId, &&Row)> = changed.iter().filter(|(_, row)| row.after.state == State::Queued).collect();
    if ready.is_empty() {
        return Ok(());
    }
    let values = [
        ready.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>().into(),
        ready.iter().map(|(_, row)| apply::lane(row, row.after) as i16).collect::<Vec<_>>().into(),
        ready.iter().map(|(_, row)| row.due.unwrap_or(row.created_at)).collect::<Vec<_>>().into(),
        ready.iter().map(|(_, row)| row.expires).collect::<Vec<_>>().into(),
    ];
    tx.run(
        "INSERT INTO queue.ready (message_id, tenant_id, session_id, contact_id, lane, due_at, expires_at)
         SELECT m.id, m.tenant_id, m.session_id, m.contact_id, n.lane, n.due_at, n.expires_at
         FROM UNNEST($1::uuid[], $2::smallint[], $3::timestamptz[], $4::timestamptz[]) AS n(id, lane, due_at, expires_at)
         JOIN queue.messages m USING (id)
         ON CONFLICT (message_id) DO UPDATE SET lane = excluded.lane, due_at = excluded.due_at, repeat = false",
        values,
    )
    .await?;
    Ok(())
}

/// Of what became uncertain, the messages that went out under an id of ours wait to go out again; the others wait for WhatsApp's word where
/// they are.
async fn repeat(tx: &Tx, changed: &BTreeMap<&MessageId, &Row>) -> Result<(), DbErr> {
    let doubtful = || changed.iter().filter(|(_, row)| row.after.state == State::Uncertain && row.before.state != State::Uncertain);
    if doubtful().next().is_none() {
        return Ok(());
    }
    let values = [
        doubtful().map(|(id, _)| id.uuid()).collect::<Vec<_>>().into(),
        doubtful().map(|(_, row)| apply::lane(row, row.after) as i16).collect::<Vec<_>>().into(),
        doubtful().map(|(_, row)| row.due.unwrap_or(row.created_at)).collect::<Vec<_>>().into(),
        doubtful().map(|(_, row)| row.expires).collect::<Vec<_>>().into(),
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
