//! Real servers for tests and for `cargo xtask up`: private PostgreSQL, NATS and Redis on free loopback ports, gone when
//! their handle is dropped or the process that started them dies.
//!
//! ```no_run
//! # async fn test(config: &str) -> anyhow::Result<()> {
//! let database = barid_testkit::database().await?; // fresh, on a server shared by the whole test run
//! let nats = barid_testkit::nats(config).await?; // private to the caller
//! let redis = barid_testkit::redis().await?; // private to the caller
//! # drop((database, nats, redis));
//! # Ok(())
//! # }
//! ```

mod account;
mod database;
pub mod install;
mod port;
pub mod process;
mod psql;
mod scratch;
pub mod servers;
mod spawner;
mod wait;

pub use database::{Cluster, Database, POSTGRES_URL_VARIABLE, database, database_with, postgres};
pub use port::free_port;
pub use psql::ask;
pub use servers::{Durability, Nats, Postgres, Redis};
pub use wait::eventually;

/// A NATS server of the caller's own, with JetStream in a temporary directory and the users that `config` names.
pub async fn nats(config: &str) -> anyhow::Result<Nats> {
    Nats::start(None, None, config).await
}

/// A Redis server of the caller's own, which keeps nothing on disk.
pub async fn redis() -> anyhow::Result<Redis> {
    Redis::start(None, None).await
}

/// A new secret: 32 hexadecimal digits of randomness.
pub fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}
