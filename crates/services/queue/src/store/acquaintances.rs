//! Whom a session has sent something before. It outlives the messages themselves.

use std::collections::{BTreeMap, BTreeSet};

use barid_db::Tx;
use barid_domain::{ContactId, MessageId};
use sea_orm::DbErr;
use uuid::Uuid;

use super::apply::Row;
use crate::channel::Channel;

/// Remembers those whom something has reached the wire for just now.
pub(super) async fn write(tx: &Tx, changed: &BTreeMap<&MessageId, &Row>) -> Result<(), DbErr> {
    let sent =
        changed.values().filter(|row| row.channel == Channel::Whatsapp && row.after.state.is_taken() && !row.before.state.is_taken());
    // In one order, so that two commits cannot wait for each other.
    let met: BTreeSet<(Uuid, Uuid, Uuid)> = sent.map(|row| (row.session.uuid(), row.contact.uuid(), row.tenant.uuid())).collect();
    if met.is_empty() {
        return Ok(());
    }
    let values = [
        met.iter().map(|(session, ..)| *session).collect::<Vec<_>>().into(),
        met.iter().map(|(_, contact, _)| *contact).collect::<Vec<_>>().into(),
        met.iter().map(|(.., tenant)| *tenant).collect::<Vec<_>>().into(),
    ];
    // A contact may have turned out to be another one a moment ago.
    let insert = "INSERT INTO queue.acquaintances (session_id, contact_id, tenant_id)
                  SELECT n.session_id, coalesce(c.merged_into, n.contact_id), n.tenant_id
                  FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[]) AS n(session_id, contact_id, tenant_id)
                  LEFT JOIN queue.contacts c ON c.id = n.contact_id ORDER BY 1, 2 ON CONFLICT DO NOTHING";
    tx.run(insert, values).await?;
    Ok(())
}

/// Gives a contact whom others knew, who turned out to be the same.
pub(super) async fn join(tx: &Tx, to: ContactId, from: &[Uuid]) -> Result<(), DbErr> {
    let copy = "INSERT INTO queue.acquaintances (session_id, contact_id, tenant_id)
                SELECT DISTINCT session_id, $1::uuid, tenant_id FROM queue.acquaintances WHERE contact_id = ANY($2) ON CONFLICT DO NOTHING";
    tx.run(copy, [to.uuid().into(), from.to_vec().into()]).await?;
    tx.run("DELETE FROM queue.acquaintances WHERE contact_id = ANY($1)", [from.to_vec().into()]).await?;
    Ok(())
}
