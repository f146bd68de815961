//! Table `webhook_inbox`: what Meta told, sealed, until the ledger knows it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use barid_runtime::{BatchLimits, Batcher};
use barid_vault::Place;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::{CLOUD, DbErr, Store};
use crate::Error;

/// One after the other, so that what Meta told first is stored first.
const TOGETHER: BatchLimits = BatchLimits { items: 100, at_once: 1, apart: Duration::from_millis(20), waiting: 10_000 };
/// Commits whose deliveries may wait in memory; those of more are taken from the table.
const HANDED: usize = 64;

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

/// A webhook to keep: the app it came for, and its parts by Meta's id of their number.
type Webhook = (String, BTreeMap<String, Vec<u8>>);

/// Deliveries that are brought by the replica that stored them, without being read again: in the order in which they were stored.
pub(crate) type Handed = mpsc::Receiver<Vec<Delivery>>;

/// Keeps webhooks: many of them in one commit. Clone it freely.
#[derive(Clone)]
pub(crate) struct Intake(Batcher<Webhook, Option<u32>>);

impl Intake {
    /// An intake of a replica, and its work, which ends when every intake is dropped. `arrived` is notified of what the replica shall take from
    /// the table.
    pub(crate) fn new(store: Store, replica: Uuid, arrived: Arc<Notify>) -> (Self, Handed, impl Future<Output = ()> + Send) {
        let (hand, handed) = mpsc::channel(HANDED);
        let (batcher, driver) = Batcher::new(TOGETHER, move |webhooks: Vec<Webhook>| {
            let (store, hand, arrived) = (store.clone(), hand.clone(), arrived.clone());
            async move {
                let count = webhooks.len();
                store.ingest(webhooks, replica, &hand, &arrived).await.unwrap_or_else(|error| {
                    tracing::error!(%error, webhooks = count, "webhooks are not stored; Meta repeats them");
                    vec![None; count]
                })
            }
        });
        (Self(batcher), handed, driver)
    }

    /// Commits the parts of a webhook as far as their numbers are live sessions registered with this app. Says how many were stored.
    pub(crate) async fn ingest(&self, app: String, parts: BTreeMap<String, Vec<u8>>) -> Result<u32, Error> {
        let stored = self.0.call([(app, parts)]).await.pop().flatten().flatten();
        stored.ok_or_else(|| Error::Database(DbErr::Custom("a webhook was not stored".to_owned())))
    }
}

impl Store {
    /// Commits webhooks; says of each how many of its parts were stored, `None` where its tenant's key is not to be had.
    async fn ingest(
        &self,
        webhooks: Vec<Webhook>,
        replica: Uuid,
        hand: &mpsc::Sender<Vec<Delivery>>,
        arrived: &Notify,
    ) -> Result<Vec<Option<u32>>, Error> {
        let places = webhooks.iter().flat_map(|(app, parts)| parts.keys().map(move |number| (app.clone(), number.clone())));
        let found = self.numbers(places.unzip()).await?;
        let (mut deliveries, mut bodies) = (Vec::new(), Vec::new());
        let mut stored = Vec::with_capacity(webhooks.len());
        for (app, parts) in webhooks {
            let mut sealed = Vec::new();
            for (number, body) in parts {
                let Some(&(session, tenant)) = found.get(&(app.clone(), number)) else { continue };
                let id = self.ids.mint::<()>().uuid();
                match self.vault.tenant(tenant.uuid()).await {
                    Ok(key) => {
                        let closed = key.seal(place(tenant.uuid(), id), &body);
                        sealed.push(Some((Delivery { id, tenant, session, body }, closed)));
                    }
                    Err(error) => {
                        tracing::error!(%session, %error, "a webhook is not stored; Meta repeats it");
                        sealed.push(None);
                    }
                }
            }
            let sealed: Option<Vec<_>> = sealed.into_iter().collect();
            stored.push(sealed.as_ref().map(|sealed| u32::try_from(sealed.len()).unwrap_or(u32::MAX)));
            for (delivery, body) in sealed.into_iter().flatten() {
                deliveries.push(delivery);
                bodies.push(body);
            }
        }
        if deliveries.is_empty() {
            return Ok(stored);
        }
        let place = hand.try_reserve().ok();
        let taken = self.insert(&deliveries, bodies, place.is_some().then_some(replica)).await?;
        if taken.len() < deliveries.len() {
            arrived.notify_one();
        }
        deliveries.retain(|delivery| taken.contains(&delivery.id));
        if let Some(place) = place {
            place.send(deliveries);
        }
        Ok(stored)
    }

    /// Inserts deliveries; gives back those that are taken for `taker`, which are those before which no other one of their session waits.
    async fn insert(&self, deliveries: &[Delivery], bodies: Vec<Vec<u8>>, taker: Option<Uuid>) -> Result<HashSet<Uuid>, Error> {
        let values = [
            deliveries.iter().map(|delivery| delivery.id).collect::<Vec<_>>().into(),
            deliveries.iter().map(|delivery| delivery.tenant.uuid()).collect::<Vec<_>>().into(),
            deliveries.iter().map(|delivery| delivery.session.uuid()).collect::<Vec<_>>().into(),
            bodies.into(),
            taker.into(),
        ];
        let insert = "INSERT INTO session_pool.webhook_inbox AS w (id, tenant_id, session_id, body, received_at, due_at, tries, taken_by)
             SELECT n.id, n.tenant_id, n.session_id, n.body, now(), CASE WHEN n.taken THEN now() + interval '30 seconds' ELSE now() END,
                    n.taken::int, CASE WHEN n.taken THEN $5 END
             FROM (
                SELECT n.*, $5::uuid IS NOT NULL AND NOT EXISTS (
                    SELECT FROM session_pool.webhook_inbox e WHERE e.session_id = n.session_id AND e.taken_by IS DISTINCT FROM $5) AS taken
                FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[]) AS n(id, tenant_id, session_id, body)
             ) n RETURNING w.id, w.taken_by IS NOT NULL";
        let work = move |tx: Tx| async move { tx.rows(insert, values).await };
        let mut taken = HashSet::new();
        for row in self.db.engine.transaction("ingest webhooks", work).await? {
            if row.try_get_by_index(1)? {
                taken.insert(row.try_get_by_index(0)?);
            }
        }
        Ok(taken)
    }

    /// Session and tenant of numbers, by app and Meta's id of the number.
    async fn numbers(
        &self,
        (apps, numbers): (Vec<String>, Vec<String>),
    ) -> Result<HashMap<(String, String), (SessionId, TenantId)>, Error> {
        let find = move |tx: Tx| async move {
            tx.rows(
                // The index of numbers holds for this connector only, which the query must name for it to be used.
                format!(
                    "SELECT n.app, n.phone_number_id, s.id, s.tenant_id FROM UNNEST($1::text[], $2::text[]) AS n(app, phone_number_id)
                     CROSS JOIN LATERAL (SELECT s.id, s.tenant_id FROM session_pool.sessions s
                        WHERE s.phone_number_id = n.phone_number_id AND s.app = n.app AND s.connector = {CLOUD} AND s.deleted_at IS NULL
                        LIMIT 1) s"
                ),
                [apps.into(), numbers.into()],
            )
            .await
        };
        let mut found = HashMap::new();
        for row in self.db.engine.transaction("find numbers", find).await? {
            let owner = (SessionId::from_uuid(row.try_get_by_index(2)?), TenantId::from_uuid(row.try_get_by_index(3)?));
            found.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?), owner);
        }
        Ok(found)
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

    /// Frees what replicas took that were not heard of for `ttl`.
    pub(crate) async fn free_deliveries(&self, ttl: Duration) -> Result<(), Error> {
        let free = "UPDATE session_pool.webhook_inbox SET due_at = now(), taken_by = NULL
                    WHERE taken_by IS NOT NULL AND taken_by NOT IN (
                        SELECT r.id FROM session_pool.replicas r WHERE r.heartbeat_at > now() - $1 * interval '1 second')";
        let work = move |tx: Tx| async move { tx.run(free, [ttl.as_secs_f64().into()]).await };
        self.db.engine.transaction("free deliveries", work).await?;
        Ok(())
    }

    /// Takes deliveries that are due, in order within a session, for a replica. For half a minute nobody else gets them, unless they are
    /// freed; who takes them ends them with [`Store::delivered`] or [`Store::postpone`]. What cannot be opened is postponed by
    /// itself.
    pub(crate) async fn take_deliveries(&self, replica: Uuid, limit: u32) -> Result<Vec<Delivery>, Error> {
        let take = move |tx: Tx| async move {
            tx.row("SELECT pg_advisory_xact_lock($1)", [TURN.into()]).await?;
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
