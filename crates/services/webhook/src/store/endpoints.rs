//! Table `endpoints`, as its tenants see it.

use barid_db::Tx;
use barid_domain::{EndpointId, TenantId};
use barid_proto::{
    fault, timestamp,
    webhook::v1::{Endpoint, EndpointState},
};
use barid_vault::TenantKey;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DbErr, QueryResult, Value};
use tonic::Code;

use super::{
    Store,
    secrets::{Sealed, secret_place, url_place},
};
use crate::{Error, carrier::Parcel, registration::Registration, signature::Secret};

/// Endpoints of one tenant.
const MOST: i64 = 20;
/// How long the secret before the newest signs too.
const OVERLAP: TimeDelta = TimeDelta::hours(24);

/// Whether anything is sent to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Enabled = 1,
    Disabled = 2,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        if self == Self::Enabled { "enabled" } else { "disabled" }
    }

    fn from_number(number: i16) -> Self {
        if number == Self::Enabled as i16 { Self::Enabled } else { Self::Disabled }
    }
}

/// Why an endpoint is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Requested,
    Gone,
    Failing,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

const COLUMNS: &str = "id, tenant_id, display_name, url, event_types, state, state_reason, secret, old_secret, old_secret_until, failing_since, \
                       created_at, updated_at";

impl Store {
    /// Its secret is in the answer, and in no later one.
    pub(crate) async fn create_endpoint(&self, tenant: TenantId, new: Registration) -> Result<Endpoint, Error> {
        let (id, secret, now): (EndpointId, _, _) = (self.mint(), Secret::generate(), self.now());
        let key = self.vault.tenant(tenant.uuid()).await?;
        let values: Vec<Value> = vec![
            id.uuid().into(),
            tenant.uuid().into(),
            new.display_name.into(),
            key.seal(url_place(tenant, id), new.url.as_bytes()).into(),
            new.event_types.into(),
            (State::Enabled as i16).into(),
            key.seal(secret_place(tenant, id), secret.bytes()).into(),
            now.into(),
        ];
        let (store, opened) = (self.clone(), key.clone());
        let insert = move |tx: Tx| async move {
            // One after the other, so that the count holds.
            tx.run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [format!("webhook endpoints of {tenant}").into()]).await?;
            let count = tx.row("SELECT count(*) FROM webhook.endpoints WHERE tenant_id = $1", [tenant.uuid().into()]).await?;
            if count.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))? >= MOST {
                let says = format!("a tenant has at most {MOST} webhook endpoints; delete one that is not needed");
                return Err(fault(Code::ResourceExhausted, "TOO_MANY_ENDPOINTS", says).into());
            }
            let sql = format!(
                "INSERT INTO webhook.endpoints (id, tenant_id, display_name, url, event_types, state, state_reason, secret, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, $8) RETURNING {COLUMNS}"
            );
            let row = tx.row(sql, values).await?.ok_or_else(|| DbErr::RecordNotInserted)?;
            store.tell(&tx, (tenant, id), "created", State::Enabled, None).await?;
            to_proto(&row, &opened, now)
        };
        let endpoint = self.db.tenant.transaction(tenant, insert).await?;
        self.told.notify_one();
        Ok(Endpoint { secret: secret.text(), ..endpoint })
    }

    pub(crate) async fn endpoint(&self, tenant: TenantId, id: EndpointId) -> Result<Endpoint, Error> {
        let (key, now) = (self.vault.tenant(tenant.uuid()).await?, self.now());
        let read = move |tx: Tx| async move { to_proto(&find(&tx, tenant, id, "").await?, &key, now) };
        self.db.tenant.transaction(tenant, read).await
    }

    /// Endpoints of a tenant, oldest first.
    pub(crate) async fn endpoints(&self, tenant: TenantId) -> Result<Vec<Endpoint>, Error> {
        let (key, now) = (self.vault.tenant(tenant.uuid()).await?, self.now());
        let list = move |tx: Tx| async move {
            let sql = format!("SELECT {COLUMNS} FROM webhook.endpoints WHERE tenant_id = $1 ORDER BY id");
            tx.rows(sql, [tenant.uuid().into()]).await?.iter().map(|row| to_proto(row, &key, now)).collect::<Result<Vec<_>, Error>>()
        };
        self.db.tenant.transaction(tenant, list).await
    }

    /// Changes an endpoint under its row lock. At another address its failures are forgotten.
    pub(crate) async fn update_endpoint<F>(&self, tenant: TenantId, id: EndpointId, change: F) -> Result<Endpoint, Error>
    where
        F: FnOnce(Endpoint) -> Result<Registration, Error> + Send + 'static,
    {
        let (store, key, now) = (self.clone(), self.vault.tenant(tenant.uuid()).await?, self.now());
        let update = move |tx: Tx| async move {
            let before = to_proto(&find(&tx, tenant, id, "FOR UPDATE").await?, &key, now)?;
            let state = if before.state() == EndpointState::Enabled { State::Enabled } else { State::Disabled };
            let was = before.url.clone();
            let new = change(before)?;
            let values: Vec<Value> = vec![
                id.uuid().into(),
                new.display_name.into(),
                key.seal(url_place(tenant, id), new.url.as_bytes()).into(),
                new.event_types.into(),
                (new.url != was).into(),
                now.into(),
            ];
            let sql = format!(
                "UPDATE webhook.endpoints SET display_name = $2, url = $3, event_types = $4, updated_at = $6,
                    failing_since = CASE WHEN $5 THEN NULL ELSE failing_since END,
                    last_failed_at = CASE WHEN $5 THEN NULL ELSE last_failed_at END
                 WHERE id = $1 RETURNING {COLUMNS}"
            );
            let row = tx.row(sql, values).await?.ok_or_else(|| Error::not_found("webhook endpoint", id))?;
            store.tell(&tx, (tenant, id), "updated", state, reason(&row)?).await?;
            to_proto(&row, &key, now)
        };
        let endpoint = self.db.tenant.transaction(tenant, update).await?;
        self.told.notify_one();
        Ok(endpoint)
    }

    pub(crate) async fn delete_endpoint(&self, tenant: TenantId, id: EndpointId) -> Result<(), Error> {
        let store = self.clone();
        let delete = move |tx: Tx| async move {
            let gone = tx.run("DELETE FROM webhook.endpoints WHERE id = $1 AND tenant_id = $2", [id.uuid().into(), tenant.uuid().into()]);
            if gone.await? == 0 {
                return Err(Error::not_found("webhook endpoint", id));
            }
            store.tell(&tx, (tenant, id), "deleted", State::Disabled, None).await?;
            Ok(())
        };
        self.db.tenant.transaction(tenant, delete).await?;
        self.told.notify_one();
        Ok(())
    }

    /// Gives an endpoint a new secret, which is in the answer and in no later one; the one before goes on signing for a while.
    pub(crate) async fn rotate_secret(&self, tenant: TenantId, id: EndpointId) -> Result<Endpoint, Error> {
        let (store, key, now, secret) = (self.clone(), self.vault.tenant(tenant.uuid()).await?, self.now(), Secret::generate());
        let sealed = key.seal(secret_place(tenant, id), secret.bytes());
        let rotate = move |tx: Tx| async move {
            find(&tx, tenant, id, "FOR UPDATE").await?;
            let sql = format!(
                "UPDATE webhook.endpoints SET old_secret = secret, old_secret_until = $3, secret = $2, updated_at = $4
                 WHERE id = $1 RETURNING {COLUMNS}"
            );
            let values = [id.uuid().into(), sealed.into(), (now + OVERLAP).into(), now.into()];
            let row = tx.row(sql, values).await?.ok_or_else(|| Error::not_found("webhook endpoint", id))?;
            store.tell(&tx, (tenant, id), "rotated", state(&row)?, reason(&row)?).await?;
            to_proto(&row, &key, now)
        };
        let endpoint = self.db.tenant.transaction(tenant, rotate).await?;
        self.told.notify_one();
        Ok(Endpoint { secret: secret.text(), ..endpoint })
    }

    /// Enables an endpoint, or disables it at its tenant's wish.
    pub(crate) async fn set_endpoint(&self, tenant: TenantId, id: EndpointId, wanted: State) -> Result<Endpoint, Error> {
        let (store, key, now) = (self.clone(), self.vault.tenant(tenant.uuid()).await?, self.now());
        let set = move |tx: Tx| async move {
            let row = find(&tx, tenant, id, "FOR UPDATE").await?;
            if state(&row)? == wanted {
                return to_proto(&row, &key, now);
            }
            let reason = (wanted == State::Disabled).then_some(Reason::Requested);
            let row = store.switch(&tx, (tenant, id), wanted, reason).await?;
            to_proto(&row, &key, now)
        };
        let endpoint = self.db.tenant.transaction(tenant, set).await?;
        self.told.notify_one();
        self.waiting.notify_one();
        Ok(endpoint)
    }

    /// Enables or disables an endpoint whose row is held, and tells it.
    pub(super) async fn switch(
        &self,
        tx: &Tx,
        (tenant, id): (TenantId, EndpointId),
        wanted: State,
        reason: Option<Reason>,
    ) -> Result<QueryResult, Error> {
        let sql = format!(
            "UPDATE webhook.endpoints SET state = $2, state_reason = $3, updated_at = $4,
                failing_since = CASE WHEN $2 = 1 THEN NULL ELSE failing_since END,
                last_failed_at = CASE WHEN $2 = 1 THEN NULL ELSE last_failed_at END
             WHERE id = $1 RETURNING {COLUMNS}"
        );
        let values = [id.uuid().into(), (wanted as i16).into(), reason.map_or("", Reason::name).into(), self.now().into()];
        let row = tx.row(sql, values).await?.ok_or_else(|| Error::not_found("webhook endpoint", id))?;
        self.tell(tx, (tenant, id), wanted.name(), wanted, reason).await?;
        Ok(row)
    }

    /// What carries a body to an endpoint, whatever its state.
    pub(crate) async fn parcel(&self, tenant: TenantId, id: EndpointId, event_id: String, body: String) -> Result<Parcel, Error> {
        let (key, now) = (self.vault.tenant(tenant.uuid()).await?, self.now());
        let read = move |tx: Tx| async move { Ok::<_, Error>(sealed(&find(&tx, tenant, id, "").await?)?) };
        let (url, secrets) = self.db.tenant.transaction(tenant, read).await?.open(&key, now)?;
        Ok(Parcel { url, secrets, event_id, body })
    }
}

async fn find(tx: &Tx, tenant: TenantId, id: EndpointId, lock: &str) -> Result<QueryResult, Error> {
    let sql = format!("SELECT {COLUMNS} FROM webhook.endpoints WHERE id = $1 AND tenant_id = $2 {lock}");
    tx.row(sql, [id.uuid().into(), tenant.uuid().into()]).await?.ok_or_else(|| Error::not_found("webhook endpoint", id))
}

fn state(row: &QueryResult) -> Result<State, DbErr> {
    Ok(State::from_number(row.try_get("", "state")?))
}

fn reason(row: &QueryResult) -> Result<Option<Reason>, DbErr> {
    let name: String = row.try_get("", "state_reason")?;
    Ok([Reason::Requested, Reason::Gone, Reason::Failing].into_iter().find(|reason| reason.name() == name))
}

fn sealed(row: &QueryResult) -> Result<Sealed, DbErr> {
    Ok(Sealed {
        tenant: TenantId::from_uuid(row.try_get("", "tenant_id")?),
        endpoint: EndpointId::from_uuid(row.try_get("", "id")?),
        url: row.try_get("", "url")?,
        secret: row.try_get("", "secret")?,
        old_secret: row.try_get("", "old_secret")?,
        old_secret_until: row.try_get("", "old_secret_until")?,
    })
}

/// What callers see. No secret is among it.
fn to_proto(row: &QueryResult, key: &TenantKey, now: DateTime<Utc>) -> Result<Endpoint, Error> {
    let sealed = sealed(row)?;
    let time = |column: &str| row.try_get::<Option<DateTime<Utc>>>("", column);
    Ok(Endpoint {
        id: sealed.endpoint.to_string(),
        tenant_id: sealed.tenant.to_string(),
        display_name: row.try_get("", "display_name")?,
        url: sealed.open(key, now)?.0,
        event_types: row.try_get("", "event_types")?,
        state: match state(row)? {
            State::Enabled => EndpointState::Enabled,
            State::Disabled => EndpointState::Disabled,
        }
        .into(),
        state_reason: row.try_get("", "state_reason")?,
        secret: String::new(),
        old_secret_expire_time: sealed.old_secret_until.filter(|until| now < *until).map(timestamp),
        failing_since: time("failing_since")?.map(timestamp),
        create_time: time("created_at")?.map(timestamp),
        update_time: time("updated_at")?.map(timestamp),
    })
}
