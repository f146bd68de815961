//! Ends what waits for endpoints that are disabled or gone.

use barid_db::Tx;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::Store;
use crate::Error;

/// Lines in one commit.
const TURN: i64 = 500;

impl Store {
    /// Skips what waits in some lines of one such endpoint; whether there may be more.
    pub(crate) async fn wind_up(&self) -> Result<bool, Error> {
        let now = self.now();
        let work = move |tx: Tx| async move {
            let Some(endpoint) = deserted(&tx, now).await? else { return Ok(false) };
            // Enabled meanwhile, it waits for this; and who enables it after this waits for nothing that was before.
            let state = tx.row("SELECT state FROM webhook.endpoints WHERE id = $1 FOR SHARE", [endpoint.into()]).await?;
            if state.map(|row| row.try_get_by_index::<i16>(0)).transpose()? == Some(1) {
                return Ok(true);
            }
            skip(&tx, endpoint, now).await?;
            Ok::<_, Error>(true)
        };
        self.db.engine.transaction("wind up", work).await
    }
}

/// An endpoint that is not enabled, with lines that nobody holds.
async fn deserted(tx: &Tx, now: DateTime<Utc>) -> Result<Option<Uuid>, DbErr> {
    let sql = "
        WITH RECURSIVE waiting AS (
            (SELECT endpoint_id FROM webhook.lines ORDER BY endpoint_id LIMIT 1)
            UNION ALL
            SELECT (SELECT l.endpoint_id FROM webhook.lines l WHERE l.endpoint_id > w.endpoint_id ORDER BY l.endpoint_id LIMIT 1)
            FROM waiting w WHERE w.endpoint_id IS NOT NULL
        )
        SELECT w.endpoint_id FROM waiting w LEFT JOIN webhook.endpoints e ON e.id = w.endpoint_id
        WHERE w.endpoint_id IS NOT NULL AND (e.id IS NULL OR e.state <> 1)
            AND EXISTS (SELECT FROM webhook.lines l WHERE l.endpoint_id = w.endpoint_id AND (l.lease IS NULL OR l.due_at <= $1))
        LIMIT 1";
    tx.row(sql, [now.into()]).await?.map(|row| row.try_get_by_index(0)).transpose()
}

async fn skip(tx: &Tx, endpoint: Uuid, now: DateTime<Utc>) -> Result<(), DbErr> {
    // A line under way is waited for: its attempt may still succeed.
    let sql = "DELETE FROM webhook.lines WHERE endpoint_id = $1 AND entity_id IN (
                    SELECT entity_id FROM webhook.lines WHERE endpoint_id = $1 AND (lease IS NULL OR due_at <= $2)
                    ORDER BY entity_id LIMIT $3 FOR UPDATE SKIP LOCKED)
               RETURNING entity_id";
    let rows = tx.rows(sql, [endpoint.into(), now.into(), TURN.into()]).await?;
    let entities = rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<Vec<_>, DbErr>>()?;
    let sql = "UPDATE webhook.deliveries SET state = 4, due_at = NULL, ended_at = $3
               WHERE endpoint_id = $1 AND entity_id = ANY($2) AND state = 1";
    tx.run(sql, [endpoint.into(), entities.into(), now.into()]).await?;
    Ok(())
}
