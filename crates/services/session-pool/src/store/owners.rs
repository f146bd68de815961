//! Tables `replicas` and `owners`: who is alive, and who sends for which session. All times are the database's, so that the clocks of
//! replicas do not matter.

use std::time::Duration;

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, pair};
use crate::{Error, balance::Replica, replica::Standing};

/// How long an owner must not have been heard of before its sessions are taken over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// A request that it made last may still be under way.
    pub cloud: Duration,
    /// WhatsApp ends the old connection by itself, and what is sent again shows once.
    pub web: Duration,
}

/// A session with an epoch.
pub(crate) type Claimed = (SessionId, u64);

/// A session that its owner gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub session: SessionId,
    pub epoch: u64,
    /// Whether another replica shall take it although nothing may wait.
    pub offered: bool,
}

/// How long a session that was let go is offered. After that its messages, or a visit, bring it to an owner.
const OFFER: Duration = Duration::from_secs(30);

/// A replica as the others know it.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub owned: u64,
    /// An encoded `Replica`.
    pub status: Vec<u8>,
}

impl Store {
    /// Says that a replica is alive, how it stands, and whether it takes sessions; gives back the replicas that are, itself among them.
    pub(crate) async fn beat(&self, replica: Uuid, ttl: Duration, Standing { status, takes }: Standing) -> Result<Vec<Replica>, Error> {
        let beat = move |tx: Tx| async move {
            tx.run(
                "INSERT INTO session_pool.replicas (id, heartbeat_at, status, takes) VALUES ($1, now(), $2, $3)
                 ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), status = excluded.status, takes = excluded.takes",
                [replica.into(), status.into(), takes.into()],
            )
            .await?;
            let alive =
                "SELECT r.id, (SELECT count(*) FROM session_pool.owners o WHERE o.replica_id = r.id), r.takes FROM session_pool.replicas r
                 WHERE r.heartbeat_at > now() - $1 * interval '1 second' ORDER BY r.id";
            let rows = tx.rows(alive, [ttl.as_secs_f64().into()]).await?;
            let replica = |row: &sea_orm::QueryResult| {
                let owned = usize::try_from(row.try_get_by_index::<i64>(1)?).unwrap_or_default();
                Ok(Replica { id: row.try_get_by_index(0)?, owned, takes: row.try_get_by_index(2)? })
            };
            rows.iter().map(replica).collect::<Result<Vec<Replica>, Error>>()
        };
        self.db.engine.transaction("heartbeat", beat).await
    }

    /// The replicas that were heard of within `ttl`: when, how many sessions they own, and how they said they stand.
    pub(crate) async fn replicas(&self, ttl: Duration) -> Result<Vec<Heard>, Error> {
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT r.id, r.heartbeat_at, (SELECT count(*) FROM session_pool.owners o WHERE o.replica_id = r.id), r.status
                 FROM session_pool.replicas r WHERE r.heartbeat_at > now() - $1 * interval '1 second' ORDER BY r.id",
                [ttl.as_secs_f64().into()],
            )
            .await
        };
        let heard = |row: &sea_orm::QueryResult| {
            Ok(Heard {
                id: row.try_get_by_index(0)?,
                at: row.try_get_by_index(1)?,
                owned: row.try_get_by_index::<i64>(2)?.cast_unsigned(),
                status: row.try_get_by_index(3)?,
            })
        };
        self.db.engine.transaction("read replicas", read).await?.iter().map(heard).collect()
    }

    /// Takes those of the sessions that are unowned, or whose owner was not heard of for as long as its connector asks for, each under a new
    /// epoch. Sessions that the replica owned before get a new epoch, too.
    pub(crate) async fn take(&self, replica: Uuid, sessions: Vec<SessionId>, patience: Patience) -> Result<Vec<Claimed>, Error> {
        let ids: Vec<Uuid> = sessions.into_iter().map(SessionId::uuid).collect();
        let take = move |tx: Tx| async move {
            let rows = tx
                .rows(
                    "INSERT INTO session_pool.owners AS o (session_id, tenant_id, replica_id, epoch)
                     SELECT s.id, s.tenant_id, $2, 1 FROM session_pool.sessions s WHERE s.id = ANY($1) AND s.deleted_at IS NULL ORDER BY s.id
                     ON CONFLICT (session_id) DO UPDATE SET replica_id = excluded.replica_id, epoch = o.epoch + 1, offered_at = NULL
                     WHERE o.replica_id = excluded.replica_id OR NOT EXISTS (
                        SELECT FROM session_pool.replicas r WHERE r.id = o.replica_id AND r.heartbeat_at > now() - interval '1 second' *
                            (SELECT CASE WHEN s.connector = 2 THEN $4 ELSE $3 END FROM session_pool.sessions s WHERE s.id = o.session_id))
                     RETURNING session_id, epoch",
                    [ids.into(), replica.into(), patience.cloud.as_secs_f64().into(), patience.web.as_secs_f64().into()],
                )
                .await?;
            rows.iter()
                .map(|row| Ok((SessionId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i64>(1)?.cast_unsigned())))
                .collect::<Result<Vec<Claimed>, Error>>()
        };
        self.db.engine.transaction("take sessions", take).await
    }

    /// Sessions that replicas with more than their share let go lately, and that nobody has taken yet.
    pub(crate) async fn offered(&self, limit: u32) -> Result<Vec<(SessionId, TenantId)>, Error> {
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT o.session_id, o.tenant_id FROM session_pool.owners o JOIN session_pool.sessions s ON s.id = o.session_id
                 WHERE o.offered_at > now() - $1 * interval '1 second' AND o.replica_id = $3 AND s.deleted_at IS NULL AND s.state BETWEEN 2 AND 5
                 ORDER BY o.offered_at LIMIT $2",
                [OFFER.as_secs_f64().into(), i64::from(limit).into(), Uuid::nil().into()],
            )
            .await
        };
        self.db.engine.transaction("offered sessions", read).await?.iter().map(pair).collect()
    }

    /// Gives up a session that was taken under `epoch`, because the ledger knows `standing`, a higher one. The next taker goes above it.
    pub(crate) async fn let_go(&self, replica: Uuid, session: SessionId, epoch: u64, standing: u64) -> Result<(), Error> {
        let let_go = move |tx: Tx| async move {
            tx.run(
                "UPDATE session_pool.owners SET replica_id = $5, epoch = greatest(epoch, $4)
                 WHERE session_id = $1 AND replica_id = $2 AND epoch = $3",
                [session.uuid().into(), replica.into(), epoch.cast_signed().into(), standing.cast_signed().into(), Uuid::nil().into()],
            )
            .await
        };
        self.db.engine.transaction("let a session go", let_go).await?;
        Ok(())
    }

    /// Ends a replica: its sessions are unowned at once. Their rows stay, because epochs must never fall.
    pub(crate) async fn leave(&self, replica: Uuid) -> Result<(), Error> {
        let leave = move |tx: Tx| async move { tx.run("DELETE FROM session_pool.replicas WHERE id = $1", [replica.into()]).await };
        self.db.engine.transaction("leave", leave).await?;
        Ok(())
    }

    /// Forgets replicas not heard of for `age`, which must be longer than any taker waits.
    pub(crate) async fn forget_replicas(&self, age: Duration) -> Result<u64, Error> {
        let sql = "DELETE FROM session_pool.replicas WHERE heartbeat_at < now() - $1 * interval '1 second'";
        let forget = move |tx: Tx| async move { tx.run(sql, [age.as_secs_f64().into()]).await };
        Ok(self.db.engine.transaction("forget replicas", forget).await?)
    }
}
