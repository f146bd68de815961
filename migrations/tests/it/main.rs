//! Migrations on a real server: applied once, and never leaving a tenant's table unprotected.

use anyhow::Result;
use barid_domain::Secret;
use barid_migrations::{Config, Error, Report, check, migrate};
use barid_testkit::{Database, database};

/// Role passwords belong to the whole cluster: every test gives the same one.
const PASSWORD: &str = "barid-test";

fn config(database: &Database) -> Config {
    Config { database_url: Secret::new(database.admin_url()), role_password: Secret::new(PASSWORD) }
}

/// What the check has against the database.
async fn named(database: &Database) -> Result<Vec<String>> {
    Ok(check(&database.admin_url()).await?.iter().map(ToString::to_string).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_changes_nothing() -> Result<()> {
    let database = database().await?;
    let first = migrate(&config(&database)).await?;
    assert!(first.applied > 0 && first.applied == first.total, "{first:?}");
    let tables = "SELECT n.nspname, c.relname, c.relacl, c.relrowsecurity, c.relforcerowsecurity FROM pg_class c
                  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_|information_schema' ORDER BY 1, 2";
    let before = database.execute(&[tables]).await?;
    assert_eq!(migrate(&config(&database)).await?, Report { applied: 0, total: first.total });
    assert_eq!(database.execute(&[tables]).await?, before);
    assert_eq!(named(&database).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_applies() -> Result<()> {
    let database = database().await?;
    let config = config(&database);
    let (one, other) = tokio::try_join!(migrate(&config), migrate(&config))?;
    assert_eq!(one.total, other.total);
    assert_eq!(one.applied + other.applied, one.total, "{one:?} {other:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_own_nothing_and_bypass_nothing() -> Result<()> {
    let database = database().await?;
    migrate(&config(&database)).await?;
    let powers = "SELECT count(*) FILTER (WHERE rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR NOT rolcanlogin), count(*)
                  FROM pg_roles WHERE rolname ~ '^barid_.*_(tenant|engine)$'";
    assert_eq!(database.execute(&[powers]).await?, "0|10");
    let owned = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname ~ '^barid_'";
    assert_eq!(database.execute(&[owned]).await?, "0");
    let members = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname ~ '^barid_'";
    assert_eq!(database.execute(&[members]).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unprotected_table_is_named_with_what_it_lacks() -> Result<()> {
    let database = database().await?;
    migrate(&config(&database)).await?;
    database.execute(&["CREATE TABLE queue.naked (tenant_id uuid, id int)"]).await?;
    for (remedy, lacks) in [
        ("SELECT 1", "queue.naked lacks ENABLE ROW LEVEL SECURITY"),
        ("ALTER TABLE queue.naked ENABLE ROW LEVEL SECURITY", "queue.naked lacks FORCE ROW LEVEL SECURITY"),
        ("ALTER TABLE queue.naked FORCE ROW LEVEL SECURITY", "queue.naked lacks a policy on app.current_tenant"),
        ("CREATE POLICY engine ON queue.naked TO barid_queue_engine USING (true)", "queue.naked lacks a policy on app.current_tenant"),
        // Without `nullif` the setting of a transaction that ended makes every query fail.
        (
            "CREATE POLICY hasty ON queue.naked TO barid_queue_tenant USING (tenant_id = current_setting('app.current_tenant')::uuid)",
            "queue.naked lacks a policy on app.current_tenant",
        ),
    ] {
        database.execute(&[remedy]).await?;
        assert_eq!(named(&database).await?, [lacks], "after {remedy}");
        let refused = migrate(&config(&database)).await.expect_err(lacks);
        assert!(matches!(&refused, Error::Unprotected(tables) if tables.len() == 1) && refused.to_string().contains(lacks), "{refused}");
    }
    let policy = "CREATE POLICY tenant ON queue.naked TO barid_queue_tenant
                  USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant', true), '')::uuid))";
    database.execute(&[policy]).await?;
    assert_eq!(named(&database).await?, Vec::<String>::new());
    migrate(&config(&database)).await?;

    // Protection that is taken away later is missed, too.
    database.execute(&["ALTER TABLE queue.messages NO FORCE ROW LEVEL SECURITY", "DROP POLICY tenant ON tenant.tenants"]).await?;
    let both = ["queue.messages lacks FORCE ROW LEVEL SECURITY", "tenant.tenants lacks a policy on app.current_tenant"];
    assert_eq!(named(&database).await?, both);
    Ok(())
}
