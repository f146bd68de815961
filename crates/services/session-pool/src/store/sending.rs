//! What sending through a session needs.

use std::{collections::HashMap, time::Duration};

use barid_db::Tx;
use barid_domain::{Secret, SessionId, TenantId};
use barid_proto::session_pool::v1::SessionState;
use barid_whatsapp::cloud::Number;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, WEB, credentials_place, pair};
use crate::Error;

/// A session as its owner needs it.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub tenant: TenantId,
    pub state: SessionState,
    pub way: Way,
    pub messages_per_minute: u32,
    pub last_used: Option<DateTime<Utc>>,
    /// The replica that owned it when this was read, be it alive or not.
    pub owner: Option<Uuid>,
}

/// How a session reaches WhatsApp.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Cloud {
        number: Number,
        /// Meta's portfolio, whose numbers share a daily limit; empty when the tenant did not name it.
        portfolio: String,
    },
    Web(Device),
}

/// A session that is a linked device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub name: String,
    pub presence: bool,
    pub pinned: bool,
    /// Missing while it is not linked.
    pub linked: Option<DateTime<Utc>>,
    /// When its last connection ended.
    pub visited: Option<DateTime<Utc>>,
    pub limits: Limits,
}

/// What a linked device has used up, whoever owns it next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// When the budget for first messages to customers is whole again.
    pub first_contacts: DateTime<Utc>,
    /// Until when WhatsApp is taken not to let it write first, and how often it did not, one time after the other.
    pub reach_out: (DateTime<Utc>, u32),
}

impl Store {
    /// Sessions by their ids; those that are deleted, or whose token does not open, are missing.
    pub(crate) async fn senders(&self, sessions: Vec<SessionId>) -> Result<HashMap<SessionId, Sender>, Error> {
        let ids: Vec<Uuid> = sessions.into_iter().map(SessionId::uuid).collect();
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT s.id, s.tenant_id, s.state, s.phone_number_id, s.credentials, s.messages_per_minute, s.last_used_at, s.portfolio_id,
                    s.connector, s.device_name, s.presence, s.pinned, s.linked_at, s.visited_at, o.replica_id,
                    s.first_contacts_whole_at, s.reach_out_until, s.reach_out_locks
                 FROM session_pool.sessions s LEFT JOIN session_pool.owners o ON o.session_id = s.id
                 WHERE s.id = ANY($1) AND s.deleted_at IS NULL",
                [ids.into()],
            )
            .await
        };
        let rows = self.db.engine.transaction("read senders", read).await?;
        let mut senders = HashMap::with_capacity(rows.len());
        for row in rows {
            let (id, tenant) = (SessionId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?));
            let way = if row.try_get_by_index::<i16>(8)? == WEB {
                Way::Web(Device {
                    name: row.try_get_by_index(9)?,
                    presence: row.try_get_by_index(10)?,
                    pinned: row.try_get_by_index(11)?,
                    linked: row.try_get_by_index(12)?,
                    visited: row.try_get_by_index(13)?,
                    limits: Limits {
                        first_contacts: row.try_get_by_index::<Option<_>>(15)?.unwrap_or_default(),
                        reach_out: (
                            row.try_get_by_index::<Option<_>>(16)?.unwrap_or_default(),
                            row.try_get_by_index::<i32>(17)?.cast_unsigned(),
                        ),
                    },
                })
            } else {
                let key = self.vault.tenant(tenant.uuid()).await?;
                let token = match key.open(credentials_place(tenant, id), &row.try_get_by_index::<Vec<u8>>(4)?) {
                    Ok(token) => token,
                    Err(error) => {
                        tracing::error!(session = %id, %error, "the credentials cannot be read");
                        continue;
                    }
                };
                let access_token = Secret::new(String::from_utf8_lossy(&token).into_owned());
                let number = Number { phone_number_id: row.try_get_by_index(3)?, access_token };
                Way::Cloud { number, portfolio: row.try_get_by_index(7)? }
            };
            let sender = Sender {
                tenant,
                state: SessionState::try_from(i32::from(row.try_get_by_index::<i16>(2)?)).unwrap_or_default(),
                way,
                messages_per_minute: row.try_get_by_index::<i32>(5)?.cast_unsigned(),
                last_used: row.try_get_by_index(6)?,
                owner: row.try_get_by_index(14)?,
            };
            senders.insert(id, sender);
        }
        Ok(senders)
    }

    /// Linked devices that should be connected although nothing may wait for them: those that are pinned, and those whose last connection ended
    /// before `since`, longest ago first.
    pub(crate) async fn due_devices(&self, since: DateTime<Utc>, limit: u32) -> Result<Vec<(SessionId, TenantId)>, Error> {
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT id, tenant_id FROM session_pool.sessions
                 WHERE connector = 2 AND deleted_at IS NULL AND linked_at IS NOT NULL AND state BETWEEN 2 AND 5 AND (pinned OR visited_at < $1)
                 ORDER BY pinned DESC, visited_at LIMIT $2",
                [since.into(), i64::from(limit).into()],
            )
            .await
        };
        self.db.engine.transaction("due devices", read).await?.iter().map(pair).collect()
    }

    /// Linked devices whose owner died or left: something of theirs may be under way that only the next owner can settle.
    pub(crate) async fn orphans(&self, patience: Duration, limit: u32) -> Result<Vec<(SessionId, TenantId)>, Error> {
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT o.session_id, o.tenant_id FROM session_pool.owners o JOIN session_pool.sessions s ON s.id = o.session_id
                 WHERE o.replica_id <> $1 AND s.connector = 2 AND s.deleted_at IS NULL AND s.linked_at IS NOT NULL AND s.state BETWEEN 2 AND 5
                   AND o.replica_id NOT IN (SELECT r.id FROM session_pool.replicas r WHERE r.heartbeat_at > now() - $2 * interval '1 second')
                 LIMIT $3",
                [Uuid::nil().into(), patience.as_secs_f64().into(), i64::from(limit).into()],
            )
            .await
        };
        self.db.engine.transaction("orphans", read).await?.iter().map(pair).collect()
    }

    /// Remembers that sessions were used just now. Half a minute is as exact as it gets, so that a talk is not a write for each word.
    pub(crate) async fn touch(&self, sessions: Vec<SessionId>) -> Result<(), Error> {
        let ids: Vec<Uuid> = sessions.into_iter().map(SessionId::uuid).collect();
        let now = self.clock.now();
        let touch = move |tx: Tx| async move {
            let sql = "UPDATE session_pool.sessions SET last_used_at = $2
                 WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at <= $2 - interval '30 seconds')";
            tx.run(sql, [ids.into(), now.into()]).await
        };
        self.db.engine.transaction("touch sessions", touch).await?;
        Ok(())
    }
}
