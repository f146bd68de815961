//! The delivery log, as tenants see it.

use barid_db::Tx;
use barid_domain::{DeliveryId, EndpointId, EventId, TenantId};
use barid_proto::{
    timestamp,
    webhook::v1::{Attempt, Delivery},
};
use barid_vault::TenantKey;
use chrono::{DateTime, Utc};
use sea_orm::{QueryResult, Value};

use super::{Store, row, secrets::exchange_place};
use crate::{
    Error,
    exchange::{Exchange, Private},
};

/// Which deliveries are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub endpoint: Option<EndpointId>,
    /// As in `DeliveryState`.
    pub state: Option<i16>,
    pub entity_id: Option<String>,
    pub after: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
    /// Older than this one.
    pub page: Option<DeliveryId>,
}

/// A delivery that was tried once, outside of any line.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub endpoint: EndpointId,
    pub event: EventId,
    pub event_type: &'static str,
    pub body: String,
    pub at: DateTime<Utc>,
    pub delivered: bool,
    pub exchange: Exchange,
}

impl Store {
    /// Deliveries without bodies and attempts, newest first, one more than `size` when there are more.
    pub(crate) async fn deliveries(&self, tenant: TenantId, filter: Filter, size: u64) -> Result<Vec<Delivery>, Error> {
        let list = move |tx: Tx| async move {
            let mut conditions = vec!["tenant_id = $1".to_owned()];
            let mut values: Vec<Value> = vec![tenant.uuid().into()];
            let mut add = |condition: &str, value: Option<Value>| {
                if let Some(value) = value {
                    values.push(value);
                    conditions.push(format!("{condition} ${}", values.len()));
                }
            };
            add("endpoint_id =", filter.endpoint.map(|id| id.uuid().into()));
            add("state =", filter.state.map(Into::into));
            add("entity_id =", filter.entity_id.map(Into::into));
            add("created_at >=", filter.after.map(Into::into));
            add("created_at <", filter.before.map(Into::into));
            add("id <", filter.page.map(|id| id.uuid().into()));
            let (columns, conditions) = (row::COLUMNS, conditions.join(" AND "));
            let sql = format!("SELECT {columns} FROM webhook.deliveries WHERE {conditions} ORDER BY id DESC LIMIT {}", size + 1);
            tx.rows(sql, values).await?.iter().map(|row| Ok(row::to_proto(row)?)).collect::<Result<Vec<_>, Error>>()
        };
        self.db.tenant.transaction(tenant, list).await
    }

    /// A delivery with its body and every attempt.
    pub(crate) async fn delivery(&self, tenant: TenantId, id: DeliveryId) -> Result<Delivery, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let read = move |tx: Tx| async move {
            let sql = format!("SELECT {}, body FROM webhook.deliveries WHERE id = $1 AND tenant_id = $2", row::COLUMNS);
            let found = tx.row(sql, [id.uuid().into(), tenant.uuid().into()]).await?;
            let found = found.ok_or_else(|| Error::not_found("webhook delivery", id))?;
            let sql = "SELECT number, at, latency_ms, status, error, exchange FROM webhook.attempts WHERE delivery_id = $1 ORDER BY number";
            let attempts = tx.rows(sql, [id.uuid().into()]).await?;
            let attempts = attempts.iter().map(|row| attempt(row, &key, tenant, id)).collect::<Result<Vec<_>, Error>>()?;
            Ok(Delivery { body: found.try_get("", "body")?, attempts, ..row::to_proto(&found)? })
        };
        self.db.tenant.transaction(tenant, read).await
    }

    /// Writes a delivery that is over already, and gives it back as it stands in the log.
    pub(crate) async fn log_trial(&self, tenant: TenantId, trial: Trial) -> Result<Delivery, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let id: DeliveryId = self.mint();
        let sealed = key.seal(exchange_place(tenant, id), &trial.exchange.private());
        let now = self.now();
        let write = move |tx: Tx| async move {
            let state = if trial.delivered { row::State::Delivered } else { row::State::Failed };
            let sql = "INSERT INTO webhook.deliveries
                            (id, tenant_id, endpoint_id, event_id, event_type, entity_id, body, state, attempts, status, error, created_at, ended_at)
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $11, $12)";
            let values: Vec<Value> = vec![
                id.uuid().into(),
                tenant.uuid().into(),
                trial.endpoint.uuid().into(),
                trial.event.uuid().into(),
                trial.event_type.into(),
                trial.endpoint.to_string().into(),
                trial.body.into(),
                (state as i16).into(),
                i32::from(trial.exchange.status).into(),
                trial.exchange.error.clone().into(),
                trial.at.into(),
                now.into(),
            ];
            tx.run(sql, values).await?;
            let sql = "INSERT INTO webhook.attempts (delivery_id, number, tenant_id, at, latency_ms, status, error, exchange)
                       VALUES ($1, 1, $2, $3, $4, $5, $6, $7)";
            let values: Vec<Value> = vec![
                id.uuid().into(),
                tenant.uuid().into(),
                trial.at.into(),
                i32::try_from(trial.exchange.latency.as_millis()).unwrap_or(i32::MAX).into(),
                i32::from(trial.exchange.status).into(),
                trial.exchange.error.into(),
                sealed.into(),
            ];
            tx.run(sql, values).await?;
            Ok::<_, Error>(())
        };
        self.db.tenant.transaction(tenant, write).await?;
        self.delivery(tenant, id).await
    }
}

fn attempt(row: &QueryResult, key: &TenantKey, tenant: TenantId, delivery: DeliveryId) -> Result<Attempt, Error> {
    let sealed: Vec<u8> = row.try_get("", "exchange")?;
    let private: Private = serde_json::from_slice(&key.open(exchange_place(tenant, delivery), &sealed)?).unwrap_or_default();
    let latency = i64::from(row.try_get::<i32>("", "latency_ms")?);
    Ok(Attempt {
        number: row.try_get::<i32>("", "number")?.cast_unsigned(),
        time: Some(timestamp(row.try_get("", "at")?)),
        latency: Some(prost_types::Duration { seconds: latency / 1000, nanos: i32::try_from(latency % 1000 * 1_000_000).unwrap_or(0) }),
        status: row.try_get::<i32>("", "status")?.cast_unsigned(),
        error: row.try_get("", "error")?,
        url: private.url,
        request_headers: private.request_headers.into_iter().collect(),
        response_headers: joined(private.response_headers),
        response_body: private.response_body,
    })
}

/// Headers that come more than once, such as `set-cookie`, as one with all values.
fn joined(headers: Vec<(String, String)>) -> std::collections::BTreeMap<String, String> {
    let mut joined = std::collections::BTreeMap::<String, String>::new();
    for (name, value) in headers {
        joined.entry(name).and_modify(|known| *known = format!("{known}, {value}")).or_insert(value);
    }
    joined
}
