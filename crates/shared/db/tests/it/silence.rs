//! A database that vanishes without a word keeps nobody for ever.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use sea_orm::DbErr;
use tokio::time::Instant;

use crate::{
    house::{database, db_over, seen, tenant, write},
    line::Line,
};

const LONGEST: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_vanishes_keeps_nobody_beyond_the_bound_and_the_next_comes_over_a_new_connection() -> Result<()> {
    let database = database().await?;
    let admin = database.admin_url();
    let port = admin.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')?.0.rsplit_once(':')).context("an address")?.1;
    let line = Arc::new(Line::to(port.parse()?).await?);
    let db = db_over(line.port, &database, "analytics", LONGEST).await?;

    let (begun, cut) = (Instant::now(), line.clone());
    let within = db.engine.transaction("test", move |tx| async move {
        write(&tx, tenant(1)).await?;
        cut.cut();
        write(&tx, tenant(2)).await
    });
    let error = within.await.expect_err("silent").to_string();
    assert!(error.contains("fell silent within a transaction"), "{error}");
    assert!(begun.elapsed() < 4 * LONGEST, "after {:?}", begun.elapsed());
    write_one(&db, 3).await?;

    line.cut();
    let begun = Instant::now();
    let error = write_one(&db, 4).await.expect_err("silent").to_string();
    // Unless it was being given back meanwhile, and is missing now.
    assert!(error.contains("did not begin") || error.contains("Failed to acquire"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(8), "after {:?}", begun.elapsed());
    write_one(&db, 5).await?;

    let (begun, cut) = (Instant::now(), line.clone());
    let at_the_end = db.engine.transaction("test", move |tx| async move {
        write(&tx, tenant(6)).await?;
        cut.cut();
        Ok::<_, DbErr>(())
    });
    let error = at_the_end.await.expect_err("silent").to_string();
    assert!(error.contains("whether it was committed"), "{error}");
    assert!(begun.elapsed() < 4 * LONGEST, "after {:?}", begun.elapsed());
    let left = db.engine.transaction("test", |tx| async move { seen(&tx).await }).await?;
    assert_eq!(left.iter().filter(|id| [3, 5].map(tenant).contains(id)).count(), 2, "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_went_away_in_the_silence_leaves_new_connections_to_the_others() -> Result<()> {
    let database = database().await?;
    let admin = database.admin_url();
    let port = admin.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')?.0.rsplit_once(':')).context("an address")?.1;
    let line = Line::to(port.parse()?).await?;
    let db = db_over(line.port, &database, "analytics", LONGEST).await?;
    line.cut();
    let gone = tokio::time::timeout(Duration::from_millis(50), write_one(&db, 1)).await;
    assert!(gone.is_err(), "nobody answers");
    barid_testkit::eventually(Duration::from_secs(10), || async {
        let soon = tokio::time::timeout(Duration::from_millis(500), db.engine.transaction("test", |tx| async move { seen(&tx).await }));
        Ok(soon.await??)
    })
    .await?;
    Ok(())
}

async fn write_one(db: &barid_db::Db, number: u128) -> Result<u64, DbErr> {
    db.engine.transaction("test", move |tx| async move { write(&tx, tenant(number)).await }).await
}
