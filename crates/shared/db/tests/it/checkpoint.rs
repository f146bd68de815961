//! A checkpoint is moved on by one replica at a time.

use anyhow::Result;
use barid_bus::Checkpoint;
use barid_db::{Db, advance, checkpoint};
use barid_proto::events::v1::Position;
use futures::future::join_all;
use sea_orm::DbErr;

use crate::house::{database, db};

fn at(sequence: u64) -> Checkpoint {
    let position = Position { generation: 1, transaction: u64::MAX >> 1, sequence };
    Checkpoint { position, stream_created: 1_700_000_000_000_000_000, stream_sequence: sequence }
}

async fn load(db: &Db, consumer: &'static str) -> Result<Checkpoint, DbErr> {
    db.engine.transaction("test", move |tx| async move { checkpoint(&tx, "analytics", consumer).await }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_advance_one_does() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "analytics", 8).await?;
    let mut from = load(&db, "one").await?;
    assert_eq!(from, Checkpoint::default());
    for step in 1..=20 {
        let race =
            (0..8).map(|_| {
                let db = db.clone();
                async move {
                    db.engine.transaction("test", move |tx| async move { advance(&tx, "analytics", "one", from, at(step)).await }).await
                }
            });
        let moved: Vec<bool> = join_all(race).await.into_iter().collect::<Result<_, DbErr>>()?;
        assert_eq!(moved.iter().filter(|moved| **moved).count(), 1, "step {step}");
        from = load(&db, "one").await?;
        assert_eq!(from, at(step));
    }
    assert_eq!(load(&db, "another").await?, Checkpoint::default(), "each consumer has its own");
    // Nothing new was counted, but the stream is another one.
    let again = Checkpoint { stream_created: 7, stream_sequence: 2, ..from };
    assert!(db.engine.transaction("test", move |tx| async move { advance(&tx, "analytics", "one", from, again).await }).await?);
    assert_eq!(load(&db, "one").await?, again);
    Ok(())
}
