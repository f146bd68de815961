//! Bulk jobs. A job's state is one row; its messages follow it a bounded commit at a time, and whatever joins or comes back meanwhile reads
//! the row first. Whoever changes or joins a job holds its row before any message.

use std::collections::{BTreeMap, HashMap};

use barid_db::Tx;
use barid_domain::{JobId, MessageId, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::{Change, Store, apply, planning};
use crate::{Error, state::Fact};

/// Messages in one commit.
const TURN: i64 = 1000;
/// Commits that a caller waits for; the rest follows by itself.
const WAITED_FOR: usize = 20;
/// Most messages of a job.
pub(crate) const MOST: u32 = 100_000;
/// Most jobs that a tenant makes in 24 hours.
const MOST_A_DAY: i64 = 1000;

/// Where a job stands. The numbers are those of the API and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    Running = 1,
    Paused = 2,
    Cancelled = 3,
}

impl JobState {
    pub(super) fn from_number(number: i16) -> Option<Self> {
        [Self::Running, Self::Paused, Self::Cancelled].into_iter().find(|state| *state as i16 == number)
    }
}

/// A job as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub id: JobId,
    pub display_name: String,
    pub state: JobState,
    pub total: u32,
    /// Whether every message stands as the state says.
    pub settled: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Messages by their state, where they were counted.
    pub progress: BTreeMap<i16, u32>,
}

const COLUMNS: &str = "id, display_name, state, total, settled, created_at, updated_at";

impl Store {
    /// Makes a job, or finds the one that an earlier call with the same key made.
    pub(crate) async fn create_job(&self, tenant: TenantId, display_name: String, key: Option<String>) -> Result<JobRow, Error> {
        let (id, now): (JobId, _) = (self.mint(), self.now());
        let create = move |tx: Tx| async move {
            // One at a time, so that jobs are counted, and keys found, as they are.
            tx.run("SELECT pg_advisory_xact_lock(hashtextextended('jobs of ' || $1, 0))", [tenant.to_string().into()]).await?;
            if let Some(key) = &key {
                let known = format!("SELECT {COLUMNS} FROM queue.jobs WHERE tenant_id = $1 AND idempotency_key = $2");
                if let Some(row) = tx.row(known, [tenant.uuid().into(), key.clone().into()]).await? {
                    let job = read(&row)?;
                    return if job.display_name == display_name { Ok(job) } else { Err(Error::KeyReused) };
                }
            }
            let young = "SELECT count(*) FROM (SELECT FROM queue.jobs WHERE tenant_id = $1 AND created_at > $2 LIMIT $3) j";
            let row = tx.row(young, [tenant.uuid().into(), (now - TimeDelta::hours(24)).into(), MOST_A_DAY.into()]).await?;
            if row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?.unwrap_or(0) >= MOST_A_DAY {
                return Err(Error::TooManyJobs { limit: MOST_A_DAY });
            }
            let insert = format!(
                "INSERT INTO queue.jobs (id, tenant_id, display_name, state, total, settled, created_at, updated_at, idempotency_key)
                 VALUES ($1, $2, $3, 1, 0, true, $4, $4, nullif($5, '')) RETURNING {COLUMNS}"
            );
            let values = [id.uuid().into(), tenant.uuid().into(), display_name.into(), now.into(), key.unwrap_or_default().into()];
            let row = tx.row(insert, values).await?;
            Ok(read(&row.ok_or_else(|| DbErr::RecordNotFound("job".to_owned()))?)?)
        };
        self.db.tenant.transaction(tenant, create).await
    }

    /// Deletes jobs that were made before a time, have nothing to do, and none of whose messages is kept any more.
    pub(crate) async fn forget_jobs(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        let forget = move |tx: Tx| async move {
            let old = "SELECT id FROM queue.jobs WHERE created_at < $1 AND settled
                       AND NOT EXISTS (SELECT FROM queue.messages m WHERE m.job_id = jobs.id) ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED";
            let ids = planning::ids(tx.rows(old, [before.into(), TURN.into()]).await?)?;
            // Asked once more now that nobody can join them.
            let delete = "DELETE FROM queue.jobs j WHERE id = ANY($1) AND NOT EXISTS (SELECT FROM queue.messages m WHERE m.job_id = j.id)";
            Ok::<_, DbErr>(if ids.is_empty() { 0 } else { tx.run(delete, [ids.into()]).await? })
        };
        Ok(self.db.engine.transaction("forget jobs", forget).await?)
    }

    /// A job with its progress.
    pub(crate) async fn job(&self, tenant: TenantId, id: JobId) -> Result<JobRow, Error> {
        let find = move |tx: Tx| async move {
            let row = tx.row(format!("SELECT {COLUMNS} FROM queue.jobs WHERE id = $1"), [id.uuid().into()]).await?;
            let mut job = read(&row.ok_or_else(|| Error::not_found("job", id))?)?;
            let count = "SELECT s.state, count(*)::int FROM queue.messages m JOIN queue.message_state s ON s.message_id = m.id
                         WHERE m.job_id = $1 GROUP BY s.state";
            for row in tx.rows(count, [id.uuid().into()]).await? {
                job.progress.insert(row.try_get_by_index(0)?, row.try_get_by_index::<i32>(1)?.cast_unsigned());
            }
            Ok(job)
        };
        self.db.tenant.transaction(tenant, find).await
    }

    /// Jobs of a tenant, newest first.
    pub(crate) async fn jobs(&self, tenant: TenantId, before: Option<JobId>, limit: u64) -> Result<Vec<JobRow>, Error> {
        let list = move |tx: Tx| async move {
            let sql = format!("SELECT {COLUMNS} FROM queue.jobs WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
            let before = before.map_or(Uuid::max(), JobId::uuid);
            let rows = tx.rows(sql, [tenant.uuid().into(), before.into(), limit.cast_signed().into()]).await?;
            rows.iter().map(|row| Ok(read(row)?)).collect()
        };
        self.db.tenant.transaction(tenant, list).await
    }

    /// Brings a job into a state, and most of its messages after it. `Err` with the state that forbids it.
    pub(crate) async fn steer_job(&self, tenant: TenantId, id: JobId, to: JobState) -> Result<Result<(), JobState>, Error> {
        let now = self.now();
        let steer = move |tx: Tx| async move {
            let row = tx.row("SELECT state FROM queue.jobs WHERE id = $1 FOR UPDATE", [id.uuid().into()]).await?;
            let found = state(&row.ok_or_else(|| Error::not_found("job", id))?, 0)?;
            if found == JobState::Cancelled && to != found {
                return Ok(Err(found));
            }
            if found != to {
                let update = "UPDATE queue.jobs SET state = $2, settled = false, updated_at = $3 WHERE id = $1";
                tx.run(update, [id.uuid().into(), (to as i16).into(), now.into()]).await?;
            }
            Ok::<_, Error>(Ok(()))
        };
        let steered = self.db.tenant.transaction(tenant, steer).await?;
        if steered.is_ok() {
            self.settle_job(id, WAITED_FOR).await?;
        }
        Ok(steered)
    }

    /// Jobs whose messages do not all stand as they should.
    pub(crate) async fn unsettled_jobs(&self) -> Result<Vec<JobId>, Error> {
        let read = |tx: Tx| async move {
            let rows = tx.rows("SELECT id FROM queue.jobs WHERE NOT settled ORDER BY updated_at LIMIT 10", []).await?;
            rows.iter().map(|row| Ok(JobId::from_uuid(row.try_get_by_index(0)?))).collect()
        };
        self.db.engine.transaction("unsettled jobs", read).await
    }

    /// Has the messages of a job follow its state, in at most this many commits.
    pub(crate) async fn settle_job(&self, job: JobId, commits: usize) -> Result<(), Error> {
        let mut pass = None;
        for _ in 0..commits {
            let store = self.clone();
            pass = self.db.engine.transaction("settle job", move |tx| async move { settle(&store, &tx, job, pass).await }).await?;
            self.committed(false).await;
            if pass.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// How far the messages of a job follow a change of its state.
#[derive(Clone, Copy)]
struct Pass {
    /// The change.
    to: JobState,
    at: DateTime<Utc>,
    /// The last message that was looked at.
    after: Uuid,
}

/// One commit of those that bring the messages of a job after its state; gives back where the next begins. When the state has changed
/// again since the pass began, it begins anew: only a whole pass settles a job.
async fn settle(store: &Store, tx: &Tx, job: JobId, pass: Option<Pass>) -> Result<Option<Pass>, Error> {
    let sql = "SELECT state, settled, updated_at FROM queue.jobs WHERE id = $1 FOR UPDATE";
    let Some(row) = tx.row(sql, [job.uuid().into()]).await? else {
        return Ok(None);
    };
    let (to, at) = (state(&row, 0)?, row.try_get_by_index(2)?);
    let after = pass.filter(|pass| pass.to == to && pass.at == at).map_or(Uuid::nil(), |pass| pass.after);
    if row.try_get_by_index(1)? {
        return Ok(None);
    }
    // What is under way is locked, too: it may be on its way back. And read once it is locked: somebody may have held it, or let it go.
    let rows = tx
        .rows(
            "SELECT m.id FROM queue.messages m JOIN queue.message_state s ON s.message_id = m.id
             WHERE m.job_id = $1 AND m.id > $2 AND s.state IN (1, 2, 3, 4) ORDER BY m.id LIMIT $3",
            [job.uuid().into(), after.into(), TURN.into()],
        )
        .await?;
    let ids = planning::ids(rows)?;
    planning::lock(tx, &ids).await?;
    let last = ids.last().copied().filter(|_| i64::try_from(ids.len()).is_ok_and(|read| read == TURN));
    let rows = tx
        .rows(
            "SELECT s.message_id, coalesce(c.due_at, r.due_at), coalesce(c.held, false) FROM queue.message_state s
             LEFT JOIN queue.scheduled c USING (message_id) LEFT JOIN queue.ready r USING (message_id)
             WHERE s.message_id = ANY($1) AND s.state IN (1, 2, 3, 4)",
            [ids.into()],
        )
        .await?;
    let now = store.now();
    let mut changes = Vec::new();
    for row in &rows {
        let (message, held): (_, bool) = (MessageId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index(2)?);
        let due: Option<DateTime<Utc>> = row.try_get_by_index(1)?;
        match to {
            JobState::Running if held => changes.push(Change { not_before: due, ..Change::new(message, Fact::Deferred, now) }),
            JobState::Paused if !held => changes.push(paused(message, due, now)),
            JobState::Cancelled => changes.push(cancelled(message, now)),
            _ => {}
        }
    }
    apply::apply(store, tx, changes).await?;
    if let Some(after) = last {
        return Ok(Some(Pass { to, at, after }));
    }
    tx.run("UPDATE queue.jobs SET settled = true WHERE id = $1", [job.uuid().into()]).await?;
    Ok(None)
}

/// A message that waits for its job to go on.
pub(super) fn paused(message: MessageId, due: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Change {
    Change { reason: "job_paused".to_owned(), not_before: due, held: true, ..Change::new(message, Fact::Deferred, now) }
}

/// A message that is called back with its job.
pub(super) fn cancelled(message: MessageId, now: DateTime<Utc>) -> Change {
    Change { reason: "job_cancelled".to_owned(), ..Change::new(message, Fact::Cancelled, now) }
}

/// A job that messages are about to join.
pub(super) struct Joined {
    pub tenant: TenantId,
    pub state: JobState,
    /// How many more it takes.
    pub room: u32,
}

/// Holds jobs, in the order of their ids, until the transaction ends.
pub(super) async fn hold(tx: &Tx, jobs: Vec<Uuid>) -> Result<HashMap<JobId, Joined>, DbErr> {
    if jobs.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT id, tenant_id, state, total FROM queue.jobs WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    let rows = tx.rows(sql, [jobs.into()]).await?;
    rows.iter()
        .map(|row| {
            let total = row.try_get_by_index::<i32>(3)?.cast_unsigned();
            let tenant = TenantId::from_uuid(row.try_get_by_index(1)?);
            let joined = Joined { tenant, state: state(row, 2)?, room: MOST.saturating_sub(total) };
            Ok((JobId::from_uuid(row.try_get_by_index(0)?), joined))
        })
        .collect()
}

/// Counts messages to jobs that are held.
pub(super) async fn count(tx: &Tx, messages: BTreeMap<JobId, i32>) -> Result<(), DbErr> {
    if !messages.is_empty() {
        let ids: Vec<Uuid> = messages.keys().map(|job| job.uuid()).collect();
        let counts: Vec<i32> = messages.into_values().collect();
        let update =
            "UPDATE queue.jobs j SET total = j.total + n.messages FROM UNNEST($1::uuid[], $2::int[]) AS n(id, messages) WHERE j.id = n.id";
        tx.run(update, [ids.into(), counts.into()]).await?;
    }
    Ok(())
}

fn state(row: &QueryResult, index: usize) -> Result<JobState, DbErr> {
    JobState::from_number(row.try_get_by_index(index)?).ok_or_else(|| DbErr::Type("unknown state of a job".to_owned()))
}

fn read(row: &QueryResult) -> Result<JobRow, DbErr> {
    Ok(JobRow {
        id: JobId::from_uuid(row.try_get_by_index(0)?),
        display_name: row.try_get_by_index(1)?,
        state: state(row, 2)?,
        total: row.try_get_by_index::<i32>(3)?.cast_unsigned(),
        settled: row.try_get_by_index(4)?,
        created_at: row.try_get_by_index(5)?,
        updated_at: row.try_get_by_index(6)?,
        progress: BTreeMap::new(),
    })
}
