//! Which sessions have messages waiting.

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use chrono::{DateTime, Utc};

use super::Store;
use crate::Error;

/// What waits for a session, each lane counted up to [`COUNTED`].
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub session: SessionId,
    pub tenant: TenantId,
    pub immediate: u64,
    pub batch: u64,
    pub retry: u64,
    pub oldest_due: DateTime<Utc>,
}

/// How far waiting messages are counted: enough to tell a crowd from a few.
const COUNTED: u32 = 1000;

impl Store {
    /// The sessions with messages that are due, those waiting longest first.
    pub(crate) async fn demand(&self, limit: u32) -> Result<Vec<Demand>, Error> {
        let now = self.now();
        let read = move |tx: Tx| async move {
            // Steps from session to session along the index instead of reading every waiting message.
            let rows = tx
                .rows(
                    format!(
                        "WITH RECURSIVE sessions AS (
                            (SELECT session_id FROM queue.ready ORDER BY session_id LIMIT 1)
                            UNION ALL
                            SELECT (SELECT r.session_id FROM queue.ready r WHERE r.session_id > s.session_id ORDER BY r.session_id LIMIT 1)
                            FROM sessions s WHERE s.session_id IS NOT NULL
                         )
                         SELECT s.session_id, (array_agg(w.tenant_id))[1], coalesce(sum(w.waiting) FILTER (WHERE w.lane = 1), 0)::bigint,
                                coalesce(sum(w.waiting) FILTER (WHERE w.lane = 2), 0)::bigint,
                                coalesce(sum(w.waiting) FILTER (WHERE w.lane = 3), 0)::bigint, min(w.oldest)
                         FROM sessions s
                         CROSS JOIN (VALUES (1::smallint), (2::smallint), (3::smallint)) AS l(lane)
                         CROSS JOIN LATERAL (
                            SELECT l.lane, count(*) AS waiting, min(c.due_at) AS oldest, (array_agg(c.tenant_id))[1] AS tenant_id FROM (
                                SELECT r.due_at, r.tenant_id FROM queue.ready r
                                WHERE r.session_id = s.session_id AND r.lane = l.lane AND r.due_at <= $1 AND r.expires_at > $1
                                AND (r.closes_at IS NULL OR r.closes_at > $1)
                                ORDER BY r.due_at LIMIT {COUNTED}
                            ) c
                         ) w
                         WHERE w.waiting > 0
                         GROUP BY s.session_id ORDER BY min(w.oldest) LIMIT $2"
                    ),
                    [now.into(), i64::from(limit).into()],
                )
                .await?;
            let count = |row: &sea_orm::QueryResult, index| row.try_get_by_index::<i64>(index).map(i64::cast_unsigned);
            rows.iter()
                .map(|row| {
                    Ok(Demand {
                        session: SessionId::from_uuid(row.try_get_by_index(0)?),
                        tenant: TenantId::from_uuid(row.try_get_by_index(1)?),
                        immediate: count(row, 2)?,
                        batch: count(row, 3)?,
                        retry: count(row, 4)?,
                        oldest_due: row.try_get_by_index(5)?,
                    })
                })
                .collect()
        };
        self.db.engine.transaction("demand", read).await
    }
}
