//! Transactions end, whatever becomes of who asked for them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Result, ensure};
use barid_domain::TenantId;
use barid_testkit::{Database, eventually};
use futures::{StreamExt, future::join_all, stream};
use sea_orm::DbErr;

use crate::house::{database, db, seen, tenant, write};

/// Connections of the services that are inside a transaction.
async fn open(database: &Database) -> Result<String> {
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'barid\\_%' AND xact_start IS NOT NULL";
    database.execute(&[sql]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_go_away_leave_no_transaction_behind() -> Result<()> {
    const CALLERS: u128 = 600;
    let database = database().await?;
    let db = db(&database, "analytics", 2).await?;
    let finished: Vec<TenantId> = stream::iter(1..=CALLERS)
        .map(|number| {
            let (db, id) = (db.clone(), tenant(number));
            async move {
                let work = db.tenant.transaction(id, move |tx| async move {
                    write(&tx, id).await?;
                    seen(&tx).await
                });
                // From before the first byte is sent until after the commit.
                let patience = Duration::from_micros(rand::random_range(0..6_000));
                match tokio::time::timeout(patience, work).await {
                    Ok(seen) => seen.map(Some),
                    Err(_) => Ok(None),
                }
            }
        })
        .buffer_unordered(6)
        .filter_map(|outcome: Result<_, DbErr>| async move { outcome.expect("no failure").map(|seen| seen[0]) })
        .collect()
        .await;
    assert!(!finished.is_empty() && finished.len() < CALLERS as usize, "{} of {CALLERS} stayed", finished.len());
    eventually(Duration::from_secs(10), || async {
        let open = open(&database).await?;
        ensure!(open == "0", "{open} transactions are open");
        Ok(())
    })
    .await?;
    // Both connections work, and begin at the beginning.
    for id in join_all([10_001, 10_002].map(|number| {
        let (db, id) = (db.clone(), tenant(number));
        async move { db.tenant.transaction(id, move |tx| async move { write(&tx, id).await.map(|_| id) }).await }
    }))
    .await
    {
        let id = id?;
        assert_eq!(db.tenant.transaction(id, |tx| async move { seen(&tx).await }).await?, [id]);
    }
    let committed = db.engine.transaction("test", |tx| async move { seen(&tx).await }).await?;
    assert!(finished.iter().all(|id| committed.contains(id)), "what was answered is committed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_fails_changes_nothing() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "analytics", 1).await?;
    let failed = db
        .engine
        .transaction("test", |tx| async move {
            write(&tx, tenant(1)).await?;
            Err::<(), _>(DbErr::Custom("changed its mind".to_owned()))
        })
        .await
        .expect_err("failed");
    assert!(failed.to_string().contains("changed its mind"), "{failed}");

    let panicking = {
        let db = db.clone();
        tokio::spawn(async move {
            db.engine
                .transaction("test", |tx| async move {
                    write(&tx, tenant(2)).await?;
                    assert!(tx.rows("SELECT 1", []).await?.is_empty(), "the work panics");
                    Ok::<_, DbErr>(())
                })
                .await
        })
    };
    assert!(panicking.await.expect_err("the panic goes on to the caller").is_panic());

    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    let refused = db
        .engine
        .transaction("test", |tx| async move {
            write(&tx, tenant(3)).await?;
            *keep.lock().expect("not poisoned") = Some(tx);
            Ok::<_, DbErr>(())
        })
        .await
        .expect_err("kept");
    assert!(refused.to_string().contains("kept beyond its work"), "{refused}");
    drop(kept.lock().expect("not poisoned").take());

    assert_eq!(db.engine.transaction("test", |tx| async move { seen(&tx).await }).await?, []);
    assert_eq!(open(&database).await?, "0");
    Ok(())
}
