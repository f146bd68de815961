//! Table `sessions`, as its tenants see it.

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    session_pool::v1::{CloudConnector, Session, SessionState, WebConnector, session::Connector},
    timestamp,
};
use barid_vault::TenantKey;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Set};

use super::{CLOUD, EVENTS, Store, WEB, credentials_place, entity::session, phone_place};
use crate::{
    Error,
    registration::{Line, Registration},
};

impl Store {
    pub(crate) async fn create_session(&self, tenant: TenantId, new: Registration, inactive: bool) -> Result<Session, Error> {
        let id: SessionId = self.ids.mint();
        let key = self.vault.tenant(tenant.uuid()).await?;
        let state = match (&new.connector, inactive) {
            (_, true) => SessionState::Inactive,
            (Line::Cloud(_), false) => SessionState::Cold,
            (Line::Web(_), false) => SessionState::LoggedOut,
        };
        let blank = session::Model {
            id: id.uuid(),
            tenant_id: tenant.uuid(),
            display_name: String::new(),
            phone: Vec::new(),
            app: String::new(),
            phone_number_id: String::new(),
            business_account_id: String::new(),
            portfolio_id: String::new(),
            credentials: Vec::new(),
            state: state as i16,
            state_reason: String::new(),
            resume_at: None,
            messages_per_minute: 0,
            last_used_at: None,
            created_at: self.clock.now(),
            deleted_at: None,
            connector: 0,
            device_name: String::new(),
            presence: false,
            pinned: false,
            history_days: 0,
            number_checks_per_day: 0,
            linked_at: None,
            visited_at: None,
        };
        let row = write(blank, new, &key);
        let event = self.event(tenant, id, "created", state, "");
        let insert = move |tx: Tx| async move {
            let row = row.into_active_model().insert(&*tx).await?;
            barid_db::append(&tx, EVENTS, vec![event]).await?;
            to_proto(row, &key)
        };
        let session = self.db.tenant.transaction(tenant, insert).await?;
        self.changed(id).await;
        Ok(session)
    }

    pub(crate) async fn session(&self, tenant: TenantId, id: SessionId) -> Result<Session, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let find = move |tx: Tx| async move { to_proto(find(&tx, tenant, id, false).await?, &key) };
        self.db.tenant.transaction(tenant, find).await
    }

    /// Sessions of a tenant, oldest first, one more than `size` when there are more.
    pub(crate) async fn sessions(&self, tenant: TenantId, after: Option<SessionId>, size: u64) -> Result<Vec<Session>, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let list = move |tx: Tx| async move {
            let mut query = session::Entity::find()
                .filter(session::Column::TenantId.eq(tenant.uuid()))
                .filter(session::Column::DeletedAt.is_null())
                .order_by_asc(session::Column::Id)
                .limit(size + 1);
            if let Some(after) = after {
                query = query.filter(session::Column::Id.gt(after.uuid()));
            }
            query.all(&*tx).await?.into_iter().map(|row| to_proto(row, &key)).collect::<Result<Vec<_>, Error>>()
        };
        self.db.tenant.transaction(tenant, list).await
    }

    /// Changes a session under its row lock.
    pub(crate) async fn update_session<F>(&self, tenant: TenantId, id: SessionId, change: F) -> Result<Session, Error>
    where
        F: FnOnce(Session) -> Result<Registration, Error> + Send + 'static,
    {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let store = self.clone();
        let update = move |tx: Tx| async move {
            let row = find(&tx, tenant, id, true).await?;
            let registration = change(to_proto(row.clone(), &key)?)?;
            let row = write(row, registration, &key).into_active_model().reset_all().update(&*tx).await?;
            let event = store.event(tenant, id, "updated", state(&row), &row.state_reason);
            barid_db::append(&tx, EVENTS, vec![event]).await?;
            to_proto(row, &key)
        };
        let session = self.db.tenant.transaction(tenant, update).await?;
        self.changed(id).await;
        Ok(session)
    }

    /// Lets a session send, or keeps it from sending.
    pub(crate) async fn set_session(&self, tenant: TenantId, id: SessionId, active: bool) -> Result<Session, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let store = self.clone();
        let set = move |tx: Tx| async move {
            let row = find(&tx, tenant, id, true).await?;
            let now = state(&row);
            let ready = if row.connector == WEB && row.linked_at.is_none() { SessionState::LoggedOut } else { SessionState::Cold };
            let (kind, wanted) = match (active, now) {
                (true, SessionState::Inactive | SessionState::Paused | SessionState::Stopped) => ("activated", ready),
                (false, now) if now != SessionState::Inactive => ("deactivated", SessionState::Inactive),
                _ => return to_proto(row, &key),
            };
            let mut row = row.into_active_model();
            row.state = Set(wanted as i16);
            row.state_reason = Set(String::new());
            row.resume_at = Set(None);
            let row = row.update(&*tx).await?;
            barid_db::append(&tx, EVENTS, vec![store.event(tenant, id, kind, wanted, "")]).await?;
            to_proto(row, &key)
        };
        let session = self.db.tenant.transaction(tenant, set).await?;
        self.changed(id).await;
        Ok(session)
    }

    /// Removes a session: its row stays for its history, its number and its token go.
    pub(crate) async fn delete_session(&self, tenant: TenantId, id: SessionId) -> Result<(), Error> {
        let store = self.clone();
        let delete = move |tx: Tx| async move {
            let row = find(&tx, tenant, id, true).await?;
            let state = state(&row);
            let mut row = row.into_active_model();
            row.deleted_at = Set(Some(store.clock.now()));
            row.phone = Set(Vec::new());
            row.credentials = Set(Vec::new());
            row.update(&*tx).await?;
            for table in ["owners", "web_cells", "pairings", "errands", "number_check_usage"] {
                tx.run(format!("DELETE FROM session_pool.{table} WHERE session_id = $1"), [id.uuid().into()]).await?;
            }
            barid_db::append(&tx, EVENTS, vec![store.event(tenant, id, "deleted", state, "")]).await?;
            Ok::<_, Error>(())
        };
        self.db.tenant.transaction(tenant, delete).await?;
        self.changed(id).await;
        Ok(())
    }
}

async fn find(tx: &Tx, tenant: TenantId, id: SessionId, lock: bool) -> Result<session::Model, Error> {
    let mut query = session::Entity::find_by_id(id.uuid())
        .filter(session::Column::TenantId.eq(tenant.uuid()))
        .filter(session::Column::DeletedAt.is_null());
    if lock {
        query = query.lock_exclusive();
    }
    query.one(&**tx).await?.ok_or_else(|| Error::not_found("session", id))
}

fn state(row: &session::Model) -> SessionState {
    SessionState::try_from(i32::from(row.state)).unwrap_or_default()
}

/// A row with what the tenant says of it.
fn write(row: session::Model, new: Registration, key: &TenantKey) -> session::Model {
    let (tenant, id) = (TenantId::from_uuid(row.tenant_id), SessionId::from_uuid(row.id));
    let row = session::Model {
        display_name: new.display_name,
        phone: key.seal(phone_place(tenant, id), new.phone.to_string().as_bytes()),
        messages_per_minute: i32::try_from(new.messages_per_minute).unwrap_or(i32::MAX),
        ..row
    };
    match new.connector {
        Line::Cloud(cloud) => session::Model {
            connector: CLOUD,
            credentials: if cloud.access_token.is_empty() {
                row.credentials
            } else {
                key.seal(credentials_place(tenant, id), cloud.access_token.expose().as_bytes())
            },
            app: cloud.app,
            phone_number_id: cloud.phone_number_id,
            business_account_id: cloud.business_account_id,
            portfolio_id: cloud.portfolio_id,
            ..row
        },
        Line::Web(web) => session::Model {
            connector: WEB,
            device_name: web.device_name,
            presence: web.presence,
            pinned: web.pinned,
            history_days: i32::try_from(web.history_days).unwrap_or(i32::MAX),
            number_checks_per_day: i32::try_from(web.number_checks_per_day).unwrap_or(i32::MAX),
            ..row
        },
    }
}

/// What callers see. The token is not among it.
fn to_proto(row: session::Model, key: &TenantKey) -> Result<Session, Error> {
    let (tenant, id) = (TenantId::from_uuid(row.tenant_id), SessionId::from_uuid(row.id));
    let phone = key.open(phone_place(tenant, id), &row.phone)?;
    let connector = if row.connector == WEB {
        Connector::Web(WebConnector {
            device_name: row.device_name,
            presence: row.presence,
            pinned: row.pinned,
            history_days: row.history_days.cast_unsigned(),
            link_time: row.linked_at.map(timestamp),
            number_checks_per_day: row.number_checks_per_day.cast_unsigned(),
        })
    } else {
        Connector::Cloud(CloudConnector {
            phone_number_id: row.phone_number_id,
            business_account_id: row.business_account_id,
            portfolio_id: row.portfolio_id,
            app: row.app,
            access_token: String::new(),
        })
    };
    Ok(Session {
        id: id.to_string(),
        tenant_id: tenant.to_string(),
        display_name: row.display_name,
        phone_number: String::from_utf8_lossy(&phone).into_owned(),
        connector: Some(connector),
        state: row.state.into(),
        state_reason: row.state_reason,
        resume_time: row.resume_at.map(timestamp),
        messages_per_minute: row.messages_per_minute.cast_unsigned(),
        last_used_time: row.last_used_at.map(timestamp),
        create_time: Some(timestamp(row.created_at)),
        inactive: false,
    })
}
