//! Tenants, as the tenant service knows them.

use std::sync::Arc;

use barid_bus::{Bus, Channel, Service};
use barid_domain::TenantId;
use barid_proto::{
    fault,
    tenant::v1::{
        Fallback as ChosenFallback, FallbackChannel, QuietHours, QuietScope, ResolveTenantRequest, Tenant, TenantState,
        directory_service_client::DirectoryServiceClient,
    },
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures::StreamExt;
use moka::future::Cache;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::REMEMBER;
use crate::{
    channel::Channel as Way,
    draft::Terms,
    fallback::Fallback,
    hours::{Daily, Hours, Quiet},
    store::Today,
};

/// How long after it is due a message is sent where its tenant says nothing.
const DEFAULT_TTL: TimeDelta = TimeDelta::hours(48);

/// What the queue needs to know of a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub name: Arc<str>,
    pub terms: Terms,
    pub daily_quota: u32,
    pub active: bool,
    pub fallback: Arc<Fallback>,
}

impl Profile {
    /// The tenant's day at a moment.
    pub(crate) fn day(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.terms.hours.zone).date_naive()
    }

    /// What counts for its messages at a moment.
    pub(crate) fn today(&self, at: DateTime<Utc>) -> Today {
        Today { hours: self.terms.hours, day: self.day(at), quota: self.daily_quota }
    }
}

/// Looks tenants up.
#[derive(Clone)]
pub(crate) struct Directory {
    client: DirectoryServiceClient<Channel>,
    known: Cache<TenantId, Profile>,
}

impl Directory {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            client: DirectoryServiceClient::new(bus.channel()),
            known: Cache::builder().max_capacity(50_000).time_to_live(REMEMBER).build(),
        }
    }

    pub(crate) async fn profile(&self, tenant: TenantId) -> Result<Profile, Status> {
        let mut client = self.client.clone();
        let look_up = async move {
            let answer = client.resolve_tenant(ResolveTenantRequest { tenant_id: tenant.to_string() }).await?.into_inner();
            let unreadable = || fault(Code::Internal, "TENANT_UNREADABLE", "the tenant's settings cannot be read");
            Ok::<_, Status>(Profile {
                terms: Terms {
                    country: answer.country.parse().map_err(|_| unreadable())?,
                    ttl: answer.message_ttl.map_or(DEFAULT_TTL, |ttl| TimeDelta::seconds(ttl.seconds)),
                    hours: Hours {
                        zone: answer.time_zone.parse().map_err(|_| unreadable())?,
                        quiet: answer.quiet_hours.as_ref().map(|hours| quiet(hours).ok_or_else(unreadable)).transpose()?,
                    },
                },
                daily_quota: answer.daily_quota,
                active: answer.state() == TenantState::Active,
                fallback: Arc::new(answer.fallback.as_ref().map(fallback).unwrap_or_default()),
                name: business(&answer).into(),
            })
        };
        self.known.try_get_with(tenant, look_up).await.map_err(Arc::unwrap_or_clone)
    }

    /// Looks a tenant up anew the next time.
    pub(crate) async fn forget(&self, tenant: TenantId) {
        self.known.invalidate(&tenant).await;
    }

    /// Forgets tenants that changed, until `shutdown`.
    pub(crate) async fn follow(self, bus: Bus, shutdown: CancellationToken) {
        let Ok(mut changed) = bus.notices(Service::Tenant, "tenant-changed").await else { return };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                notice = changed.next() => {
                    let Some(notice) = notice else { return };
                    if let Some(id) = std::str::from_utf8(&notice).ok().and_then(|text| text.parse::<TenantId>().ok()) {
                        self.forget(id).await;
                    }
                }
            }
        }
    }
}

/// How customers know it.
fn business(tenant: &Tenant) -> &str {
    tenant.branding.as_ref().map(|branding| branding.business_name.as_str()).filter(|name| !name.is_empty()).unwrap_or(&tenant.name)
}

fn fallback(chosen: &ChosenFallback) -> Fallback {
    let channels = chosen.channels().filter_map(|channel| match channel {
        FallbackChannel::Unspecified => None,
        FallbackChannel::Email => Some(Way::Email),
        FallbackChannel::Sms => Some(Way::Sms),
    });
    Fallback { channels: channels.collect(), reasons: chosen.reasons.clone() }
}

fn quiet(hours: &QuietHours) -> Option<Quiet> {
    Some(Quiet { hours: Daily::parse(&hours.start, &hours.end)?, retries: hours.scope() == QuietScope::AllButImmediate })
}
