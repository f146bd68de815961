//! Which messages may go out now: scheduled ones become due, and what waits for its session waits for another time when its hours close.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use barid_db::Tx;
use barid_domain::{MessageId, TenantId};
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::{Change, Closes, JobState, Store, Ticket, apply, days, jobs, quota, waiting};
use crate::{
    Error,
    hours::{Closed, Daily, Hours, Plan},
    lanes::Lane,
    state::Fact,
};

/// Messages in one turn.
const TURN: i64 = 500;
/// Messages in one turn of those whose hours are looked at again.
const AGAIN: i64 = 5000;

/// What counts for a tenant at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Today {
    pub hours: Hours,
    pub day: NaiveDate,
    pub quota: u32,
}

/// A message whose time may have come.
struct Candidate {
    message: MessageId,
    tenant: TenantId,
    lane: Lane,
    window: Option<Daily>,
    asked: DateTime<Utc>,
    job: Option<JobState>,
}

impl Store {
    /// Tenants, save some, with messages whose time has come or whose hours have closed, among those that wait longest.
    pub(crate) async fn tenants_to_plan(&self, save: &[TenantId]) -> Result<Vec<TenantId>, Error> {
        let now = self.now();
        let save: Vec<Uuid> = save.iter().map(|tenant| tenant.uuid()).collect();
        let read = move |tx: Tx| async move {
            // However many are due at the opening of a window, a turn looks at its own share.
            let sql = "(SELECT tenant_id FROM queue.scheduled WHERE due_at <= $1 AND NOT held AND tenant_id <> ALL($2) ORDER BY due_at LIMIT $3)
                       UNION (SELECT tenant_id FROM queue.ready WHERE closes_at <= $1 AND tenant_id <> ALL($2) ORDER BY closes_at LIMIT $3)";
            let rows = tx.rows(sql, [now.into(), save.into(), TURN.into()]).await?;
            rows.iter().map(|row| Ok(TenantId::from_uuid(row.try_get_by_index(0)?))).collect()
        };
        self.db.engine.transaction("tenants to plan", read).await
    }

    /// Queues scheduled messages that are due, as far as their tenants' hours and quotas go.
    pub(crate) async fn queue_due(&self, tenants: &HashMap<TenantId, Today>) -> Result<(), Error> {
        let (store, now, tenants) = (self.clone(), self.now(), tenants.clone());
        let work = move |tx: Tx| async move {
            let due = "SELECT message_id, tenant_id FROM queue.scheduled
                       WHERE due_at <= $1 AND NOT held AND tenant_id = ANY($2) ORDER BY due_at LIMIT $3";
            let rows = tx.rows(due, [now.into(), uuids(&tenants).into(), TURN.into()]).await?;
            let of = rows.iter().map(|row| row.try_get_by_index(1).map(TenantId::from_uuid)).collect::<Result<BTreeSet<_>, _>>()?;
            // Quotas first, then messages: as everyone else does.
            let mut left = BTreeMap::new();
            for tenant in of {
                left.insert(tenant, quota::hold(&tx, tenant, tenants[&tenant].day, tenants[&tenant].quota).await?);
            }
            let ids = ids(rows)?;
            let looked_at = ids.len();
            lock(&tx, &ids).await?;
            let [first, last] = days::bounds(&ids);
            let rows = tx
                .rows(
                    "SELECT c.message_id, c.tenant_id, CASE WHEN s.failures > 0 THEN 3::smallint ELSE m.lane END, m.window_start, m.window_end, m.due_at,
                            j.state, c.charged, s.expires_at IS NOT NULL AND s.expires_at - c.due_at = m.expires_at - m.due_at
                     FROM queue.scheduled c JOIN queue.messages m ON m.id = c.message_id JOIN queue.message_state s USING (message_id)
                     LEFT JOIN queue.jobs j ON j.id = m.job_id
                     WHERE c.message_id = ANY($1) AND m.id = ANY($1) AND m.id BETWEEN $3 AND $4 AND s.message_id = ANY($1) AND s.message_id BETWEEN $3 AND $4 AND c.due_at <= $2 AND NOT c.held
                     ORDER BY c.due_at, c.message_id",
                    [ids.into(), now.into(), first, last],
                )
                .await?;
            let (mut changes, mut charged) = (Vec::new(), BTreeMap::<TenantId, u32>::new());
            for row in &rows {
                let candidate = candidate(row)?;
                if let Some(change) = stopped(&candidate, now) {
                    changes.push(change);
                    continue;
                }
                let Candidate { message, tenant, lane, window, asked, .. } = candidate;
                let (Some(today), Some(left)) = (tenants.get(&tenant), left.get_mut(&tenant)) else { continue };
                changes.push(match today.hours.plan(lane, window, asked, now) {
                    // What is sent again lives from when it may go out.
                    Plan::Wait { until, closed } => Change { renewed: row.try_get_by_index(8)?, ..deferred(message, until, closed, now) },
                    Plan::Open { closes } if row.try_get_by_index(7)? => {
                        let ticket = Ticket { closes: closes.map_or(Closes::Never, Closes::At), charged_on: None };
                        Change { ticket: Some(ticket), ..Change::new(message, Fact::Due, now) }
                    }
                    Plan::Open { .. } if *left == 0 => {
                        Change { reason: "quota_exceeded".to_owned(), ..Change::new(message, Fact::GivenUp, now) }
                    }
                    Plan::Open { closes } => {
                        *left -= 1;
                        *charged.entry(tenant).or_default() += 1;
                        let ticket = Ticket { closes: closes.map_or(Closes::Never, Closes::At), charged_on: Some(today.day) };
                        Change { ticket: Some(ticket), ..Change::new(message, Fact::Due, now) }
                    }
                });
            }
            for (tenant, messages) in charged {
                quota::charge(&tx, tenant, tenants[&tenant].day, messages).await?;
            }
            apply::apply(&store, &tx, changes).await?;
            Ok::<_, Error>(looked_at)
        };
        let looked_at = self.db.engine.transaction("due", work).await?;
        if looked_at > 0 {
            self.committed(true).await;
        }
        Ok(())
    }

    /// Looks at the hours of messages that may not be claimed any more: they go on, or wait for the next opening.
    pub(crate) async fn close(&self, tenants: &HashMap<TenantId, Today>) -> Result<(), Error> {
        let (store, now, tenants) = (self.clone(), self.now(), tenants.clone());
        let work = move |tx: Tx| async move {
            let closed = "SELECT message_id FROM queue.ready WHERE closes_at <= $1 AND tenant_id = ANY($2) ORDER BY closes_at LIMIT $3";
            let ids = ids(tx.rows(closed, [now.into(), uuids(&tenants).into(), TURN.into()]).await?)?;
            let looked_at = ids.len();
            lock(&tx, &ids).await?;
            let [first, last] = days::bounds(&ids);
            let rows = tx
                .rows(
                    "SELECT r.message_id, r.tenant_id, r.lane, m.window_start, m.window_end, r.due_at, j.state
                     FROM queue.ready r JOIN queue.messages m ON m.id = r.message_id LEFT JOIN queue.jobs j ON j.id = m.job_id
                     WHERE r.message_id = ANY($1) AND m.id = ANY($1) AND m.id BETWEEN $3 AND $4 AND r.closes_at <= $2",
                    [ids.into(), now.into(), first, last],
                )
                .await?;
            let (mut changes, mut open, mut until) = (Vec::new(), Vec::new(), Vec::new());
            for row in &rows {
                let candidate = candidate(row)?;
                if let Some(change) = stopped(&candidate, now) {
                    changes.push(change);
                    continue;
                }
                let Some(today) = tenants.get(&candidate.tenant) else { continue };
                // What is tried again in a few seconds is judged by that moment.
                let from = now.max(candidate.asked);
                match today.hours.plan(candidate.lane, candidate.window, from, from) {
                    Plan::Open { closes } => {
                        open.push(candidate.message.uuid());
                        until.push(waiting::optional(closes));
                    }
                    Plan::Wait { until, closed } => changes.push(deferred(candidate.message, until, closed, now)),
                }
            }
            tx.run(
                "UPDATE queue.ready r SET closes_at = nullif(n.closes_at, '')::timestamptz
                 FROM UNNEST($1::uuid[], $2::text[]) AS n(id, closes_at) WHERE r.message_id = n.id",
                [open.into(), until.into()],
            )
            .await?;
            apply::apply(&store, &tx, changes).await?;
            Ok::<_, Error>(looked_at)
        };
        let looked_at = self.db.engine.transaction("close", work).await?;
        if looked_at > 0 {
            self.committed(true).await;
        }
        Ok(())
    }

    /// Has the hours of everything that waits looked at again, because tenants have changed theirs; also of what is under way, should it come
    /// back.
    pub(crate) async fn look_again(&self, tenants: &[TenantId]) -> Result<(), Error> {
        if tenants.is_empty() {
            return Ok(());
        }
        let ready = "SELECT message_id FROM queue.ready
                     WHERE tenant_id = ANY($1) AND lane <> 1 AND (closes_at IS NULL OR closes_at > $2) AND NOT repeat AND message_id > $3
                     ORDER BY message_id LIMIT $4";
        let scheduled = "SELECT c.message_id FROM queue.scheduled c JOIN queue.message_state s USING (message_id)
                         WHERE c.tenant_id = ANY($1) AND c.due_at > $2 AND NOT c.held AND s.reason IN ('quiet_hours', 'outside_window')
                         AND message_id > $3 ORDER BY message_id LIMIT $4";
        let under_way = "SELECT message_id FROM queue.in_flight
                         WHERE tenant_id = ANY($1) AND (closes_at IS NULL OR closes_at > $2) AND message_id > $3 ORDER BY message_id LIMIT $4";
        for (find, update) in [
            (ready, "UPDATE queue.ready SET closes_at = $2 WHERE message_id = ANY($1)"),
            // After what is ready: it may have been claimed meanwhile.
            (under_way, "UPDATE queue.in_flight SET closes_at = $2 WHERE message_id = ANY($1)"),
            (scheduled, "UPDATE queue.scheduled SET due_at = $2 WHERE message_id = ANY($1) AND NOT held"),
        ] {
            let mut after = Some(Uuid::nil());
            while let Some(last) = after {
                let (now, tenants) = (self.now(), tenants.iter().map(|tenant| tenant.uuid()).collect::<Vec<_>>());
                let work = move |tx: Tx| async move {
                    let ids = ids(tx.rows(find, [tenants.into(), now.into(), last.into(), AGAIN.into()]).await?)?;
                    lock(&tx, &ids).await?;
                    let last = ids.last().copied();
                    tx.run(update, [ids.into(), now.into()]).await?;
                    Ok::<_, Error>(last)
                };
                after = self.db.engine.transaction("look again", work).await?;
            }
        }
        Ok(())
    }
}

fn candidate(row: &QueryResult) -> Result<Candidate, DbErr> {
    Ok(Candidate {
        message: MessageId::from_uuid(row.try_get_by_index(0)?),
        tenant: TenantId::from_uuid(row.try_get_by_index(1)?),
        lane: Lane::from_number(row.try_get_by_index(2)?).unwrap_or(Lane::Batch),
        window: window(row, 3)?,
        asked: row.try_get_by_index(5)?,
        job: row.try_get_by_index::<Option<i16>>(6)?.and_then(JobState::from_number),
    })
}

/// A window in two columns.
pub(super) fn window(row: &QueryResult, first: usize) -> Result<Option<Daily>, DbErr> {
    let minute = |index| row.try_get_by_index::<Option<i16>>(index).map(|minute| minute.map(i16::cast_unsigned));
    Ok(minute(first)?.zip(minute(first + 1)?).and_then(|(start, end)| Daily::new(start, end)))
}

/// What becomes of a message whose job does not run.
fn stopped(candidate: &Candidate, now: DateTime<Utc>) -> Option<Change> {
    match candidate.job? {
        JobState::Running => None,
        JobState::Paused => Some(jobs::paused(candidate.message, Some(candidate.asked), now)),
        JobState::Cancelled => Some(jobs::cancelled(candidate.message, now)),
    }
}

fn deferred(message: MessageId, until: DateTime<Utc>, closed: Option<Closed>, now: DateTime<Utc>) -> Change {
    let reason = closed.map_or("", Closed::code).to_owned();
    Change { reason, not_before: Some(until), ..Change::new(message, Fact::Deferred, now) }
}

/// Holds the states of messages, in the order in which everyone else takes them.
pub(super) async fn lock(tx: &Tx, ids: &[Uuid]) -> Result<(), DbErr> {
    let [first, last] = days::bounds(ids);
    let lock = "SELECT FROM queue.message_state WHERE message_id = ANY($1) AND message_id BETWEEN $2 AND $3 ORDER BY message_id FOR UPDATE";
    tx.run(lock, [ids.to_vec().into(), first, last]).await?;
    Ok(())
}

pub(super) fn ids(rows: Vec<QueryResult>) -> Result<Vec<Uuid>, DbErr> {
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

fn uuids(tenants: &HashMap<TenantId, Today>) -> Vec<Uuid> {
    tenants.keys().map(|tenant| tenant.uuid()).collect()
}
