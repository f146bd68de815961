//! Tables `number_checks` and `number_check_usage`: what WhatsApp said of numbers, and how often it may be asked.

use std::collections::HashMap;

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::Store;
use crate::Error;

/// How long an answer is believed.
const FRESH: TimeDelta = TimeDelta::days(1);

impl Store {
    /// Answers that are fresh, by number.
    pub(crate) async fn known_numbers(
        &self,
        tenant: TenantId,
        numbers: &[String],
    ) -> Result<HashMap<String, (bool, DateTime<Utc>)>, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let blinded: HashMap<Vec<u8>, String> =
            numbers.iter().map(|number| (key.blind_index("phone", number).to_vec(), number.clone())).collect();
        let (indexes, since): (Vec<Vec<u8>>, _) = (blinded.keys().cloned().collect(), self.clock.now() - FRESH);
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT blind_index, registered, checked_at FROM session_pool.number_checks
                 WHERE tenant_id = $1 AND blind_index = ANY($2) AND checked_at > $3",
                [tenant.uuid().into(), indexes.into(), since.into()],
            )
            .await
        };
        let mut known = HashMap::new();
        for row in self.db.tenant.transaction(tenant, read).await? {
            if let Some(number) = blinded.get(&row.try_get_by_index::<Vec<u8>>(0)?) {
                known.insert(number.clone(), (row.try_get_by_index(1)?, row.try_get_by_index(2)?));
            }
        }
        Ok(known)
    }

    pub(crate) async fn remember_numbers(&self, tenant: TenantId, answers: &[(String, bool)]) -> Result<(), Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let (indexes, registered): (Vec<Vec<u8>>, Vec<bool>) =
            answers.iter().map(|(number, registered)| (key.blind_index("phone", number).to_vec(), *registered)).unzip();
        let now = self.clock.now();
        let write = move |tx: Tx| async move {
            tx.run(
                "INSERT INTO session_pool.number_checks (tenant_id, blind_index, registered, checked_at)
                 SELECT DISTINCT ON (i) $1::uuid, i, r, $4 FROM UNNEST($2::bytea[], $3::boolean[]) AS n (i, r)
                 ON CONFLICT (tenant_id, blind_index) DO UPDATE SET registered = excluded.registered, checked_at = excluded.checked_at",
                [tenant.uuid().into(), indexes.into(), registered.into(), now.into()],
            )
            .await
        };
        self.db.tenant.transaction(tenant, write).await?;
        Ok(())
    }

    /// Charges a session for asking so many numbers on a day, unless that is more than it has left; says what it has left.
    pub(crate) async fn charge_checks(
        &self,
        tenant: TenantId,
        session: SessionId,
        day: NaiveDate,
        count: usize,
    ) -> Result<Result<(), u32>, Error> {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let charge = move |tx: Tx| async move {
            let row = tx
                .row(
                    "SELECT s.number_checks_per_day - COALESCE(u.used, 0) FROM session_pool.sessions s
                     LEFT JOIN session_pool.number_check_usage u ON u.session_id = s.id AND u.day = $2 WHERE s.id = $1 FOR UPDATE OF s",
                    [session.uuid().into(), day.into()],
                )
                .await?;
            let left: i32 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
            if left < count {
                return Ok(Err(u32::try_from(left).unwrap_or_default()));
            }
            tx.run(
                "INSERT INTO session_pool.number_check_usage AS u (session_id, day, tenant_id, used) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (session_id, day) DO UPDATE SET used = u.used + excluded.used",
                [session.uuid().into(), day.into(), tenant.uuid().into(), count.into()],
            )
            .await?;
            Ok::<_, Error>(Ok(()))
        };
        self.db.tenant.transaction(tenant, charge).await
    }
}
