//! The roles may do what their tables grant, and nothing else.

use anyhow::Result;

use crate::house::{Bare, database};

async fn denied(bare: &Bare, sql: &str) {
    let error = bare.run(sql).await.expect_err(sql).to_string();
    assert!(error.contains("permission denied") || error.contains("must be owner"), "{sql}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_reaches_its_own_tables_only() -> Result<()> {
    let database = database().await?;
    for role in ["barid_analytics_engine", "barid_analytics_tenant"] {
        let bare = Bare::connect(&database, role).await?;
        bare.count("SELECT count(*) FROM analytics.counts").await?;
        for sql in [
            "SELECT count(*) FROM queue.messages",
            "SELECT count(*) FROM tenant.tenants",
            "SELECT count(*) FROM public.seaql_migrations",
            "CREATE TABLE analytics.own (id int)",
            "CREATE TABLE public.own (id int)",
            "CREATE SCHEMA own",
            "CREATE ROLE own",
            "ALTER TABLE analytics.counts DISABLE ROW LEVEL SECURITY",
            "CREATE POLICY all_of_it ON analytics.counts USING (true)",
            "DROP TABLE analytics.counts",
            "TRUNCATE analytics.counts",
            "SET ROLE barid_queue_engine",
        ] {
            denied(&bare, sql).await;
        }
    }
    // What no tenant sees is the engine's alone.
    let tenant = Bare::connect(&database, "barid_analytics_tenant").await?;
    denied(&tenant, "SELECT count(*) FROM analytics.consumer_checkpoints").await;
    let queue = Bare::connect(&database, "barid_queue_tenant").await?;
    denied(&queue, "SELECT count(*) FROM queue.fences").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_written_once() -> Result<()> {
    let database = database().await?;
    let of = |partitions: bool| {
        format!(
            "SELECT c.oid::regclass FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'xid'
             WHERE c.relkind IN ('r', 'p') AND c.relispartition = {partitions} AND c.relname !~ '^pg_' ORDER BY 1"
        )
    };
    let tables = database.execute(&[&of(false)]).await?;
    let tables: Vec<&str> = tables.lines().collect();
    assert!(tables.contains(&"queue.message_events") && tables.contains(&"tenant.events"), "{tables:?}");
    // The way to a partition is its parent.
    let bare = Bare::connect(&database, "barid_queue_engine").await?;
    for partition in database.execute(&[&of(true)]).await?.lines() {
        denied(&bare, &format!("SELECT count(*) FROM {partition}")).await;
    }
    for table in tables {
        let (schema, _) = table.split_once('.').expect("with its schema");
        for kind in ["engine", "tenant"] {
            let bare = Bare::connect(&database, &format!("barid_{schema}_{kind}")).await?;
            bare.count(&format!("SELECT count(*) FROM {table}")).await?;
            for sql in [format!("UPDATE {table} SET kind = 'other'"), format!("DELETE FROM {table}"), format!("TRUNCATE {table}")] {
                denied(&bare, &sql).await;
            }
        }
    }
    Ok(())
}
