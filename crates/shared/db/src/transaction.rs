//! Transactions that end whatever becomes of who asked for them.

use std::{ops::Deref, sync::Arc, time::Duration};

use barid_domain::TenantId;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Statement, Value};
use tokio::{sync::oneshot, task::JoinError};

use crate::pool::{ACQUIRE, Pool};

/// An open transaction. What is done with it is committed when the work returns `Ok`.
#[derive(Clone, Debug)]
pub struct Tx(Arc<DatabaseTransaction>);

impl Deref for Tx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.0
    }
}

impl Tx {
    /// Runs a query and reads its rows.
    pub async fn rows(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Result<Vec<QueryResult>, DbErr> {
        self.query_all_raw(Statement::from_sql_and_values(self.get_database_backend(), sql, values)).await
    }

    /// Runs a query that finds one row at most.
    pub async fn row(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Result<Option<QueryResult>, DbErr> {
        self.query_one_raw(Statement::from_sql_and_values(self.get_database_backend(), sql, values)).await
    }

    /// Runs a statement and says how many rows it touched.
    pub async fn run(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Result<u64, DbErr> {
        let done = self.execute_raw(Statement::from_sql_and_values(self.get_database_backend(), sql, values)).await?;
        Ok(done.rows_affected())
    }
}

/// Longest that the work of a transaction may take. Nothing younger than the oldest open transaction is told to anyone, so one that takes longer
/// than this is rolled back, whatever it waits for.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);

/// Acts for one tenant at a time.
#[derive(Clone, Debug)]
pub struct Tenant(Pool);

impl Tenant {
    pub(crate) fn new(pool: Pool) -> Self {
        Self(pool)
    }

    /// Runs `work` as the tenant: row level security shows its rows only. After an error that is not the work's own nobody knows whether it was
    /// committed: the database may have ended it and its answer be lost.
    pub async fn transaction<F, T, E, W>(&self, scope: TenantId, work: F) -> Result<T, E>
    where
        F: FnOnce(Tx) -> W + Send + 'static,
        W: Future<Output = Result<T, E>> + Send,
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        run(self.0.clone(), Some(scope), work).await
    }
}

/// Serves many tenants in one commit, on the tables named for it. For stores only.
#[derive(Clone, Debug)]
pub struct Engine(Pool);

impl Engine {
    pub(crate) fn new(pool: Pool) -> Self {
        Self(pool)
    }

    /// Runs `work` for the job that is named. After an error that is not the work's own nobody knows whether it was committed.
    pub async fn transaction<F, T, E, W>(&self, job: &'static str, work: F) -> Result<T, E>
    where
        F: FnOnce(Tx) -> W + Send + 'static,
        W: Future<Output = Result<T, E>> + Send,
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        tracing::trace!(job, "engine transaction");
        run(self.0.clone(), None, work).await
    }

    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        self.0.current().ping().await
    }
}

async fn run<F, T, E, W>(pool: Pool, scope: Option<TenantId>, work: F) -> Result<T, E>
where
    F: FnOnce(Tx) -> W + Send + 'static,
    W: Future<Output = Result<T, E>> + Send,
    T: Send + 'static,
    E: From<DbErr> + Send + 'static,
{
    // In tasks of their own: a `begin` that is dropped half-way leaves its connection inside a transaction (sqlx #4385), and a silent
    // connection is dealt with also when the caller went away.
    let bounded = async move {
        let (generation, longest, answer) = (pool.current(), pool.longest, pool.answer());
        let (has_begun, begun) = oneshot::channel::<()>();
        let (lent, connections) = (pool.clone(), generation.clone());
        let mut task = tokio::spawn(async move {
            let (tx, _open) = match connections.begin().await {
                Ok((transaction, open)) => (Tx(Arc::new(transaction)), open),
                Err(error) => {
                    if lent.lacks(&connections, &error) {
                        lent.renew(&connections).await;
                    }
                    return Err(error.into());
                }
            };
            // Who does not listen any more ends this task.
            has_begun.send(()).ok();
            let outcome = match tokio::time::timeout(longest, scoped(tx.clone(), scope, work)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(DbErr::Custom(format!("a transaction took longer than {longest:?} and is rolled back")).into()),
            };
            let tx = Arc::try_unwrap(tx.0).map_err(|_| DbErr::Custom("a transaction was kept beyond its work".to_owned()))?;
            match outcome {
                Ok(value) => tx.commit().await.map(|()| value).map_err(E::from),
                Err(error) => {
                    tx.rollback().await?;
                    Err(error)
                }
            }
        });
        // Without a connection the task ends, and says why.
        let silence = if tokio::time::timeout(ACQUIRE + answer, begun).await.is_err() {
            format!("the database did not begin a transaction within {:?}", ACQUIRE + answer)
        } else {
            let bound = pool.bound();
            match tokio::time::timeout(bound, &mut task).await {
                Ok(joined) => return joined.unwrap_or_else(|error| Err(unfinished(error).into())),
                Err(_) => format!("the database fell silent within a transaction; nobody knows after {bound:?} whether it was committed"),
            }
        };
        // What is left of it belongs to connections that nobody uses any more.
        task.abort();
        pool.renew(&generation).await;
        Err(DbErr::Custom(silence).into())
    };
    tokio::spawn(bounded).await.unwrap_or_else(|error| Err(unfinished(error).into()))
}

async fn scoped<F, T, E, W>(tx: Tx, scope: Option<TenantId>, work: F) -> Result<T, E>
where
    F: FnOnce(Tx) -> W,
    W: Future<Output = Result<T, E>>,
    E: From<DbErr>,
{
    if let Some(tenant) = scope {
        tx.run("SELECT set_config('app.current_tenant', $1, true)", [tenant.uuid().to_string().into()]).await?;
    }
    work(tx).await
}

fn unfinished(error: JoinError) -> DbErr {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => DbErr::Custom("the service is shutting down".to_owned()),
    }
}
