//! The hours by which what waits was judged last, so that a tenant that changes something else disturbs nothing.

use barid_db::Tx;
use barid_domain::TenantId;
use chrono::TimeDelta;
use sea_orm::DbErr;

use super::Store;
use crate::Error;

/// How long after a change of hours a message may still be accepted by the old ones: a replica that missed the notice remembers a tenant for
/// seconds, and a call takes seconds.
const HEARD: TimeDelta = TimeDelta::seconds(15);

impl Store {
    /// Notes a tenant's hours; says whether they are others than those that were noted last. If so, what waits is looked at once more when
    /// everyone has heard of it.
    pub(crate) async fn note_hours(&self, tenant: TenantId, hours: String) -> Result<bool, Error> {
        let again = self.now() + HEARD;
        let note = move |tx: Tx| async move {
            let sql = "INSERT INTO queue.hours AS h (tenant_id, hours, again_at) VALUES ($1, $2, $3)
                       ON CONFLICT (tenant_id) DO UPDATE SET hours = excluded.hours, again_at = excluded.again_at WHERE h.hours <> excluded.hours";
            Ok::<_, DbErr>(tx.run(sql, [tenant.uuid().into(), hours.into(), again.into()]).await? > 0)
        };
        Ok(self.db.engine.transaction("note hours", note).await?)
    }

    /// Looks once more at what waits of tenants that changed their hours a while ago.
    pub(crate) async fn look_once_more(&self) -> Result<(), Error> {
        let now = self.now();
        let find = move |tx: Tx| async move {
            let rows = tx.rows("SELECT tenant_id FROM queue.hours WHERE again_at <= $1 ORDER BY again_at LIMIT 100", [now.into()]).await?;
            rows.iter().map(|row| row.try_get_by_index(0).map(TenantId::from_uuid)).collect::<Result<Vec<_>, DbErr>>()
        };
        let tenants = self.db.engine.transaction("hours changed", find).await?;
        if tenants.is_empty() {
            return Ok(());
        }
        self.look_again(&tenants).await?;
        let ids: Vec<_> = tenants.into_iter().map(TenantId::uuid).collect();
        let done = move |tx: Tx| async move {
            tx.run("UPDATE queue.hours SET again_at = NULL WHERE tenant_id = ANY($1) AND again_at <= $2", [ids.into(), now.into()]).await
        };
        self.db.engine.transaction::<_, _, DbErr, _>("hours changed", done).await?;
        Ok(())
    }
}
