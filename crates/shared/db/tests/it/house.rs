//! A migrated database with the roles of production.

use std::time::Duration;

use anyhow::{Context, Result};
use barid_db::{Config, Db, Tx};
use barid_domain::{Id, Secret, TenantId};
use barid_testkit::{Database, database_with};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr, Statement};
use uuid::Uuid;

/// Role passwords belong to the whole cluster: every test gives the same one.
const PASSWORD: &str = "barid-test";

pub async fn database() -> Result<Database> {
    database_with("db m0013", |admin_url| async move {
        let config = barid_migrations::Config { database_url: Secret::new(admin_url), role_password: Secret::new(PASSWORD) };
        barid_migrations::migrate(&config).await?;
        Ok(())
    })
    .await
}

/// The two ways into a database, as the service of a schema has them.
pub async fn db(database: &Database, schema: &str, max_connections: u32) -> Result<Db> {
    Ok(Db::connect(&config(database, schema, max_connections)).await?)
}

/// The same with another bound for how long a transaction may take.
pub async fn db_for(database: &Database, schema: &str, longest: Duration) -> Result<Db> {
    Ok(Db::connect_for(&config(database, schema, 1), longest).await?)
}

/// The same, over a line of the caller's.
pub async fn db_over(port: u16, database: &Database, schema: &str, longest: Duration) -> Result<Db> {
    let through = |url: &Secret| {
        let (login, rest) = url.expose().split_once("@").context("a login")?;
        let (_, name) = rest.split_once('/').context("a database")?;
        anyhow::Ok(Secret::new(format!("{login}@127.0.0.1:{port}/{name}")))
    };
    let direct = config(database, schema, 1);
    let config = Config { tenant_url: through(&direct.tenant_url)?, engine_url: through(&direct.engine_url)?, ..direct };
    Ok(Db::connect_for(&config, longest).await?)
}

fn config(database: &Database, schema: &str, max_connections: u32) -> Config {
    let url = |kind: &str| Secret::new(database.url_for(&format!("barid_{schema}_{kind}"), PASSWORD));
    Config { tenant_url: url("tenant"), engine_url: url("engine"), max_connections }
}

/// One bare connection of a role, past everything that `barid_db` does.
pub struct Bare(DatabaseConnection);

impl Bare {
    pub async fn connect(database: &Database, role: &str) -> Result<Self> {
        Self::open(database.url_for(role, PASSWORD)).await
    }

    /// One who sees what every role does.
    pub async fn superuser(database: &Database) -> Result<Self> {
        Self::open(database.admin_url()).await
    }

    async fn open(url: String) -> Result<Self> {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        Ok(Self(sea_orm::Database::connect(options).await?))
    }

    pub async fn run(&self, sql: &str) -> Result<u64, DbErr> {
        Ok(self.0.execute_raw(Statement::from_string(self.0.get_database_backend(), sql)).await?.rows_affected())
    }

    pub async fn count(&self, sql: &str) -> Result<i64, DbErr> {
        let row = self.0.query_one_raw(Statement::from_string(self.0.get_database_backend(), sql)).await?;
        row.ok_or_else(|| DbErr::RecordNotFound(sql.to_owned()))?.try_get_by_index(0)
    }
}

pub fn tenant(number: u128) -> TenantId {
    Id::from_uuid(Uuid::from_u128(number))
}

/// Writes the one row that a tenant may have in this table.
pub async fn write(tx: &Tx, tenant: TenantId) -> Result<u64, DbErr> {
    tx.run("INSERT INTO analytics.freshness (tenant_id, as_of) VALUES ($1, now())", [tenant.uuid().into()]).await
}

/// Tenants whose rows can be seen.
pub async fn seen(tx: &Tx) -> Result<Vec<TenantId>, DbErr> {
    let rows = tx.rows("SELECT tenant_id FROM analytics.freshness ORDER BY 1", []).await?;
    rows.iter().map(|row| Ok(Id::from_uuid(row.try_get_by_index(0)?))).collect()
}
