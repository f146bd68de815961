//! The messages that a tenant may send in a day. A message is charged to the day on which it is due, and given back to that day when it ends
//! or is put off before it reached the wire.
//!
//! Charges are locked before any message, in the order of tenants and days; what is given back is locked after them, in rows of its own. So
//! no two commits wait for each other.

use std::collections::{BTreeMap, HashMap};

use barid_db::Tx;
use barid_domain::{MessageId, TenantId};
use chrono::NaiveDate;
use sea_orm::DbErr;

use super::apply::{Row, Ticket};
use crate::state::State;

/// Holds a day of a tenant until the transaction ends, and says how many more messages its quota lets through.
pub(super) async fn hold(tx: &Tx, tenant: TenantId, day: NaiveDate, quota: u32) -> Result<u32, DbErr> {
    let row = tx
        .row(
            "INSERT INTO queue.quota_usage AS q (tenant_id, day, used) VALUES ($1, $2, 0)
             ON CONFLICT (tenant_id, day) DO UPDATE SET used = q.used
             RETURNING used - coalesce((SELECT r.returned FROM queue.quota_returned r WHERE r.tenant_id = $1 AND r.day = $2), 0)",
            [tenant.uuid().into(), day.into()],
        )
        .await?;
    let used: i32 = row.ok_or_else(|| DbErr::RecordNotFound("quota".to_owned()))?.try_get_by_index(0)?;
    Ok(quota.saturating_sub(u32::try_from(used).unwrap_or(0)))
}

/// What a tenant wants to send on a day, and may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub messages: u32,
    pub quota: u32,
}

/// Charges what days have room for, and says how many messages of each that was. Holds the days until the transaction ends.
pub(super) async fn take(tx: &Tx, wishes: &BTreeMap<(TenantId, NaiveDate), Wish>) -> Result<BTreeMap<(TenantId, NaiveDate), u32>, DbErr> {
    if wishes.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = tx
        .rows(
            // In the order in which everyone holds them.
            "INSERT INTO queue.quota_usage AS q (tenant_id, day, used)
             SELECT * FROM UNNEST($1::uuid[], $2::date[], $3::int[]) AS n(tenant_id, day, used) ORDER BY 1, 2
             ON CONFLICT (tenant_id, day) DO UPDATE SET used = q.used + excluded.used
             RETURNING tenant_id, day, used - coalesce(
                (SELECT r.returned FROM queue.quota_returned r WHERE r.tenant_id = q.tenant_id AND r.day = q.day), 0)",
            [
                wishes.keys().map(|(tenant, _)| tenant.uuid()).collect::<Vec<_>>().into(),
                wishes.keys().map(|(_, day)| *day).collect::<Vec<_>>().into(),
                wishes.values().map(|wish| wish.messages.cast_signed()).collect::<Vec<_>>().into(),
            ],
        )
        .await?;
    let mut granted = BTreeMap::new();
    for row in rows {
        let day = (TenantId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index::<NaiveDate>(1)?);
        let used = u32::try_from(row.try_get_by_index::<i32>(2)?).unwrap_or(0);
        let Some(wish) = wishes.get(&day) else { continue };
        let excess = used.saturating_sub(wish.quota).min(wish.messages);
        if excess > 0 {
            let sql = "UPDATE queue.quota_usage SET used = used - $3 WHERE tenant_id = $1 AND day = $2";
            tx.run(sql, [day.0.uuid().into(), day.1.into(), excess.cast_signed().into()]).await?;
        }
        granted.insert(day, wish.messages - excess);
    }
    Ok(granted)
}

/// Charges messages to a day that is held.
pub(super) async fn charge(tx: &Tx, tenant: TenantId, day: NaiveDate, messages: u32) -> Result<(), DbErr> {
    if messages > 0 {
        let sql = "UPDATE queue.quota_usage SET used = used + $3 WHERE tenant_id = $1 AND day = $2";
        tx.run(sql, [tenant.uuid().into(), day.into(), messages.cast_signed().into()]).await?;
    }
    Ok(())
}

/// Gives back what was charged for messages that have not reached the wire and wait for their session no more. The last that a commit locks.
pub(super) async fn give_back(tx: &Tx, changed: &BTreeMap<&MessageId, &Row>, tickets: &HashMap<MessageId, Ticket>) -> Result<(), DbErr> {
    let mut returned: BTreeMap<(TenantId, NaiveDate), i32> = BTreeMap::new();
    for (id, row) in changed {
        if let Some(day) = tickets.get(id).and_then(|ticket| ticket.charged_on)
            && is_given_back(row.before.state, row.after.state, row.unsent)
        {
            *returned.entry((row.tenant, day)).or_default() += 1;
        }
    }
    if returned.is_empty() {
        return Ok(());
    }
    let values = [
        returned.keys().map(|(tenant, _)| tenant.uuid()).collect::<Vec<_>>().into(),
        returned.keys().map(|(_, day)| *day).collect::<Vec<_>>().into(),
        returned.into_values().collect::<Vec<_>>().into(),
    ];
    tx.run(
        "INSERT INTO queue.quota_returned AS r (tenant_id, day, returned)
         SELECT * FROM UNNEST($1::uuid[], $2::date[], $3::int[]) AS n(tenant_id, day, returned) ORDER BY 1, 2
         ON CONFLICT (tenant_id, day) DO UPDATE SET returned = r.returned + excluded.returned",
        values,
    )
    .await?;
    Ok(())
}

/// Whether the charge of a message that went from one state to another is given back. `unsent`: it ended before the wire, although it was
/// claimed.
fn is_given_back(before: State, after: State, unsent: bool) -> bool {
    let over = matches!(after, State::Scheduled | State::Failed | State::Cancelled | State::Expired);
    over && (before == State::Queued || (before == State::Sending && unsent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_back_for_what_was_or_may_have_been_written() {
        for before in State::ALL {
            for after in State::ALL {
                for unsent in [false, true] {
                    let given_back = is_given_back(before, after, unsent);
                    let never_written = before == State::Queued || (before == State::Sending && unsent);
                    assert!(!given_back || never_written, "{before:?} {after:?} {unsent}");
                    assert!(!given_back || !after.is_taken(), "{before:?} {after:?} {unsent}");
                }
            }
        }
        for ended in [State::Cancelled, State::Expired, State::Failed, State::Scheduled] {
            assert!(is_given_back(State::Queued, ended, false));
        }
    }
}
