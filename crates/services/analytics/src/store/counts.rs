//! Writes tables `counts` and `freshness`, with the consumer's place in the same commit.

use barid_bus::{Applied, Checkpoint};
use barid_db::Tx;
use barid_domain::TenantId;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{SCHEMA, Store};
use crate::{Error, tally::Tally};

impl Store {
    pub(crate) async fn checkpoint(&self, consumer: &'static str) -> Result<Checkpoint, Error> {
        self.db.engine.transaction("checkpoint", move |tx| async move { Ok(barid_db::checkpoint(&tx, SCHEMA, consumer).await?) }).await
    }

    /// Adds a tally, if the consumer still stands where it began.
    pub(crate) async fn count(&self, consumer: &'static str, tally: Tally, from: Checkpoint, to: Checkpoint) -> Result<Applied, Error> {
        let work = move |tx: Tx| async move {
            if !barid_db::advance(&tx, SCHEMA, consumer, from, to).await? {
                return Ok::<_, DbErr>(Applied::Overtaken);
            }
            add(&tx, &tally).await?;
            freshen(&tx, &tally).await?;
            Ok(Applied::Done)
        };
        Ok(self.db.engine.transaction("count", work).await?)
    }
}

async fn add(tx: &Tx, tally: &Tally) -> Result<(), DbErr> {
    if tally.counts.is_empty() {
        return Ok(());
    }
    let keys = || tally.counts.keys();
    let values = [
        keys().map(|key| key.tenant.uuid()).collect::<Vec<_>>().into(),
        keys().map(|key| key.quarter).collect::<Vec<_>>().into(),
        keys().map(|key| key.state.to_owned()).collect::<Vec<_>>().into(),
        keys().map(|key| key.template.clone()).collect::<Vec<_>>().into(),
        tally.counts.values().copied().collect::<Vec<i64>>().into(),
    ];
    tx.run(
        "INSERT INTO analytics.counts AS c (tenant_id, quarter, state, template, messages)
         SELECT * FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[])
         ON CONFLICT (tenant_id, quarter, state, template) DO UPDATE SET messages = c.messages + excluded.messages",
        values,
    )
    .await?;
    Ok(())
}

async fn freshen(tx: &Tx, tally: &Tally) -> Result<(), DbErr> {
    if tally.newest.is_empty() {
        return Ok(());
    }
    let values = [
        tally.newest.keys().copied().map(TenantId::uuid).collect::<Vec<_>>().into(),
        tally.newest.values().copied().collect::<Vec<DateTime<Utc>>>().into(),
    ];
    tx.run(
        "INSERT INTO analytics.freshness AS f (tenant_id, as_of) SELECT * FROM UNNEST($1::uuid[], $2::timestamptz[])
         ON CONFLICT (tenant_id) DO UPDATE SET as_of = greatest(f.as_of, excluded.as_of)",
        values,
    )
    .await?;
    Ok(())
}
