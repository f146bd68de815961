//! The messages that a tenant may send in a day.

use barid_db::Tx;
use barid_domain::TenantId;
use chrono::NaiveDate;
use sea_orm::DbErr;

/// Charges up to `wanted` messages to a day and says how many the quota let through.
pub(super) async fn charge(tx: &Tx, tenant: TenantId, day: NaiveDate, wanted: u32, quota: u32) -> Result<u32, DbErr> {
    let count = |messages: u32| i32::try_from(messages).unwrap_or(i32::MAX);
    let row = tx
        .row(
            "INSERT INTO queue.quota_usage AS q (tenant_id, day, used) VALUES ($1, $2, $3)
             ON CONFLICT (tenant_id, day) DO UPDATE SET used = q.used + $3 RETURNING used",
            [tenant.uuid().into(), day.into(), count(wanted).into()],
        )
        .await?;
    let used: i32 = row.ok_or_else(|| DbErr::RecordNotFound("quota".to_owned()))?.try_get_by_index(0)?;
    let over = used.cast_unsigned().saturating_sub(quota).min(wanted);
    if over > 0 {
        let back = "UPDATE queue.quota_usage SET used = used - $3 WHERE tenant_id = $1 AND day = $2";
        tx.run(back, [tenant.uuid().into(), day.into(), count(over).into()]).await?;
    }
    Ok(wanted - over)
}
