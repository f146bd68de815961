//! Transactions end, whatever becomes of who asked for them.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use anyhow::{Result, ensure};
use barid_testkit::eventually;
use futures::future::join_all;
use sea_orm::DbErr;

use crate::house::{Bare, database, db, db_for, seen, tenant, write};

/// Counts connections of the services that are inside a transaction.
const OPEN: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename LIKE 'barid\\_%' AND xact_start IS NOT NULL";

/// Follows work for as many polls, then goes away. Timers would be too coarse to hit the moments of a `begin`.
async fn follow<T>(work: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..polls {
        if let Poll::Ready(outcome) = futures::poll!(work.as_mut()) {
            return Some(outcome);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_go_away_leave_no_transaction_behind() -> Result<()> {
    const ROUNDS: u128 = 400;
    let database = database().await?;
    let db = db(&database, "analytics", 2).await?;
    let watch = Bare::superuser(&database).await?;
    let mut stayed = Vec::new();
    for round in 0..ROUNDS {
        let callers = [2 * round + 1, 2 * round + 2].map(|number| {
            let (db, id) = (db.clone(), tenant(number));
            // From before the first byte is sent until after the commit.
            let polls = rand::random_range(1..=1 << rand::random_range(0..14));
            let work = async move { db.tenant.transaction(id, move |tx| async move { write(&tx, id).await.map(|_| id) }).await };
            tokio::spawn(follow(work, polls))
        });
        for outcome in join_all(callers).await {
            stayed.extend(outcome?.transpose()?);
        }
        // A transaction that nobody ends stays until someone else uses its connection, and nobody does before the next round.
        eventually(Duration::from_secs(5), || async {
            let open = watch.count(OPEN).await?;
            ensure!(open == 0, "{open} transactions are open after round {round}");
            Ok(())
        })
        .await?;
    }
    assert!(!stayed.is_empty() && stayed.len() < 2 * ROUNDS as usize, "{} of {} stayed", stayed.len(), 2 * ROUNDS);
    let committed = db.engine.transaction("test", |tx| async move { seen(&tx).await }).await?;
    assert!(stayed.iter().all(|id| committed.contains(id)), "what was answered is committed");
    // Both connections work, and begin at the beginning.
    let both = join_all([10_001, 10_002].map(|number| {
        let id = tenant(number);
        db.tenant.transaction(id, move |tx| async move {
            write(&tx, id).await?;
            Ok::<_, DbErr>(seen(&tx).await? == [id])
        })
    }));
    assert_eq!(both.await.into_iter().collect::<Result<Vec<bool>, _>>()?, [true, true]);
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
    assert_eq!(Bare::superuser(&database).await?.count(OPEN).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_takes_too_long_is_rolled_back_and_its_connection_works_on() -> Result<()> {
    let database = database().await?;
    let db = db_for(&database, "analytics", Duration::from_secs(1)).await?;
    for statement in ["SELECT 1", "SELECT pg_sleep(2)"] {
        let begun = tokio::time::Instant::now();
        let late = db
            .engine
            .transaction("test", move |tx| async move {
                write(&tx, tenant(1)).await?;
                loop {
                    // Each statement for itself is well within its bounds.
                    tx.rows(statement, []).await?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                #[expect(unreachable_code, reason = "tells the type of the work")]
                Ok::<(), DbErr>(())
            })
            .await
            .expect_err("too long");
        assert!(late.to_string().contains("took longer than 1s"), "{late}");
        assert!(begun.elapsed() < Duration::from_secs(8), "after {:?}", begun.elapsed());
        assert_eq!(db.engine.transaction("test", |tx| async move { seen(&tx).await }).await?, []);
    }
    assert_eq!(Bare::superuser(&database).await?.count(OPEN).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_bounds_statements_waits_and_silence() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "queue", 1).await?;
    let bounds = |tx: barid_db::Tx| async move {
        let sql = "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'), current_setting('lock_timeout')";
        let row = tx.row(sql, []).await?.ok_or_else(|| DbErr::RecordNotFound("settings".to_owned()))?;
        Ok::<[String; 3], DbErr>([row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?])
    };
    assert_eq!(db.engine.transaction("test", bounds).await?, ["15s", "15s", "10s"]);
    assert_eq!(db.tenant.transaction(tenant(1), bounds).await?, ["15s", "15s", "10s"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_died_in_the_pool_cost_no_caller_anything() -> Result<()> {
    const CONNECTIONS: u32 = 4;
    let database = database().await?;
    let db = db(&database, "analytics", CONNECTIONS).await?;
    // All at the same time, so that each has a connection of its own.
    let busy = (0..CONNECTIONS).map(|_| db.engine.transaction("test", |tx| async move { tx.row("SELECT pg_sleep(0.3)", []).await }));
    join_all(busy).await.into_iter().collect::<Result<Vec<_>, DbErr>>()?;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND usename = 'barid_analytics_engine'";
    let ended = Bare::superuser(&database).await?.count(end).await?;
    ensure!(ended >= i64::from(CONNECTIONS), "{ended} connections were there to be ended");
    db.engine.transaction("test", |tx| async move { seen(&tx).await }).await?;
    Ok(())
}
