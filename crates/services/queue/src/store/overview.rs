//! The state of a tenant's queue in figures.

use barid_db::Tx;
use barid_domain::TenantId;
use barid_proto::{
    queue::v1::{LaneStatus, QueueStatus},
    timestamp,
};
use chrono::{DateTime, NaiveDate, Utc};

use super::Store;
use crate::{Error, lanes::Lane};

impl Store {
    pub(crate) async fn queue_status(&self, tenant: TenantId, day: NaiveDate, quota: u32) -> Result<QueueStatus, Error> {
        let read = move |tx: Tx| async move {
            let mut lanes = Vec::new();
            let waiting = "SELECT count(*), min(due_at) FROM queue.ready WHERE tenant_id = $1 AND lane = $2 AND NOT repeat";
            for lane in [Lane::Immediate, Lane::Batch, Lane::Retry] {
                let row = tx.row(waiting, [tenant.uuid().into(), (lane as i16).into()]).await?;
                let Some(row) = row else { continue };
                lanes.push(LaneStatus {
                    lane: lane as i32,
                    queued: row.try_get_by_index::<i64>(0)?.cast_unsigned(),
                    oldest_due_time: row.try_get_by_index::<Option<DateTime<Utc>>>(1)?.map(timestamp),
                });
            }
            let row = tx
                .row(
                    "SELECT (SELECT count(*) FROM queue.scheduled WHERE tenant_id = $1),
                            (SELECT count(*) FROM queue.in_flight f WHERE f.tenant_id = $1
                                AND (SELECT s.state FROM queue.message_state s WHERE s.message_id = f.message_id) = 3),
                            (SELECT count(*) FROM queue.in_flight f WHERE f.tenant_id = $1
                                AND (SELECT s.state FROM queue.message_state s WHERE s.message_id = f.message_id) = 4)
                                + (SELECT count(*) FROM queue.ready WHERE tenant_id = $1 AND repeat),
                            (SELECT count(*) FROM queue.dead_letters WHERE tenant_id = $1),
                            coalesce((SELECT used FROM queue.quota_usage WHERE tenant_id = $1 AND day = $2), 0)
                                - coalesce((SELECT returned FROM queue.quota_returned WHERE tenant_id = $1 AND day = $2), 0)",
                    [tenant.uuid().into(), day.into()],
                )
                .await?
                .ok_or_else(|| Error::not_found("tenant", tenant))?;
            let count = |index| row.try_get_by_index::<i64>(index).map(i64::cast_unsigned);
            Ok(QueueStatus {
                queued: lanes.iter().map(|lane| lane.queued).sum(),
                lanes,
                scheduled: count(0)?,
                sending: count(1)?,
                uncertain: count(2)?,
                dead_letters: count(3)?,
                quota_used: u32::try_from(row.try_get_by_index::<i32>(4)?).unwrap_or(0),
                quota,
            })
        };
        self.db.tenant.transaction(tenant, read).await
    }
}
