//! Table `tenants`.

use std::collections::BTreeMap;

use barid_domain::{OrganisationId, TenantId};
use barid_proto::{
    tenant::v1::{Branding, Fallback, PeakWindow, QuietHours, Tenant, TenantState},
    timestamp,
};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use super::{Store, entity::tenant, page};
use crate::{Error, settings::DEFAULT_TTL};

/// A peak window as JSON.
#[derive(Deserialize, Serialize)]
struct Window {
    start: String,
    end: String,
}

/// Branding as JSON.
#[derive(Default, Deserialize, Serialize)]
struct Brand {
    business_name: String,
    phone: String,
    emoji: String,
}

/// Quiet hours as JSON.
#[derive(Deserialize, Serialize)]
struct Quiet {
    start: String,
    end: String,
    scope: i32,
}

/// A fallback as JSON.
#[derive(Deserialize, Serialize)]
struct OtherWays {
    channels: Vec<i32>,
    reasons: Vec<String>,
}

impl Store {
    pub(crate) async fn create_tenant(&self, organisation: OrganisationId, tenant: Tenant) -> Result<Tenant, Error> {
        self.organisation(organisation).await?;
        let id: TenantId = self.ids.mint();
        let now = self.clock.now();
        let tenant = Tenant { state: TenantState::Active.into(), ..tenant };
        let row = to_row(id, organisation, tenant, now, now);
        let event = self.event(id, "created", "active");
        let insert = move |tx: barid_db::Tx| async move {
            let row = row.into_active_model().insert(&*tx).await?;
            Self::tell(&tx, event).await?;
            Ok::<_, Error>(row)
        };
        let row = self.db.tenant.transaction(id, insert).await?;
        self.told.notify_one();
        Ok(to_proto(row))
    }

    pub(crate) async fn tenant(&self, id: TenantId) -> Result<Tenant, Error> {
        let find = move |tx: barid_db::Tx| async move { tenant::Entity::find_by_id(id.uuid()).one(&*tx).await };
        let row = self.db.tenant.transaction(id, find).await?;
        row.map(to_proto).ok_or_else(|| Error::not_found("tenant", id))
    }

    pub(crate) async fn tenants(
        &self,
        organisation: OrganisationId,
        after: Option<TenantId>,
        size: u64,
    ) -> Result<(Vec<Tenant>, String), Error> {
        let find = move |tx: barid_db::Tx| async move {
            let mut query = tenant::Entity::find()
                .filter(tenant::Column::OrganisationId.eq(organisation.uuid()))
                .order_by_asc(tenant::Column::TenantId)
                .limit(size + 1);
            if let Some(after) = after {
                query = query.filter(tenant::Column::TenantId.gt(after.uuid()));
            }
            query.all(&*tx).await
        };
        let rows = self.db.engine.transaction("list tenants", find).await?;
        Ok(page(rows.into_iter().map(to_proto).collect(), size, |tenant: &Tenant| tenant.id.clone()))
    }

    /// Changes a tenant under its row lock. `kind` names the event.
    pub(crate) async fn update_tenant<F>(&self, id: TenantId, kind: &'static str, change: F) -> Result<Tenant, Error>
    where
        F: FnOnce(&mut Tenant) -> Result<(), Error> + Send + 'static,
    {
        let store = self.clone();
        let update = move |tx: barid_db::Tx| async move {
            let found = tenant::Entity::find_by_id(id.uuid()).lock_exclusive().one(&*tx).await?;
            let row = found.ok_or_else(|| Error::not_found("tenant", id))?;
            let (organisation, created_at) = (OrganisationId::from_uuid(row.organisation_id), row.created_at);
            let mut changed = to_proto(row);
            change(&mut changed)?;
            let state = state_name(changed.state());
            let row = to_row(id, organisation, changed, created_at, store.clock.now());
            let row = row.into_active_model().reset_all().update(&*tx).await?;
            Self::tell(&tx, store.event(id, kind, state)).await?;
            Ok::<_, Error>(to_proto(row))
        };
        let tenant = self.db.tenant.transaction(id, update).await?;
        self.told.notify_one();
        Ok(tenant)
    }
}

fn state_name(state: TenantState) -> &'static str {
    if state == TenantState::Suspended { "suspended" } else { "active" }
}

fn to_row(
    id: TenantId,
    organisation: OrganisationId,
    tenant: Tenant,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
) -> tenant::Model {
    let windows: Vec<Window> =
        tenant.peak_windows.iter().map(|window| Window { start: window.start.clone(), end: window.end.clone() }).collect();
    let brand = tenant.branding.as_ref().map_or_else(Brand::default, |branding| Brand {
        business_name: branding.business_name.clone(),
        phone: branding.phone.clone(),
        emoji: branding.emoji.clone(),
    });
    let quiet = tenant.quiet_hours.as_ref().map(|hours| Quiet { start: hours.start.clone(), end: hours.end.clone(), scope: hours.scope });
    let fallback =
        tenant.fallback.as_ref().map(|fallback| OtherWays { channels: fallback.channels.clone(), reasons: fallback.reasons.clone() });
    tenant::Model {
        tenant_id: id.uuid(),
        organisation_id: organisation.uuid(),
        digits: i16::try_from(tenant.digits).unwrap_or_default(),
        daily_quota: i32::try_from(tenant.daily_quota).unwrap_or(i32::MAX),
        peak_windows: serde_json::json!(windows),
        glossary: serde_json::json!(tenant.glossary),
        branding: serde_json::json!(brand),
        quiet_hours: serde_json::json!(quiet),
        fallback: serde_json::json!(fallback),
        message_ttl_seconds: i32::try_from(tenant.message_ttl.unwrap_or(DEFAULT_TTL).seconds).unwrap_or(i32::MAX),
        state: i16::try_from(tenant.state).unwrap_or_default(),
        name: tenant.name,
        locale: tenant.locale,
        country: tenant.country,
        currency: tenant.currency,
        time_zone: tenant.time_zone,
        created_at,
        updated_at,
    }
}

fn to_proto(row: tenant::Model) -> Tenant {
    let windows: Vec<Window> = serde_json::from_value(row.peak_windows).unwrap_or_default();
    let glossary: BTreeMap<String, String> = serde_json::from_value(row.glossary).unwrap_or_default();
    let brand: Brand = serde_json::from_value(row.branding).unwrap_or_default();
    let quiet: Option<Quiet> = serde_json::from_value(row.quiet_hours).unwrap_or_default();
    let fallback: Option<OtherWays> = serde_json::from_value(row.fallback).unwrap_or_default();
    Tenant {
        id: TenantId::from_uuid(row.tenant_id).to_string(),
        organisation_id: OrganisationId::from_uuid(row.organisation_id).to_string(),
        name: row.name,
        locale: row.locale,
        country: row.country,
        currency: row.currency,
        time_zone: row.time_zone,
        peak_windows: windows.into_iter().map(|window| PeakWindow { start: window.start, end: window.end }).collect(),
        glossary,
        branding: Some(Branding { business_name: brand.business_name, phone: brand.phone, emoji: brand.emoji }),
        digits: row.digits.into(),
        daily_quota: row.daily_quota.cast_unsigned(),
        state: row.state.into(),
        create_time: Some(timestamp(row.created_at)),
        update_time: Some(timestamp(row.updated_at)),
        fallback: fallback.map(|ways| Fallback { channels: ways.channels, reasons: ways.reasons }),
        quiet_hours: quiet.map(|hours| QuietHours { start: hours.start, end: hours.end, scope: hours.scope }),
        message_ttl: Some(prost_types::Duration { seconds: row.message_ttl_seconds.into(), nanos: 0 }),
    }
}
