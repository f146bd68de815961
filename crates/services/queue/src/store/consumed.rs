//! What other services' events do to the ledger, with the consumer's place in the same commit.

use barid_bus::{Applied, Checkpoint};
use barid_domain::SessionId;
use sea_orm::DbErr;

use super::Store;
use crate::Error;

const SCHEMA: &str = "queue";

impl Store {
    pub(crate) async fn checkpoint(&self, consumer: &'static str) -> Result<Checkpoint, Error> {
        self.db.engine.transaction("checkpoint", move |tx| async move { Ok(barid_db::checkpoint(&tx, SCHEMA, consumer).await?) }).await
    }

    /// Keeps the place of who has looked at tenants.
    pub(crate) async fn tenants_changed(&self, consumer: &'static str, from: Checkpoint, to: Checkpoint) -> Result<Applied, Error> {
        let keep = move |tx: barid_db::Tx| async move {
            Ok::<_, DbErr>(if barid_db::advance(&tx, SCHEMA, consumer, from, to).await? { Applied::Done } else { Applied::Overtaken })
        };
        Ok(self.db.engine.transaction("tenants changed", keep).await?)
    }

    /// Ends what waits for sessions that are gone.
    pub(crate) async fn sessions_gone(
        &self,
        consumer: &'static str,
        gone: Vec<SessionId>,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<Applied, Error> {
        let (store, any) = (self.clone(), !gone.is_empty());
        let work = move |tx: barid_db::Tx| async move {
            if !barid_db::advance(&tx, SCHEMA, consumer, from, to).await? {
                return Ok::<_, DbErr>(Applied::Overtaken);
            }
            store.fail_sessions(&tx, gone).await?;
            Ok(Applied::Done)
        };
        let applied = self.db.engine.transaction("sessions gone", work).await?;
        if any {
            self.committed(false).await;
        }
        Ok(applied)
    }
}
