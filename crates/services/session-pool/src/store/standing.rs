//! What WhatsApp's answers do to a session: pauses, stops, and the end of pauses.

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use barid_proto::session_pool::v1::SessionState;
use chrono::{DateTime, Utc};

use super::{EVENTS, Store};
use crate::Error;

/// How a session rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Until then.
    Until(DateTime<Utc>),
    /// Until someone sees to it.
    Stopped,
}

impl Store {
    /// Lets a session rest, for a reason that its tenant reads. Changes nothing when it rests already or was deactivated.
    pub(crate) async fn rest(&self, session: SessionId, tenant: TenantId, rest: Rest, reason: &str) -> Result<(), Error> {
        let (store, reason) = (self.clone(), reason.to_owned());
        let told = reason.clone();
        let (kind, state, until) = match rest {
            Rest::Until(until) => ("paused", SessionState::Paused, Some(until)),
            Rest::Stopped => ("stopped", SessionState::Stopped, None),
        };
        let apply = move |tx: Tx| async move {
            // A pause may become a stop, and not the other way round.
            let changed = tx
                .run(
                    "UPDATE session_pool.sessions SET state = $3, state_reason = $4, resume_at = $5
                     WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL AND (state BETWEEN 2 AND 5 OR (state = 6 AND $3 = 7))",
                    [session.uuid().into(), tenant.uuid().into(), (state as i16).into(), reason.clone().into(), until.into()],
                )
                .await?;
            if changed > 0 {
                barid_db::append(&tx, EVENTS, vec![store.event(tenant, session, kind, state, &reason)]).await?;
            }
            Ok::<_, Error>(changed > 0)
        };
        if self.db.tenant.transaction(tenant, apply).await? {
            tracing::warn!(%session, %tenant, kind, reason = told, "a session rests");
            self.changed(session).await;
        }
        Ok(())
    }

    /// Ends the pauses whose time has come; says how many.
    pub(crate) async fn resume_due(&self) -> Result<usize, Error> {
        let store = self.clone();
        let resume = move |tx: Tx| async move {
            let rows = tx
                .rows(
                    "UPDATE session_pool.sessions SET state = 2, state_reason = '', resume_at = NULL WHERE id IN (
                        SELECT id FROM session_pool.sessions WHERE state = 6 AND resume_at <= $1 AND deleted_at IS NULL
                        ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED)
                     RETURNING id, tenant_id",
                    [store.clock.now().into()],
                )
                .await?;
            let (mut sessions, mut events) = (Vec::new(), Vec::new());
            for row in rows {
                let (session, tenant) = (SessionId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?));
                sessions.push(session);
                events.push(store.event(tenant, session, "resumed", SessionState::Cold, ""));
            }
            barid_db::append(&tx, EVENTS, events).await?;
            Ok::<_, Error>(sessions)
        };
        let resumed = self.db.engine.transaction("resume sessions", resume).await?;
        for session in &resumed {
            self.changed(*session).await;
        }
        Ok(resumed.len())
    }
}
