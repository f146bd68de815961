//! The two pools of a service.

use std::time::Duration;

use barid_domain::Secret;
use sea_orm::{ConnectOptions, DbErr};
use serde::{Deserialize, Serialize};

use crate::{
    Engine, Tenant,
    pool::{Pool, STATEMENT},
    transaction::LONGEST,
};

/// How to reach PostgreSQL.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://barid_<service>_tenant:...@host/database`
    pub tenant_url: Secret,
    /// `postgres://barid_<service>_engine:...@host/database`
    pub engine_url: Secret,
    /// Most connections of each of the two pools.
    #[serde(default = "default_connections")]
    pub max_connections: u32,
}

fn default_connections() -> u32 {
    8
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect to PostgreSQL ({which}): {source}; check the address, and run `barid migrate`")]
    Connect { which: &'static str, source: DbErr },
}

/// Both ways into the database.
#[derive(Clone, Debug)]
pub struct Db {
    pub tenant: Tenant,
    pub engine: Engine,
}

impl Db {
    /// Connects both pools and sees that they work.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        Self::connect_for(config, LONGEST).await
    }

    /// The same with another bound for how long a transaction may take.
    pub async fn connect_for(config: &Config, longest: Duration) -> Result<Self, Error> {
        Ok(Self {
            tenant: Tenant::new(pool("tenant_url", &config.tenant_url, config.max_connections, longest, &[]).await?),
            engine: Engine::new(pool("engine_url", &config.engine_url, config.max_connections, longest, &KEYS_ONLY).await?),
        })
    }

    /// Whether the database answers.
    pub async fn is_reachable(&self) -> bool {
        tokio::time::timeout(Duration::from_secs(2), self.engine.ping()).await.is_ok_and(|answer| answer.is_ok())
    }
}

/// What engines do goes along keys, from table to table in the order in which a query names them. Left to itself the planner takes a table
/// that was not analysed yet for empty, and the plan that it then chooses, to read the whole of it, stays with the connection while the table
/// grows. No plan is forced to stay: one for all partitions would lock every one of them.
const KEYS_ONLY: [(&str, &str); 7] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
    ("join_collapse_limit", "1"),
];

async fn pool(
    which: &'static str,
    url: &Secret,
    max_connections: u32,
    longest: Duration,
    planner: &'static [(&'static str, &'static str)],
) -> Result<Pool, Error> {
    let mut options = ConnectOptions::new(url.expose());
    options
        .max_connections(max_connections)
        .min_connections(1)
        .idle_timeout(Duration::from_secs(300))
        .test_before_acquire(false)
        .sqlx_logging(false)
        // A transaction that hangs would hold back the telling of every later event.
        .map_sqlx_postgres_opts(|options| {
            // No query is so large that compiling it would pay, and a plan that is discouraged looks as if it were.
            options
                .options([("statement_timeout", format!("{}s", STATEMENT.as_secs()))])
                .options([("idle_in_transaction_session_timeout", "15s"), ("lock_timeout", "10s"), ("jit", "off")])
                .options(planner.iter().copied())
        });
    Pool::connect(options, longest).await.map_err(|source| Error::Connect { which, source })
}
