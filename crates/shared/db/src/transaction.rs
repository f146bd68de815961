//! Transactions that end whatever becomes of who asked for them.

use std::{ops::Deref, sync::Arc, time::Duration};

use barid_domain::TenantId;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, QueryResult, Statement, TransactionTrait, Value};

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

/// Connections, and how long one may be used at a time.
#[derive(Clone, Debug)]
struct Pool {
    connections: DatabaseConnection,
    longest: Duration,
}

/// Acts for one tenant at a time.
#[derive(Clone, Debug)]
pub struct Tenant(Pool);

impl Tenant {
    pub(crate) fn new(connections: DatabaseConnection, longest: Duration) -> Self {
        Self(Pool { connections, longest })
    }

    /// Runs `work` as the tenant: row level security shows its rows only.
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
    pub(crate) fn new(connections: DatabaseConnection, longest: Duration) -> Self {
        Self(Pool { connections, longest })
    }

    /// Runs `work` for the job that is named.
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
        self.0.connections.ping().await
    }
}

/// Connections of one pool that may be dead at the same time, and more than any pool holds.
const MOST_DEAD: usize = 256;

/// A connection that died while it lay in the pool, as all of them do when PostgreSQL restarts, is known by its first use. Nothing was done
/// on it, so the next one is taken, and no caller pays.
async fn begin(pool: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let mut dead = 0;
    loop {
        match pool.begin().await {
            // Not being given a connection at all is another error.
            Err(DbErr::Exec(_) | DbErr::Query(_)) if dead < MOST_DEAD => dead += 1,
            begun => return begun,
        }
    }
}

async fn run<F, T, E, W>(pool: Pool, scope: Option<TenantId>, work: F) -> Result<T, E>
where
    F: FnOnce(Tx) -> W + Send + 'static,
    W: Future<Output = Result<T, E>> + Send,
    T: Send + 'static,
    E: From<DbErr> + Send + 'static,
{
    // In a task of its own: a `begin` that is dropped half-way leaves its connection inside a transaction (sqlx #4385).
    let task = tokio::spawn(async move {
        let tx = Tx(Arc::new(begin(&pool.connections).await?));
        if let Some(tenant) = scope {
            tx.run("SELECT set_config('app.current_tenant', $1, true)", [tenant.uuid().to_string().into()]).await?;
        }
        let outcome = match tokio::time::timeout(pool.longest, work(tx.clone())).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DbErr::Custom(format!("a transaction took longer than {:?} and is rolled back", pool.longest)).into()),
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
    match task.await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(DbErr::Custom("the service is shutting down".to_owned()).into()),
        },
    }
}
