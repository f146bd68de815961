//! What sending through a session needs.

use std::collections::HashMap;

use barid_db::Tx;
use barid_domain::{Secret, SessionId, TenantId};
use barid_proto::session_pool::v1::SessionState;
use barid_whatsapp::cloud::Number;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, credentials_place};
use crate::Error;

/// A session as its owner needs it.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub tenant: TenantId,
    pub state: SessionState,
    pub number: Number,
    pub messages_per_minute: u32,
    pub last_used: Option<DateTime<Utc>>,
}

impl Store {
    /// Sessions by their ids; those that are deleted, or whose token does not open, are missing.
    pub(crate) async fn senders(&self, sessions: Vec<SessionId>) -> Result<HashMap<SessionId, Sender>, Error> {
        let ids: Vec<Uuid> = sessions.into_iter().map(SessionId::uuid).collect();
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT id, tenant_id, state, phone_number_id, credentials, messages_per_minute, last_used_at
                 FROM session_pool.sessions WHERE id = ANY($1) AND deleted_at IS NULL",
                [ids.into()],
            )
            .await
        };
        let rows = self.db.engine.transaction("read senders", read).await?;
        let mut senders = HashMap::with_capacity(rows.len());
        for row in rows {
            let (id, tenant) = (SessionId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?));
            let key = self.vault.tenant(tenant.uuid()).await?;
            let token = match key.open(credentials_place(tenant, id), &row.try_get_by_index::<Vec<u8>>(4)?) {
                Ok(token) => token,
                Err(error) => {
                    tracing::error!(session = %id, %error, "the credentials cannot be read");
                    continue;
                }
            };
            let sender = Sender {
                tenant,
                state: SessionState::try_from(i32::from(row.try_get_by_index::<i16>(2)?)).unwrap_or_default(),
                number: Number {
                    phone_number_id: row.try_get_by_index(3)?,
                    access_token: Secret::new(String::from_utf8_lossy(&token).into_owned()),
                },
                messages_per_minute: row.try_get_by_index::<i32>(5)?.cast_unsigned(),
                last_used: row.try_get_by_index(6)?,
            };
            senders.insert(id, sender);
        }
        Ok(senders)
    }

    /// Remembers that sessions were used just now.
    pub(crate) async fn touch(&self, sessions: Vec<SessionId>) -> Result<(), Error> {
        let ids: Vec<Uuid> = sessions.into_iter().map(SessionId::uuid).collect();
        let now = self.clock.now();
        let touch = move |tx: Tx| async move {
            tx.run("UPDATE session_pool.sessions SET last_used_at = $2 WHERE id = ANY($1)", [ids.into(), now.into()]).await
        };
        self.db.engine.transaction("touch sessions", touch).await?;
        Ok(())
    }
}
