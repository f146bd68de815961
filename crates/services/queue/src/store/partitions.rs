//! Messages, their states and events stand in partitions, one for each day, which are made ahead and dropped as a whole.
//!
//! Both are done by functions of the tables' owner. They check for themselves that nothing is lost, whoever calls them.

use barid_db::Tx;
use barid_proto::events::v1::Position;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::Store;
use crate::Error;

/// Days that are made ahead.
pub(crate) const AHEAD: u64 = 14;
/// References in one commit.
const TURN: i64 = 5000;
/// What refers to messages and goes with them.
const REFERRING: [&str; 2] = ["provider_ids", "dead_letters"];

/// Messages or events of a stretch of time.
#[derive(Clone, Debug)]
struct Partition {
    /// What its name ends with.
    suffix: String,
    first: Uuid,
    past: Uuid,
}

impl Store {
    /// Makes the partitions of today and the next days where they are missing; says how many it made.
    pub(crate) async fn make_partitions(&self) -> Result<i32, Error> {
        let mut made = 0;
        for day in self.database_day().await?.iter_days().take(usize::try_from(AHEAD).unwrap_or(0) + 1) {
            let make = move |tx: Tx| async move {
                let row = tx.row("SELECT queue.make_partition($1)", [day.into()]).await?;
                row.map_or(Ok(0), |row| row.try_get_by_index::<i32>(0))
            };
            made += self.db.engine.transaction("make partitions", make).await?;
        }
        Ok(made)
    }

    /// How many messages and events the default partitions keep, counted up to a thousand each: what clocks wrote that are far ahead.
    pub(crate) async fn astray(&self) -> Result<i64, Error> {
        let read = |tx: Tx| async move {
            let past = "(SELECT max(past::text)::uuid FROM queue.partitions WHERE parent = 'messages')";
            let sql = format!(
                "SELECT (SELECT count(*) FROM (SELECT FROM queue.messages WHERE id >= {past} LIMIT 1000) m)
                      + (SELECT count(*) FROM (SELECT FROM queue.message_events WHERE id >= {past} LIMIT 1000) e)"
            );
            tx.row(sql, []).await?.map_or(Ok(0), |row| row.try_get_by_index(0))
        };
        Ok(self.db.engine.transaction::<_, _, DbErr, _>("astray", read).await?)
    }

    /// How far this clock is ahead of the database's, or behind it.
    pub(crate) async fn clock_difference(&self) -> Result<TimeDelta, Error> {
        let now = self.now();
        Ok((now - self.database_time().await?).abs())
    }

    async fn database_day(&self) -> Result<NaiveDate, Error> {
        Ok(self.database_time().await?.date_naive())
    }

    async fn database_time(&self) -> Result<DateTime<Utc>, Error> {
        let read = |tx: Tx| async move {
            let row = tx.row("SELECT now()", []).await?;
            row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?.try_get_by_index(0)
        };
        Ok(self.db.engine.transaction::<_, _, DbErr, _>("time", read).await?)
    }

    /// Drops partitions of messages that are older than they are kept, with their states and what refers to them, and then those of events
    /// that are told up to a position. What is not over yet stays, and is looked at again the next time.
    pub(crate) async fn drop_old(&self, before: DateTime<Utc>, told: Option<Position>) -> Result<(), Error> {
        for partition in self.old_partitions("messages", before).await? {
            if self.is_over(&partition).await? {
                self.forget_references(&partition).await?;
                let suffix = partition.suffix.clone();
                let drop = move |tx: Tx| async move {
                    let row = tx.row("SELECT queue.drop_messages($1, $2)", [suffix.into(), before.into()]).await?;
                    row.map_or(Ok(String::new()), |row| row.try_get_by_index(0))
                };
                log("messages", &partition, &self.db.engine.transaction::<_, _, DbErr, _>("drop messages", drop).await?);
            }
        }
        let Some(told) = told else { return Ok(()) };
        for partition in self.old_partitions("message_events", before).await? {
            let suffix = partition.suffix.clone();
            let drop = move |tx: Tx| async move {
                let values = [
                    suffix.into(),
                    before.into(),
                    told.generation.cast_signed().into(),
                    told.transaction.to_string().into(),
                    told.sequence.cast_signed().into(),
                ];
                let row = tx.row("SELECT queue.drop_events($1, $2, $3, $4::text::xid8, $5)", values).await?;
                row.map_or(Ok(String::new()), |row| row.try_get_by_index(0))
            };
            log("events", &partition, &self.db.engine.transaction::<_, _, DbErr, _>("drop events", drop).await?);
        }
        Ok(())
    }

    /// Partitions of a table that end before a time, oldest first.
    async fn old_partitions(&self, parent: &'static str, before: DateTime<Utc>) -> Result<Vec<Partition>, Error> {
        let read = move |tx: Tx| async move {
            let sql = "SELECT suffix, first, past FROM queue.partitions WHERE parent = $1 AND past <= $2 ORDER BY past";
            let rows = tx.rows(sql, [parent.into(), barid_db::first_id(before).into()]).await?;
            rows.iter()
                .map(|row| {
                    let first: Option<Uuid> = row.try_get_by_index(1)?;
                    Ok(Partition { suffix: row.try_get_by_index(0)?, first: first.unwrap_or_default(), past: row.try_get_by_index(2)? })
                })
                .collect()
        };
        Ok(self.db.engine.transaction::<_, _, DbErr, _>("old partitions", read).await?)
    }

    /// Whether every message of a partition has ended, as far as can be seen without holding any.
    async fn is_over(&self, partition: &Partition) -> Result<bool, Error> {
        let Partition { first, past, .. } = *partition;
        let read = move |tx: Tx| async move {
            let sql = "SELECT NOT EXISTS (SELECT FROM queue.message_state WHERE message_id >= $1 AND message_id < $2 AND state < 5)";
            tx.row(sql, [first.into(), past.into()]).await?.map_or(Ok(false), |row| row.try_get_by_index(0))
        };
        Ok(self.db.engine.transaction::<_, _, DbErr, _>("is over", read).await?)
    }

    async fn forget_references(&self, partition: &Partition) -> Result<(), Error> {
        let Partition { first, past, .. } = *partition;
        for table in REFERRING {
            let mut gone = 1;
            while gone > 0 {
                let delete = move |tx: Tx| async move {
                    let sql = format!(
                        "DELETE FROM queue.{table} WHERE ctid = ANY(ARRAY(
                            SELECT ctid FROM queue.{table} WHERE message_id >= $1 AND message_id < $2 LIMIT $3 FOR UPDATE SKIP LOCKED))"
                    );
                    tx.run(sql, [first.into(), past.into(), TURN.into()]).await
                };
                gone = self.db.engine.transaction::<_, _, DbErr, _>("forget references", delete).await?;
            }
        }
        Ok(())
    }
}

fn log(what: &str, partition: &Partition, outcome: &str) {
    let suffix = partition.suffix.as_str();
    match outcome {
        "dropped" => tracing::info!(what, suffix, "a partition is older than it is kept and was dropped"),
        _ => tracing::info!(what, suffix, outcome, "a partition is older than it is kept and stays for now"),
    }
}
