//! The connections of one role, and how long the database may keep silent.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};

/// Longest wait for a connection.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a statement that takes no time: the beginning of a transaction, or its end.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest that one statement may take: the server ends it then.
pub(crate) const STATEMENT: Duration = Duration::from_secs(15);
/// Connections of one pool that may be dead at the same time, and more than any pool holds.
const MOST_DEAD: usize = 256;

/// Connections, and how long one may be used at a time. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    options: Arc<ConnectOptions>,
    current: Arc<RwLock<Generation>>,
    pub(crate) longest: Duration,
}

/// Connections that were made since the database was silent last.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    number: u64,
    connections: DatabaseConnection,
    /// Transactions that hold a connection.
    open: Arc<AtomicU32>,
}

/// Counts as open until it is dropped.
pub(crate) struct Open(Arc<AtomicU32>);

impl Pool {
    /// Connects, and sees that it works.
    pub(crate) async fn connect(mut options: ConnectOptions, longest: Duration) -> Result<Self, DbErr> {
        options.acquire_timeout(ACQUIRE).connect_timeout(ACQUIRE);
        let connections = Database::connect(options.clone()).await?;
        // What comes later connects when it is used.
        options.connect_lazy(true);
        let current = Arc::new(RwLock::new(Generation::new(0, connections)));
        Ok(Self { options: Arc::new(options), current, longest })
    }

    /// Longest wait for what takes no time.
    pub(crate) fn answer(&self) -> Duration {
        ANSWER.min(self.longest)
    }

    /// Longest that a transaction may take from its beginning to its end: a statement that is under way when its time is over is waited for.
    pub(crate) fn bound(&self) -> Duration {
        self.longest + STATEMENT.min(self.longest) + self.answer()
    }

    pub(crate) fn current(&self) -> Generation {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether connections are missing that no transaction holds: after an error of `begin`. Such a connection was given back and the database
    /// is silent when asked whether it is whole.
    pub(crate) fn lacks(&self, generation: &Generation, error: &DbErr) -> bool {
        let most = self.options.get_max_connections().unwrap_or(u32::MAX);
        matches!(error, DbErr::ConnectionAcquire(_)) && generation.open.load(Ordering::SeqCst) < most
    }

    /// The database fell silent on a connection of this generation. Nobody says whether it, or the way to it, will come back, and the system
    /// gives such a connection up after a quarter of an hour only: the next transactions get new ones.
    pub(crate) async fn renew(&self, silent: &Generation) {
        let connections = match Database::connect((*self.options).clone()).await {
            Ok(connections) => connections,
            Err(error) => return tracing::error!(%error, "no new connections"),
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number == silent.number {
            *current = Generation::new(silent.number + 1, connections);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Generation {
    fn new(number: u64, connections: DatabaseConnection) -> Self {
        Self { number, connections, open: Arc::default() }
    }

    /// A connection that died while it lay in the pool, as all of them do when PostgreSQL restarts, is known by its first use. Nothing was
    /// done on it, so the next one is taken, and no caller pays.
    pub(crate) async fn begin(&self) -> Result<(DatabaseTransaction, Open), DbErr> {
        let mut dead = 0;
        loop {
            match self.connections.begin().await {
                // Not being given a connection at all is another error.
                Err(DbErr::Exec(_) | DbErr::Query(_)) if dead < MOST_DEAD => dead += 1,
                begun => {
                    let transaction = begun?;
                    self.open.fetch_add(1, Ordering::SeqCst);
                    return Ok((transaction, Open(self.open.clone())));
                }
            }
        }
    }

    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        self.connections.ping().await
    }
}
