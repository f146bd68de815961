//! Table `webhook_inbox`: what Meta told, sealed, until the ledger knows it.

use std::{collections::BTreeMap, time::Duration};

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use barid_vault::Place;
use uuid::Uuid;

use super::Store;
use crate::Error;

/// A stored part of a webhook, opened.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub id: Uuid,
    pub tenant: TenantId,
    pub session: SessionId,
    pub body: Vec<u8>,
}

/// Any constant of our own: takers of the inbox take turns, which keeps the order within a session across replicas.
const TURN: i64 = 0x62_6172_6964_0001;
/// After so many tries a delivery no longer holds back the later ones of its session.
const PATIENCE: i32 = 5;

impl Store {
    /// Commits the parts of a webhook, by Meta's id of their number, as far as the number is a live session registered with this app.
    /// Says how many were stored.
    pub(crate) async fn ingest(&self, app: String, parts: BTreeMap<String, Vec<u8>>) -> Result<u32, Error> {
        let numbers: Vec<String> = parts.keys().cloned().collect();
        let find = move |tx: Tx| async move {
            tx.rows(
                "SELECT id, tenant_id, phone_number_id FROM session_pool.sessions
                 WHERE phone_number_id = ANY($1) AND app = $2 AND deleted_at IS NULL",
                [numbers.into(), app.into()],
            )
            .await
        };
        let (mut ids, mut tenants, mut sessions, mut bodies) = (vec![], vec![], vec![], vec![]);
        for row in self.db.engine.transaction("find numbers", find).await? {
            let tenant: Uuid = row.try_get_by_index(1)?;
            let Some(body) = parts.get(&row.try_get_by_index::<String>(2)?) else { continue };
            let id = self.ids.mint::<()>().uuid();
            bodies.push(self.vault.tenant(tenant).await?.seal(place(tenant, id), body));
            ids.push(id);
            tenants.push(tenant);
            sessions.push(row.try_get_by_index::<Uuid>(0)?);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let insert = move |tx: Tx| async move {
            tx.run(
                "INSERT INTO session_pool.webhook_inbox (id, tenant_id, session_id, body, received_at, due_at)
                 SELECT *, now(), now() FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[])",
                [ids.into(), tenants.into(), sessions.into(), bodies.into()],
            )
            .await
        };
        let stored = self.db.engine.transaction("ingest webhook", insert).await?;
        Ok(u32::try_from(stored).unwrap_or(u32::MAX))
    }

    /// Commits what a session's own connection heard.
    pub(crate) async fn ingest_own(&self, tenant: TenantId, session: SessionId, body: &[u8]) -> Result<(), Error> {
        let id = self.ids.mint::<()>().uuid();
        let sealed = self.vault.tenant(tenant.uuid()).await?.seal(place(tenant.uuid(), id), body);
        let insert = move |tx: Tx| async move {
            tx.run(
                "INSERT INTO session_pool.webhook_inbox (id, tenant_id, session_id, body, received_at, due_at)
                 VALUES ($1, $2, $3, $4, now(), now())",
                [id.into(), tenant.uuid().into(), session.uuid().into(), sealed.into()],
            )
            .await
        };
        self.db.engine.transaction("ingest from a connection", insert).await?;
        Ok(())
    }

    /// Takes deliveries that are due, in order within a session, for a replica. For half a minute nobody else gets them, unless the replica is
    /// not heard of for `ttl`; who takes them ends them with [`Store::delivered`] or [`Store::postpone`]. What cannot be opened is postponed by
    /// itself.
    pub(crate) async fn take_deliveries(&self, replica: Uuid, ttl: Duration, limit: u32) -> Result<Vec<Delivery>, Error> {
        let take = move |tx: Tx| async move {
            tx.row("SELECT pg_advisory_xact_lock($1)", [TURN.into()]).await?;
            tx.run(
                "UPDATE session_pool.webhook_inbox SET due_at = now(), taken_by = NULL
                 WHERE taken_by IS NOT NULL AND taken_by NOT IN (
                    SELECT r.id FROM session_pool.replicas r WHERE r.heartbeat_at > now() - $1 * interval '1 second')",
                [ttl.as_secs_f64().into()],
            )
            .await?;
            tx.rows(
                "WITH taken AS (
                    UPDATE session_pool.webhook_inbox SET due_at = now() + interval '30 seconds', tries = tries + 1, taken_by = $3 WHERE id IN (
                        SELECT w.id FROM session_pool.webhook_inbox w
                        WHERE w.due_at <= now() AND NOT EXISTS (
                            SELECT FROM session_pool.webhook_inbox e
                            WHERE e.session_id = w.session_id AND e.id < w.id AND e.due_at > now() AND e.tries < $2)
                        ORDER BY w.id LIMIT $1 FOR UPDATE SKIP LOCKED)
                    RETURNING id, tenant_id, session_id, body)
                 SELECT * FROM taken ORDER BY id",
                [i64::from(limit).into(), PATIENCE.into(), replica.into()],
            )
            .await
        };
        let mut deliveries = Vec::new();
        for row in self.db.engine.transaction("take deliveries", take).await? {
            let (id, tenant): (Uuid, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let sealed: Vec<u8> = row.try_get_by_index(3)?;
            match self.vault.tenant(tenant).await.and_then(|key| key.open(place(tenant, id), &sealed)) {
                Ok(body) => deliveries.push(Delivery {
                    id,
                    tenant: TenantId::from_uuid(tenant),
                    session: SessionId::from_uuid(row.try_get_by_index(2)?),
                    body,
                }),
                Err(error) => tracing::error!(delivery = %id, %error, "a stored webhook cannot be read; it stays where it is"),
            }
        }
        Ok(deliveries)
    }

    /// The ledger knows them.
    pub(crate) async fn delivered(&self, ids: Vec<Uuid>) -> Result<(), Error> {
        let sql = "DELETE FROM session_pool.webhook_inbox WHERE id = ANY($1)";
        self.db.engine.transaction("delivered", move |tx: Tx| async move { tx.run(sql, [ids.into()]).await }).await?;
        Ok(())
    }

    /// They are tried again, after 1, 2, 4 and then every 8 seconds.
    pub(crate) async fn postpone(&self, ids: Vec<Uuid>) -> Result<(), Error> {
        let sql = "UPDATE session_pool.webhook_inbox SET due_at = now() + (1 << least(tries - 1, 3)) * interval '1 second', taken_by = NULL
             WHERE id = ANY($1)";
        self.db.engine.transaction("postpone", move |tx: Tx| async move { tx.run(sql, [ids.into()]).await }).await?;
        Ok(())
    }
}

fn place(tenant: Uuid, row: Uuid) -> Place {
    Place { tenant, column: "session_pool.webhook_inbox.body", row }
}
