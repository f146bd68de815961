//! Forgets deliveries that are too old.

use barid_db::Tx;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::Store;
use crate::Error;

/// Deliveries in one commit.
const TURN: i64 = 1000;

impl Store {
    /// Deletes some deliveries that were made before a time and are over, with their attempts; whether there may be more.
    pub(crate) async fn forget(&self, before: DateTime<Utc>) -> Result<bool, Error> {
        let work = move |tx: Tx| async move {
            let sql = "DELETE FROM webhook.deliveries WHERE id IN (
                            SELECT id FROM webhook.deliveries WHERE id < $1 AND state <> 1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
                       RETURNING id";
            let rows = tx.rows(sql, [barid_db::first_id(before).into(), TURN.into()]).await?;
            let ids = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0)).collect::<Result<Vec<_>, DbErr>>()?;
            let more = i64::try_from(ids.len()).unwrap_or(TURN) == TURN;
            tx.run("DELETE FROM webhook.attempts WHERE delivery_id = ANY($1)", [ids.into()]).await?;
            Ok::<_, Error>(more)
        };
        self.db.engine.transaction("forget", work).await
    }
}
