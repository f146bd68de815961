//! Which session a tenant's message takes.

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};

use super::Store;
use crate::Error;

/// What there is to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Session(SessionId),
    /// Every session is deactivated.
    AllInactive,
    /// The tenant has no session, or not the one it asked for.
    None,
}

impl Store {
    /// The session asked for, whatever its state; without one, the first that can send, or at least will again.
    pub(crate) async fn choose(&self, tenant: TenantId, wanted: Option<SessionId>) -> Result<Choice, Error> {
        let choose = move |tx: Tx| async move {
            // Ready ones first (cold, warming, warm, draining), then those that rest, then those that need someone; the oldest of each.
            let row = tx
                .row(
                    "SELECT id, state FROM session_pool.sessions
                     WHERE tenant_id = $1 AND deleted_at IS NULL AND ($2::uuid IS NULL OR id = $2)
                     ORDER BY CASE WHEN state BETWEEN 2 AND 5 THEN 0 WHEN state = 6 THEN 1 WHEN state = 1 THEN 3 ELSE 2 END, id LIMIT 1",
                    [tenant.uuid().into(), wanted.map(SessionId::uuid).into()],
                )
                .await?;
            let Some(row) = row else { return Ok::<_, Error>(Choice::None) };
            let inactive = row.try_get_by_index::<i16>(1)? == 1;
            if inactive && wanted.is_none() {
                return Ok(Choice::AllInactive);
            }
            Ok(Choice::Session(SessionId::from_uuid(row.try_get_by_index(0)?)))
        };
        self.db.tenant.transaction(tenant, choose).await
    }
}
