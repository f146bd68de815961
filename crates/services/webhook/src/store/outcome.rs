//! Writes what came of an attempt: its delivery, its endpoint, and who in the line is next.

use std::time::Duration;

use barid_db::Tx;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;

use super::{Reason, State, Store, Taken, row, secrets::exchange_place};
use crate::{Error, exchange::Exchange, retry, verdict::Verdict};

/// A failure so long after the one before begins to count anew: between them nothing was tried that could have worked. Longer than the longest
/// that a repetition waits.
const APART: TimeDelta = TimeDelta::hours(24);

impl Store {
    /// Ends an attempt that began at `at`. Does nothing when the lease ran out and the delivery is somebody else's by now.
    pub(crate) async fn settle(
        &self,
        taken: Taken,
        at: DateTime<Utc>,
        exchange: Exchange,
        verdict: Verdict,
        patience: TimeDelta,
    ) -> Result<(), Error> {
        let key = self.vault.tenant(taken.tenant.uuid()).await?;
        let sealed = key.seal(exchange_place(taken.tenant, taken.delivery), &exchange.private());
        let (store, now, jitter) = (self.clone(), self.now(), rand::random::<f64>());
        let work = move |tx: Tx| async move {
            if !holds(&tx, &taken).await? {
                return Ok(false);
            }
            let number = taken.attempts + 1;
            log(&tx, &taken, number, at, &exchange, sealed).await?;
            let again = match verdict {
                Verdict::Failed { asked } => retry::next(number, jitter, asked),
                Verdict::Delivered | Verdict::Gone => None,
            };
            let state = match verdict {
                Verdict::Delivered => row::State::Delivered,
                Verdict::Failed { .. } if again.is_some() => row::State::Pending,
                Verdict::Failed { .. } | Verdict::Gone => row::State::Failed,
            };
            let due = again.map(|delay| now + within_calendar(delay));
            mark(&tx, &taken, number, &exchange, state, due, now).await?;
            match due {
                Some(due) => release(&tx, &taken, due).await?,
                None => next(&tx, &taken, now).await?,
            }
            let reason = match verdict {
                Verdict::Delivered => {
                    works(&tx, &taken).await?;
                    None
                }
                Verdict::Gone => Some(Reason::Gone),
                Verdict::Failed { .. } => {
                    let since = fails(&tx, &taken, now).await?;
                    since.is_some_and(|since| now - since >= patience).then_some(Reason::Failing)
                }
            };
            match reason {
                Some(reason) => store.disable(&tx, &taken, reason).await,
                None => Ok::<_, Error>(false),
            }
        };
        if self.db.engine.transaction("settle", work).await? {
            self.told.notify_one();
        }
        Ok(())
    }

    /// Disables the endpoint of a delivery, if it is there and enabled; whether it was.
    async fn disable(&self, tx: &Tx, taken: &Taken, reason: Reason) -> Result<bool, Error> {
        let sql = "SELECT FROM webhook.endpoints WHERE id = $1 AND state = 1 FOR UPDATE";
        let enabled = tx.row(sql, [taken.endpoint.uuid().into()]).await?.is_some();
        if enabled {
            tracing::warn!(tenant = %taken.tenant, endpoint = %taken.endpoint, reason = reason.name(), "a webhook endpoint is disabled");
            self.switch(tx, (taken.tenant, taken.endpoint), State::Disabled, Some(reason)).await?;
        }
        Ok(enabled)
    }
}

fn within_calendar(delay: Duration) -> TimeDelta {
    TimeDelta::from_std(delay).unwrap_or(APART)
}

/// Whether the line is still held by who took the delivery.
async fn holds(tx: &Tx, taken: &Taken) -> Result<bool, DbErr> {
    let sql = "SELECT FROM webhook.lines WHERE endpoint_id = $1 AND entity_id = $2 AND lease = $3 FOR UPDATE";
    Ok(tx.row(sql, [taken.endpoint.uuid().into(), taken.entity_id.clone().into(), taken.lease.into()]).await?.is_some())
}

async fn log(tx: &Tx, taken: &Taken, number: u32, at: DateTime<Utc>, exchange: &Exchange, sealed: Vec<u8>) -> Result<(), DbErr> {
    let sql = "INSERT INTO webhook.attempts (delivery_id, number, tenant_id, at, latency_ms, status, error, exchange)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = [
        taken.delivery.uuid().into(),
        number.cast_signed().into(),
        taken.tenant.uuid().into(),
        at.into(),
        i32::try_from(exchange.latency.as_millis()).unwrap_or(i32::MAX).into(),
        i32::from(exchange.status).into(),
        exchange.error.clone().into(),
        sealed.into(),
    ];
    tx.run(sql, values).await?;
    Ok(())
}

async fn mark(
    tx: &Tx,
    taken: &Taken,
    number: u32,
    exchange: &Exchange,
    state: row::State,
    due: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let sql = "UPDATE webhook.deliveries SET state = $2, attempts = $3, status = $4, error = $5, due_at = $6, ended_at = $7 WHERE id = $1";
    let ended = (state != row::State::Pending).then_some(now);
    let values = [
        taken.delivery.uuid().into(),
        (state as i16).into(),
        number.cast_signed().into(),
        i32::from(exchange.status).into(),
        exchange.error.clone().into(),
        due.into(),
        ended.into(),
    ];
    tx.run(sql, values).await?;
    Ok(())
}

/// Lets the line go until its first delivery is due again.
async fn release(tx: &Tx, taken: &Taken, due: DateTime<Utc>) -> Result<(), DbErr> {
    let sql = "UPDATE webhook.lines SET lease = NULL, due_at = $3 WHERE endpoint_id = $1 AND entity_id = $2";
    tx.run(sql, [taken.endpoint.uuid().into(), taken.entity_id.clone().into(), due.into()]).await?;
    Ok(())
}

/// Lets the next one of the line go, or ends the line.
async fn next(tx: &Tx, taken: &Taken, now: DateTime<Utc>) -> Result<(), DbErr> {
    let (endpoint, entity) = (taken.endpoint.uuid(), taken.entity_id.clone());
    let sql = "SELECT FROM webhook.deliveries WHERE endpoint_id = $1 AND entity_id = $2 AND state = 1 LIMIT 1";
    if tx.row(sql, [endpoint.into(), entity.clone().into()]).await?.is_some() {
        return release(tx, taken, now).await;
    }
    tx.run("DELETE FROM webhook.lines WHERE endpoint_id = $1 AND entity_id = $2", [endpoint.into(), entity.into()]).await?;
    Ok(())
}

async fn works(tx: &Tx, taken: &Taken) -> Result<(), DbErr> {
    let sql = "UPDATE webhook.endpoints SET failing_since = NULL, last_failed_at = NULL WHERE id = $1 AND failing_since IS NOT NULL";
    tx.run(sql, [taken.endpoint.uuid().into()]).await?;
    Ok(())
}

/// Notes a failure; since when there were nothing but failures.
async fn fails(tx: &Tx, taken: &Taken, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbErr> {
    let sql = "UPDATE webhook.endpoints SET last_failed_at = $2,
                    failing_since = CASE WHEN failing_since IS NULL OR last_failed_at < $3 THEN $2 ELSE failing_since END
               WHERE id = $1 RETURNING failing_since";
    let row = tx.row(sql, [taken.endpoint.uuid().into(), now.into(), (now - APART).into()]).await?;
    row.map_or(Ok(None), |row| row.try_get_by_index(0))
}
