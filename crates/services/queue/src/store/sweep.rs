//! What time does to messages: they expire, are doubted, are given up; keys and parked receipts are forgotten.

use barid_db::Tx;
use barid_domain::{MessageId, SessionId};
use chrono::TimeDelta;
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::{Change, Store, apply};
use crate::{Error, state::Fact};

/// Messages in one turn.
const TURN: i64 = 500;
/// Keys forgotten in one commit.
const FORGOTTEN: u64 = 5000;
/// How long idempotency keys are kept.
const KEYS_KEPT: TimeDelta = TimeDelta::days(7);
/// How long receipts of unknown messages are kept.
const PARKED_KEPT: TimeDelta = TimeDelta::days(7);

impl Store {
    /// Ends what was not sent in time. What went out once, and could not go out again to make sure, may have arrived.
    pub(crate) async fn expire(&self) -> Result<usize, Error> {
        let now = self.now();
        // Whatever it waits for: its session, its next attempt, or its time.
        let late = "(SELECT message_id, repeat FROM queue.ready WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
                    UNION ALL (SELECT message_id, false FROM queue.scheduled WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let end = move |row: &QueryResult| {
            let (fact, reason) = if row.try_get_by_index(1)? { (Fact::GivenUp, "outcome_unknown") } else { (Fact::Expired, "expired") };
            ended(row, fact, reason, now)
        };
        self.sweep("expire", late, vec![now.into(), TURN.into()], end).await
    }

    /// What was claimed long ago without an outcome may be on the wire: it becomes uncertain, and where that shows once goes out again.
    pub(crate) async fn doubt(&self, older_than: TimeDelta) -> Result<usize, Error> {
        let (store, now) = (self.clone(), self.now());
        let work = move |tx: Tx| async move {
            // One by one, each in the partition of its day.
            let sql = "SELECT f.message_id, s.attempt FROM queue.in_flight f
                       CROSS JOIN LATERAL (SELECT s.attempt FROM queue.message_state s WHERE s.message_id = f.message_id AND s.state = 3 OFFSET 0) s
                       WHERE f.claimed_at <= $1 ORDER BY f.message_id LIMIT $2";
            let rows = tx.rows(sql, [(now - older_than).into(), TURN.into()]).await?;
            let changes = rows.iter().map(|row| {
                let (message, attempt) = (MessageId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i32>(1)?.cast_unsigned());
                Ok(Change { reason: "owner_lost".to_owned(), ..Change::new(message, Fact::Uncertain { attempt }, now) })
            });
            let changes: Vec<Change> = changes.collect::<Result<_, DbErr>>()?;
            let count = changes.len();
            apply::apply(&store, &tx, changes).await?;
            Ok::<_, Error>(count)
        };
        let doubted = self.db.engine.transaction("doubt", work).await?;
        if doubted > 0 {
            self.committed(true).await;
        }
        Ok(doubted)
    }

    /// Gives up what stayed uncertain. It is not sent twice by itself.
    pub(crate) async fn give_up(&self, older_than: TimeDelta) -> Result<usize, Error> {
        let now = self.now();
        let late = "SELECT f.message_id FROM queue.in_flight f
                    CROSS JOIN LATERAL (SELECT FROM queue.message_state s WHERE s.message_id = f.message_id AND s.state = 4 OFFSET 0) s
                    WHERE f.claimed_at <= $1 ORDER BY f.message_id LIMIT $2";
        let end = move |row: &QueryResult| ended(row, Fact::GivenUp, "outcome_unknown", now);
        self.sweep("give up", late, vec![(now - older_than).into(), TURN.into()], end).await
    }

    /// Forgets keys and parked receipts that are older than they are kept.
    pub(crate) async fn forget(&self) -> Result<(), Error> {
        let now = self.now();
        let mut gone = FORGOTTEN;
        while gone == FORGOTTEN {
            let keys = move |tx: Tx| async move {
                let sql = "DELETE FROM queue.idempotency_keys WHERE (tenant_id, key) IN
                           (SELECT tenant_id, key FROM queue.idempotency_keys WHERE created_at < $1 LIMIT $2)";
                tx.run(sql, [(now - KEYS_KEPT).into(), FORGOTTEN.cast_signed().into()]).await
            };
            gone = self.db.engine.transaction::<_, _, DbErr, _>("forget keys", keys).await?;
        }
        let work = move |tx: Tx| async move {
            let jobs = "UPDATE queue.jobs SET idempotency_key = NULL WHERE idempotency_key IS NOT NULL AND created_at < $1";
            tx.run(jobs, [(now - KEYS_KEPT).into()]).await?;
            tx.run("DELETE FROM queue.parked_receipts WHERE parked_at < $1", [(now - PARKED_KEPT).into()]).await?;
            Ok::<_, Error>(())
        };
        self.db.engine.transaction("forget", work).await
    }

    /// Ends everything that waits for sessions that are gone, inside the transaction of who noticed.
    pub(crate) async fn fail_sessions(&self, tx: &Tx, sessions: Vec<SessionId>) -> Result<(), DbErr> {
        if sessions.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let ids: Vec<Uuid> = sessions.into_iter().map(SessionId::uuid).collect();
        let sql = "SELECT message_id FROM queue.ready WHERE session_id = ANY($1)
                   UNION ALL SELECT s.message_id FROM queue.scheduled s JOIN queue.messages m ON m.id = s.message_id WHERE m.session_id = ANY($1)";
        let changes = tx
            .rows(sql, [ids.into()])
            .await?
            .iter()
            .map(|row| ended(row, Fact::GivenUp, "session_deleted", now))
            .collect::<Result<_, _>>()?;
        apply::apply(self, tx, changes).await?;
        Ok(())
    }

    async fn sweep(
        &self,
        job: &'static str,
        sql: &'static str,
        values: Vec<sea_orm::Value>,
        end: impl Fn(&QueryResult) -> Result<Change, DbErr> + Send + 'static,
    ) -> Result<usize, Error> {
        let store = self.clone();
        let work = move |tx: Tx| async move {
            let changes = tx.rows(sql, values).await?.iter().map(end).collect::<Result<Vec<_>, _>>()?;
            let count = changes.len();
            apply::apply(&store, &tx, changes).await?;
            Ok::<_, Error>(count)
        };
        let swept = self.db.engine.transaction(job, work).await?;
        if swept > 0 {
            self.committed(false).await;
        }
        Ok(swept)
    }
}

fn ended(row: &QueryResult, fact: Fact, reason: &str, now: chrono::DateTime<chrono::Utc>) -> Result<Change, DbErr> {
    Ok(Change { reason: reason.to_owned(), ..Change::new(MessageId::from_uuid(row.try_get_by_index(0)?), fact, now) })
}
