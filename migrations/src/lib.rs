//! The tables of every service: one schema and two login roles each. `barid migrate` applies them.

mod m0001_tenant;
mod m0002_template;
mod m0003_queue;
mod m0004_session_pool;
mod m0005_analytics;
mod m0006_inbound;
mod m0007_web;
mod m0008_session_pool;
mod m0009_scheduling;
mod m0010_partitions;
mod m0011_replicas;
mod m0012_hours;
mod m0013_fallback;
mod m0020_webhook;
mod policy;
mod roles;
mod table;

use barid_domain::Secret;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};
use serde::{Deserialize, Serialize};

pub use policy::{Unprotected, unprotected_tables};

/// How to migrate.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The owner of the tables, who may create roles: `postgres://barid@host/barid`.
    pub database_url: Secret,
    /// Password to give to the services' login roles; they keep what they have when empty.
    #[serde(default)]
    pub role_password: Secret,
}

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub applied: usize,
    pub total: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database refuses: {0}")]
    Database(#[from] DbErr),
    #[error("tables hold tenants' rows without protecting them: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unprotected(Vec<Unprotected>),
}

/// The services with a schema of their own.
const SCHEMAS: [&str; 6] = ["tenant", "template", "queue", "session_pool", "analytics", "webhook"];

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(table::Sql { name: "m0001_tenant", statements: m0001_tenant::statements }),
            Box::new(table::Sql { name: "m0002_template", statements: m0002_template::statements }),
            Box::new(table::Sql { name: "m0003_queue", statements: m0003_queue::statements }),
            Box::new(table::Sql { name: "m0004_session_pool", statements: m0004_session_pool::statements }),
            Box::new(table::Sql { name: "m0005_analytics", statements: m0005_analytics::statements }),
            Box::new(table::Sql { name: "m0006_inbound", statements: m0006_inbound::statements }),
            Box::new(table::Sql { name: "m0007_web", statements: m0007_web::statements }),
            Box::new(table::Sql { name: "m0008_session_pool", statements: m0008_session_pool::statements }),
            Box::new(table::Sql { name: "m0009_scheduling", statements: m0009_scheduling::statements }),
            Box::new(table::Sql { name: "m0010_partitions", statements: m0010_partitions::statements }),
            Box::new(table::Sql { name: "m0011_replicas", statements: m0011_replicas::statements }),
            Box::new(table::Sql { name: "m0012_hours", statements: m0012_hours::statements }),
            Box::new(table::Sql { name: "m0013_fallback", statements: m0013_fallback::statements }),
            Box::new(table::Sql { name: "m0020_webhook", statements: m0020_webhook::statements }),
        ]
    }
}

/// Brings a database up to date; changes nothing when it is. Refuses to leave a tenant's table unprotected.
pub async fn migrate(config: &Config) -> Result<Report, Error> {
    let db = connect(config.database_url.expose()).await?;
    // Two at once would trip over each other's roles: the second waits.
    db.execute_unprepared("SELECT pg_advisory_lock(1650553188)").await?;
    let outcome = apply(&db, &config.role_password).await;
    db.close().await?;
    outcome
}

/// Brings a database up to the migration of this name and no further, for those who want to see what the next one does.
pub async fn migrate_up_to(config: &Config, name: &str) -> Result<(), Error> {
    let db = connect(config.database_url.expose()).await?;
    roles::ensure(&db, &config.role_password).await?;
    Migrator::install(&db).await?;
    let wanted = Migrator::migrations().iter().take_while(|migration| migration.name() != name).count() + 1;
    let steps = wanted.saturating_sub(Migrator::get_applied_migrations(&db).await?.len());
    Migrator::up(&db, u32::try_from(steps).ok()).await?;
    Ok(db.close().await?)
}

/// The tables of a database that hold tenants' rows without protection.
pub async fn check(database_url: &str) -> Result<Vec<Unprotected>, Error> {
    let db = connect(database_url).await?;
    Ok(unprotected_tables(&db).await?)
}

async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    // One connection, so that the advisory lock covers everything.
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await
}

async fn apply(db: &DatabaseConnection, password: &Secret) -> Result<Report, Error> {
    roles::ensure(db, password).await?;
    let manager = SchemaManager::new(db);
    let pending = |done: Vec<_>| done.len();
    let before = if manager.has_table("seaql_migrations").await? { pending(Migrator::get_applied_migrations(db).await?) } else { 0 };
    Migrator::up(db, None).await?;
    let total = pending(Migrator::get_applied_migrations(db).await?);
    let unprotected = unprotected_tables(db).await?;
    if unprotected.is_empty() { Ok(Report { applied: total - before, total }) } else { Err(Error::Unprotected(unprotected)) }
}
