//! Reading figures by the tenant's own hours and days.

use barid_domain::TenantId;
use chrono::{DateTime, NaiveDate, Utc};

use super::Store;
use crate::{Error, period::Period};

/// Messages that reached a state in an hour.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    pub day: NaiveDate,
    /// 0 to 23; 0 when counted by the day.
    pub hour: u32,
    pub state: String,
    pub template: String,
    pub messages: u64,
}

impl Store {
    /// Counts of a period, sorted by day, hour, state and template.
    pub(crate) async fn counts(&self, tenant: TenantId, period: Period, by_hour: bool) -> Result<Vec<Count>, Error> {
        let (from, to) = period.bounds();
        let read = move |tx: barid_db::Tx| async move {
            let hour = if by_hour { "extract(hour FROM quarter AT TIME ZONE $4)::int" } else { "0" };
            let sql = format!(
                "SELECT (quarter AT TIME ZONE $4)::date AS day, {hour} AS hour, state, template, sum(messages)::bigint
                 FROM analytics.counts WHERE tenant_id = $1 AND quarter >= $2 AND quarter < $3
                 GROUP BY 1, 2, state, template ORDER BY 1, 2, state, template"
            );
            let values = [tenant.uuid().into(), from.into(), to.into(), period.zone.name().into()];
            let rows = tx.rows(sql, values).await?;
            rows.iter()
                .map(|row| {
                    Ok(Count {
                        day: row.try_get_by_index(0)?,
                        hour: row.try_get_by_index::<i32>(1)?.cast_unsigned(),
                        state: row.try_get_by_index(2)?,
                        template: row.try_get_by_index(3)?,
                        messages: row.try_get_by_index::<i64>(4)?.cast_unsigned(),
                    })
                })
                .collect()
        };
        self.db.tenant.transaction(tenant, read).await
    }

    /// When the newest event that was counted happened.
    pub(crate) async fn as_of(&self, tenant: TenantId) -> Result<Option<DateTime<Utc>>, Error> {
        let read = move |tx: barid_db::Tx| async move {
            let row = tx.row("SELECT as_of FROM analytics.freshness WHERE tenant_id = $1", [tenant.uuid().into()]).await?;
            Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
        };
        self.db.tenant.transaction(tenant, read).await
    }
}
