//! Table `web_cells`: what linked devices remember. Values are sealed, keys are blinded, and writes of many sessions share a commit.
//!
//! A write counts only under the epoch of the session's owner: whoever lost the session cannot turn its ratchets any more.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use barid_vault::{Place, TenantKey};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use uuid::Uuid;

use super::Store;
use crate::{Error, ownership::Lease};

/// Most writes of one commit.
const BATCH: usize = 256;
/// How long the first write of a commit waits for others.
const GATHER: Duration = Duration::from_millis(1);

/// One value of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub kind: i16,
    pub key: String,
    /// Seconds since 1970 from which on it may be deleted; 0 for never.
    pub expires_at: i64,
    pub value: Vec<u8>,
}

/// What a write does.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Cell),
    Delete {
        kind: i16,
        key: String,
    },
    /// Everything of a kind.
    Clear {
        kind: i16,
    },
}

/// Why a write did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("the session has another owner now, or the replica must be silent")]
    Stale,
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
}

/// In whose name cells are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub session: SessionId,
    pub tenant: TenantId,
    pub replica: Uuid,
    pub epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Spot {
    session: Uuid,
    kind: i16,
    key: [u8; 16],
}

/// A change, sealed.
enum Step {
    Put(Spot, i64, Vec<u8>),
    Delete(Spot),
    Clear(Uuid, i16),
}

struct Job {
    owner: Owner,
    steps: Vec<Step>,
    done: oneshot::Sender<Result<(), WriteError>>,
}

/// Writes the cells of all sessions of a replica.
#[derive(Clone)]
pub(crate) struct CellWriter {
    jobs: mpsc::Sender<Job>,
    lease: Lease,
}

impl CellWriter {
    /// A writer, and its work, which ends when nobody can write any more.
    pub(crate) fn new(store: Store, lease: Lease) -> (Self, impl Future<Output = ()> + Send) {
        let (jobs, queue) = mpsc::channel(BATCH);
        (Self { jobs, lease }, work(store, queue))
    }

    /// Commits changes in their order, all or none.
    pub(crate) async fn write(&self, owner: Owner, key: &TenantKey, changes: Vec<Change>) -> Result<(), WriteError> {
        if !self.lease.holds() {
            return Err(WriteError::Stale);
        }
        let steps = changes.into_iter().map(|change| seal(owner, key, change)).collect();
        let (done, committed) = oneshot::channel();
        let closed = || WriteError::Unavailable("the service ends".to_owned());
        self.jobs.send(Job { owner, steps, done }).await.map_err(|_| closed())?;
        committed.await.map_err(|_| closed())?
    }
}

async fn work(store: Store, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.recv().await {
        let mut batch = vec![first];
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH
            && let Ok(Some(next)) = tokio::time::timeout_at(until, queue.recv()).await
        {
            batch.push(next);
        }
        let (owners, steps, waiting): (Vec<_>, Vec<_>, Vec<_>) =
            batch.into_iter().fold((vec![], vec![], vec![]), |(mut owners, mut steps, mut waiting), job| {
                owners.push(job.owner);
                steps.push(job.steps);
                waiting.push(job.done);
                (owners, steps, waiting)
            });
        let outcome = store.commit_cells(owners.clone(), steps).await;
        for (owner, done) in owners.into_iter().zip(waiting) {
            let answer = match &outcome {
                Ok(standing) if standing.contains(&owner) => Ok(()),
                Ok(_) => Err(WriteError::Stale),
                Err(error) => Err(WriteError::Unavailable(error.to_string())),
            };
            // Who does not wait any more has closed its connection.
            done.send(answer).ok();
        }
    }
}

impl Store {
    /// Commits the steps of those that own their sessions, and says who they are.
    async fn commit_cells(&self, owners: Vec<Owner>, steps: Vec<Vec<Step>>) -> Result<HashSet<Owner>, Error> {
        let commit = move |tx: Tx| async move {
            let unique: HashSet<Owner> = owners.iter().copied().collect();
            let standing = standing(&tx, unique).await?;
            let tenants: HashMap<Uuid, Uuid> = standing.iter().map(|owner| (owner.session.uuid(), owner.tenant.uuid())).collect();
            let mut last: BTreeMap<Spot, Option<(i64, Vec<u8>)>> = BTreeMap::new();
            for step in owners.iter().zip(steps).filter(|(owner, _)| standing.contains(owner)).flat_map(|(_, steps)| steps) {
                match step {
                    Step::Put(spot, expiry, value) => drop(last.insert(spot, Some((expiry, value)))),
                    Step::Delete(spot) => drop(last.insert(spot, None)),
                    Step::Clear(session, kind) => {
                        last.retain(|spot, _| (spot.session, spot.kind) != (session, kind));
                        let sql = "DELETE FROM session_pool.web_cells WHERE session_id = $1 AND kind = $2";
                        tx.run(sql, [session.into(), kind.into()]).await?;
                    }
                }
            }
            flush(&tx, last, &tenants).await?;
            Ok::<_, Error>(standing)
        };
        self.db.engine.transaction("write cells", commit).await
    }

    /// All cells of these kinds of a session.
    pub(crate) async fn load_cells(&self, owner: Owner, key: &TenantKey, kinds: Vec<i16>) -> Result<Vec<Cell>, Error> {
        let load = move |tx: Tx| async move {
            tx.rows(
                "SELECT kind, key, expires_at, value FROM session_pool.web_cells WHERE session_id = $1 AND kind = ANY($2)",
                [owner.session.uuid().into(), kinds.into()],
            )
            .await
        };
        let rows = self.db.engine.transaction("load cells", load).await?;
        rows.iter().map(|row| open(owner, key, row)).collect()
    }

    /// Those of these cells, by kind and key, that exist.
    pub(crate) async fn cells(&self, owner: Owner, key: &TenantKey, names: &[(i16, String)]) -> Result<Vec<Cell>, Error> {
        let (kinds, keys): (Vec<i16>, Vec<Vec<u8>>) =
            names.iter().map(|(kind, name)| (*kind, blind(owner, key, *kind, name).to_vec())).unzip();
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT c.kind, c.key, c.expires_at, c.value FROM session_pool.web_cells c
                 JOIN UNNEST($2::smallint[], $3::bytea[]) AS w (kind, key) ON c.kind = w.kind AND c.key = w.key WHERE c.session_id = $1",
                [owner.session.uuid().into(), kinds.into(), keys.into()],
            )
            .await
        };
        let rows = self.db.engine.transaction("read cells", read).await?;
        rows.iter().map(|row| open(owner, key, row)).collect()
    }

    /// Deletes cells whose time has come; says how many.
    pub(crate) async fn expire_cells(&self) -> Result<u64, Error> {
        let now = self.clock.now().timestamp();
        let expire = move |tx: Tx| async move {
            tx.run(
                "DELETE FROM session_pool.web_cells WHERE (session_id, kind, key) IN (
                    SELECT session_id, kind, key FROM session_pool.web_cells WHERE expires_at > 0 AND expires_at < $1 LIMIT 5000)",
                [now.into()],
            )
            .await
        };
        Ok(self.db.engine.transaction("expire cells", expire).await?)
    }

    /// The key that opens a tenant's cells.
    pub(crate) async fn tenant_key(&self, tenant: TenantId) -> Result<Arc<TenantKey>, Error> {
        Ok(self.vault.tenant(tenant.uuid()).await?)
    }
}

/// Those that own their sessions. Nobody takes a session over until the commit.
async fn standing(tx: &Tx, owners: HashSet<Owner>) -> Result<HashSet<Owner>, Error> {
    let (mut sessions, mut replicas, mut epochs) = (vec![], vec![], vec![]);
    for owner in &owners {
        sessions.push(owner.session.uuid());
        replicas.push(owner.replica);
        epochs.push(owner.epoch.cast_signed());
    }
    let rows = tx
        .rows(
            "SELECT o.session_id, o.epoch FROM session_pool.owners o
             JOIN UNNEST($1::uuid[], $2::uuid[], $3::bigint[]) AS w (session_id, replica_id, epoch)
                ON o.session_id = w.session_id AND o.replica_id = w.replica_id AND o.epoch = w.epoch
             ORDER BY o.session_id FOR SHARE OF o",
            [sessions.into(), replicas.into(), epochs.into()],
        )
        .await?;
    let mut found: HashSet<(Uuid, i64)> = HashSet::with_capacity(rows.len());
    for row in rows {
        found.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    }
    Ok(owners.into_iter().filter(|owner| found.contains(&(owner.session.uuid(), owner.epoch.cast_signed()))).collect())
}

async fn flush(tx: &Tx, cells: BTreeMap<Spot, Option<(i64, Vec<u8>)>>, tenants: &HashMap<Uuid, Uuid>) -> Result<(), Error> {
    let (mut gone, mut put) = (Spots::default(), Spots::default());
    let (mut owners, mut expiries, mut values) = (vec![], vec![], vec![]);
    for (spot, value) in cells {
        let Some(tenant) = tenants.get(&spot.session) else { continue };
        match value {
            Some((expiry, value)) => {
                put.add(spot);
                owners.push(*tenant);
                expiries.push(expiry);
                values.push(value);
            }
            None => gone.add(spot),
        }
    }
    if !gone.sessions.is_empty() {
        tx.run(
            "DELETE FROM session_pool.web_cells c USING UNNEST($1::uuid[], $2::smallint[], $3::bytea[]) AS g (session_id, kind, key)
             WHERE c.session_id = g.session_id AND c.kind = g.kind AND c.key = g.key",
            [gone.sessions.into(), gone.kinds.into(), gone.keys.into()],
        )
        .await?;
    }
    if !put.sessions.is_empty() {
        tx.run(
            "INSERT INTO session_pool.web_cells (session_id, kind, key, tenant_id, expires_at, value)
             SELECT * FROM UNNEST($1::uuid[], $2::smallint[], $3::bytea[], $4::uuid[], $5::bigint[], $6::bytea[])
             ON CONFLICT (session_id, kind, key) DO UPDATE SET expires_at = excluded.expires_at, value = excluded.value",
            [put.sessions.into(), put.kinds.into(), put.keys.into(), owners.into(), expiries.into(), values.into()],
        )
        .await?;
    }
    Ok(())
}

/// Spots as columns.
#[derive(Default)]
struct Spots {
    sessions: Vec<Uuid>,
    kinds: Vec<i16>,
    keys: Vec<Vec<u8>>,
}

impl Spots {
    fn add(&mut self, spot: Spot) {
        self.sessions.push(spot.session);
        self.kinds.push(spot.kind);
        self.keys.push(spot.key.to_vec());
    }
}

fn blind(owner: Owner, key: &TenantKey, kind: i16, name: &str) -> [u8; 16] {
    key.blind_index("session_pool.web_cells", &format!("{}/{kind}/{name}", owner.session))
}

/// The blinded key stands for session, kind and key: a value moved elsewhere does not open.
fn place(owner: Owner, blinded: [u8; 16]) -> Place {
    Place { tenant: owner.tenant.uuid(), column: "session_pool.web_cells.value", row: Uuid::from_bytes(blinded) }
}

/// The key travels with the value, because the table does not tell it: `length (u16, little endian) | key | value`, sealed.
fn seal(owner: Owner, key: &TenantKey, change: Change) -> Step {
    let spot = |kind, name: &str| Spot { session: owner.session.uuid(), kind, key: blind(owner, key, kind, name) };
    match change {
        Change::Put(cell) => {
            let spot = spot(cell.kind, &cell.key);
            let length = u16::try_from(cell.key.len()).unwrap_or(u16::MAX);
            let mut plain = Vec::with_capacity(2 + cell.key.len() + cell.value.len());
            plain.extend_from_slice(&length.to_le_bytes());
            plain.extend_from_slice(&cell.key.as_bytes()[..length.into()]);
            plain.extend_from_slice(&cell.value);
            Step::Put(spot, cell.expires_at, key.seal(place(owner, spot.key), &plain))
        }
        Change::Delete { kind, key: name } => Step::Delete(spot(kind, &name)),
        Change::Clear { kind } => Step::Clear(owner.session.uuid(), kind),
    }
}

fn open(owner: Owner, key: &TenantKey, row: &sea_orm::QueryResult) -> Result<Cell, Error> {
    let blinded: Vec<u8> = row.try_get_by_index(1)?;
    let blinded: [u8; 16] = blinded.try_into().map_err(|_| barid_vault::Error::Sealed)?;
    let plain = key.open(place(owner, blinded), &row.try_get_by_index::<Vec<u8>>(3)?)?;
    let (length, rest) = plain.split_first_chunk::<2>().ok_or(barid_vault::Error::Sealed)?;
    let (name, value) = rest.split_at_checked(u16::from_le_bytes(*length).into()).ok_or(barid_vault::Error::Sealed)?;
    Ok(Cell {
        kind: row.try_get_by_index(0)?,
        key: String::from_utf8_lossy(name).into_owned(),
        expires_at: row.try_get_by_index(2)?,
        value: value.to_vec(),
    })
}
