//! Has deliveries made again: new ones with the same event and the same body, at the end of their lines.

use barid_db::Tx;
use barid_domain::{DeliveryId, EndpointId, EventId, TenantId};
use barid_proto::{fault, status::not_found};
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, QueryResult, Value};
use tonic::Code;
use uuid::Uuid;

use super::{
    State, Store,
    enqueue::{New, put},
    row,
};
use crate::Error;

/// Most of a stretch of time in one call.
const MOST: usize = 1000;

/// A stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub after: DateTime<Utc>,
    pub before: Option<DateTime<Utc>>,
    /// As in `DeliveryState`; never pending.
    pub states: Vec<i16>,
    /// Where the call before ended.
    pub page: Option<DeliveryId>,
}

impl Store {
    /// Delivers the ones that are named again, in the order in which they were made; how many they are.
    pub(crate) async fn redeliver(&self, tenant: TenantId, endpoint: EndpointId, ids: Vec<DeliveryId>) -> Result<usize, Error> {
        let (store, now) = (self.clone(), self.now());
        let work = move |tx: Tx| async move {
            enabled(&tx, tenant, endpoint).await?;
            let wanted: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
            let sql = "SELECT id, event_id, event_type, entity_id, body, state FROM webhook.deliveries
                       WHERE tenant_id = $1 AND endpoint_id = $2 AND id = ANY($3) ORDER BY id";
            let rows = tx.rows(sql, [tenant.uuid().into(), endpoint.uuid().into(), wanted.into()]).await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in &rows {
                let id = DeliveryId::from_uuid(row.try_get("", "id")?);
                if row.try_get::<i16>("", "state")? == row::State::Pending as i16 {
                    let says = format!("{id} still waits for its next attempt; it can be delivered again once it has ended");
                    return Err(fault(Code::FailedPrecondition, "DELIVERY_PENDING", says).into());
                }
                found.push(id);
            }
            if let Some(missing) = ids.iter().find(|id| !found.contains(id)) {
                return Err(not_found("webhook delivery", &missing.to_string()).into());
            }
            let new = rows.iter().map(|row| store.again(row, tenant, endpoint)).collect::<Result<Vec<_>, DbErr>>()?;
            let count = new.len();
            put(&tx, new, now).await?;
            Ok::<_, Error>(count)
        };
        let count = self.db.tenant.transaction(tenant, work).await?;
        self.waiting.notify_one();
        Ok(count)
    }

    /// The same for a stretch of time: how many they are, and where the next call goes on when there are more.
    pub(crate) async fn redeliver_range(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        range: Range,
    ) -> Result<(usize, Option<DeliveryId>), Error> {
        let (store, now) = (self.clone(), self.now());
        let work = move |tx: Tx| async move {
            enabled(&tx, tenant, endpoint).await?;
            let before = range.before.map_or(now, |before| before.min(now));
            // Ids rise with time: what the clocks of replicas may differ by is looked at in vain.
            let from = range.page.map_or(barid_db::first_id(range.after - barid_db::APART), DeliveryId::uuid);
            let sql = format!(
                "SELECT id, event_id, event_type, entity_id, body FROM webhook.deliveries
                 WHERE tenant_id = $1 AND endpoint_id = $2 AND id > $3 AND created_at >= $4 AND created_at < $5 AND state = ANY($6)
                    AND event_type <> 'webhook.test'
                 ORDER BY id LIMIT {}",
                MOST + 1
            );
            let values: Vec<Value> =
                vec![tenant.uuid().into(), endpoint.uuid().into(), from.into(), range.after.into(), before.into(), range.states.into()];
            let mut rows = tx.rows(sql, values).await?;
            let more = rows.len() > MOST;
            rows.truncate(MOST);
            let last = rows.last().filter(|_| more).map(|row| row.try_get("", "id").map(DeliveryId::from_uuid)).transpose()?;
            let new = rows.iter().map(|row| store.again(row, tenant, endpoint)).collect::<Result<Vec<_>, DbErr>>()?;
            let count = new.len();
            put(&tx, new, now).await?;
            Ok::<_, Error>((count, last))
        };
        let done = self.db.tenant.transaction(tenant, work).await?;
        self.waiting.notify_one();
        Ok(done)
    }

    fn again(&self, row: &QueryResult, tenant: TenantId, endpoint: EndpointId) -> Result<New, DbErr> {
        Ok(New {
            id: self.mint(),
            tenant,
            endpoint,
            event: EventId::from_uuid(row.try_get("", "event_id")?),
            event_type: row.try_get("", "event_type")?,
            entity_id: row.try_get("", "entity_id")?,
            body: row.try_get("", "body")?,
            state: row::State::Pending,
        })
    }
}

/// Sees that there is an endpoint that takes something. It is not held: who ends an attempt holds a line before the endpoint, and what is put
/// into lines of one that is disabled at this moment is skipped.
async fn enabled(tx: &Tx, tenant: TenantId, endpoint: EndpointId) -> Result<(), Error> {
    let sql = "SELECT state FROM webhook.endpoints WHERE id = $1 AND tenant_id = $2";
    let row = tx.row(sql, [endpoint.uuid().into(), tenant.uuid().into()]).await?;
    let row = row.ok_or_else(|| Error::not_found("webhook endpoint", endpoint))?;
    if row.try_get_by_index::<i16>(0)? != State::Enabled as i16 {
        let says = "the endpoint is disabled; enable it before anything is delivered to it again";
        return Err(fault(Code::FailedPrecondition, "ENDPOINT_DISABLED", says).into());
    }
    Ok(())
}
