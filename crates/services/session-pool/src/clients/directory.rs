//! Tenants, as the tenant service knows them.

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Channel, Service};
use barid_domain::{Country, TenantId};
use barid_proto::{
    fault,
    tenant::v1::{PeakWindow, ResolveTenantRequest, directory_service_client::DirectoryServiceClient},
};
use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use futures::StreamExt;
use moka::future::Cache;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::Error;

/// How long a tenant is remembered when nothing says that it changed.
const REMEMBER: Duration = Duration::from_secs(60);

/// What the pool needs to know of a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub country: Country,
    time_zone: Tz,
    peaks: Vec<(NaiveTime, NaiveTime)>,
}

impl Profile {
    pub(crate) fn time_zone(&self) -> chrono_tz::Tz {
        self.time_zone
    }

    /// Whether a moment lies in one of the tenant's peak windows.
    pub(crate) fn is_peak(&self, at: DateTime<Utc>) -> bool {
        let time = at.with_timezone(&self.time_zone).time();
        self.peaks.iter().any(|(start, end)| *start <= time && time < *end)
    }
}

/// Looks tenants up.
#[derive(Clone)]
pub(crate) struct Directory {
    client: DirectoryServiceClient<Channel>,
    known: Cache<TenantId, Arc<Profile>>,
}

impl Directory {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            client: DirectoryServiceClient::new(bus.channel()),
            known: Cache::builder().max_capacity(50_000).time_to_live(REMEMBER).build(),
        }
    }

    pub(crate) async fn profile(&self, tenant: TenantId) -> Result<Arc<Profile>, Status> {
        let mut client = self.client.clone();
        let look_up = async move {
            let answer = client.resolve_tenant(ResolveTenantRequest { tenant_id: tenant.to_string() }).await?.into_inner();
            let unreadable = || fault(Code::Internal, "TENANT_UNREADABLE", "the tenant's settings cannot be read");
            Ok::<_, Status>(Arc::new(Profile {
                country: answer.country.parse().map_err(|_| unreadable())?,
                time_zone: answer.time_zone.parse().map_err(|_| unreadable())?,
                peaks: answer.peak_windows.iter().filter_map(window).collect(),
            }))
        };
        self.known.try_get_with(tenant, look_up).await.map_err(Arc::unwrap_or_clone)
    }

    /// Forgets tenants that change, until `shutdown`.
    pub(crate) async fn follow(self, bus: &Bus, shutdown: CancellationToken) -> Result<impl Future<Output = ()> + Send + use<>, Error> {
        let mut changed = bus.notices(Service::Tenant, "tenant-changed").await.map_err(|error| Error::Listen(error.into()))?;
        Ok(async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    notice = changed.next() => {
                        let Some(notice) = notice else { return };
                        if let Some(id) = std::str::from_utf8(&notice).ok().and_then(|text| text.parse::<TenantId>().ok()) {
                            self.known.invalidate(&id).await;
                        }
                    }
                }
            }
        })
    }
}

fn window(window: &PeakWindow) -> Option<(NaiveTime, NaiveTime)> {
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").ok();
    Some((time(&window.start)?, time(&window.end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_told_by_the_tenants_own_clock() {
        let windows = [PeakWindow { start: "08:00".into(), end: "10:00".into() }];
        let profile = Profile {
            country: "BR".parse().expect("a country"),
            time_zone: chrono_tz::America::Sao_Paulo,
            peaks: windows.iter().filter_map(window).collect(),
        };
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        assert!(profile.is_peak(at("2026-01-15T11:00:00Z")));
        assert!(!profile.is_peak(at("2026-01-15T13:00:00Z")) && !profile.is_peak(at("2026-01-15T08:30:00Z")));
    }
}
