//! What of an endpoint is ciphertext: its address and its secrets.

use barid_domain::{DeliveryId, EndpointId, TenantId};
use barid_vault::{Place, TenantKey};
use chrono::{DateTime, Utc};

use crate::{Error, signature::Secret};

pub(super) fn url_place(tenant: TenantId, endpoint: EndpointId) -> Place {
    Place { tenant: tenant.uuid(), column: "webhook.endpoints.url", row: endpoint.uuid() }
}

/// The same for the secret before the newest: it moves from one column to the other as it is.
pub(super) fn secret_place(tenant: TenantId, endpoint: EndpointId) -> Place {
    Place { tenant: tenant.uuid(), column: "webhook.endpoints.secret", row: endpoint.uuid() }
}

pub(super) fn exchange_place(tenant: TenantId, delivery: DeliveryId) -> Place {
    Place { tenant: tenant.uuid(), column: "webhook.attempts.exchange", row: delivery.uuid() }
}

/// Columns of an endpoint that tell where to send and how to sign.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub tenant: TenantId,
    pub endpoint: EndpointId,
    pub url: Vec<u8>,
    pub secret: Vec<u8>,
    pub old_secret: Option<Vec<u8>>,
    pub old_secret_until: Option<DateTime<Utc>>,
}

impl Sealed {
    /// The address, and the secrets that sign at a time, the newest first.
    pub(super) fn open(&self, key: &TenantKey, now: DateTime<Utc>) -> Result<(String, Vec<Secret>), Error> {
        let url = key.open(url_place(self.tenant, self.endpoint), &self.url)?;
        let place = secret_place(self.tenant, self.endpoint);
        let mut secrets = vec![Secret::from_bytes(key.open(place, &self.secret)?)];
        if let Some(old) = self.old_secret.as_ref().filter(|_| self.old_secret_until.is_some_and(|until| now < until)) {
            secrets.push(Secret::from_bytes(key.open(place, old)?));
        }
        Ok((String::from_utf8_lossy(&url).into_owned(), secrets))
    }
}
