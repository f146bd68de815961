//! Group look-up: many callers, one query for the contacts of their recipients.

use std::time::Duration;

use barid_domain::{Phone, TenantId};
use barid_runtime::{BatchLimits, Batcher};

use super::{Recipient, Store, shared_failure};
use crate::Error;

const LIMITS: BatchLimits = BatchLimits { items: 1000, at_once: 2, apart: Duration::from_millis(4), waiting: 20_000 };

/// Finds contacts by number. Clone it freely.
#[derive(Clone)]
pub(crate) struct AddressBook(Batcher<(TenantId, Phone), Result<Recipient, Error>>);

impl AddressBook {
    /// An address book and its work, which ends when every clone of the book is dropped.
    pub(crate) fn new(store: Store) -> (Self, impl Future<Output = ()> + Send) {
        let (batcher, driver) = Batcher::new(LIMITS, move |wanted: Vec<(TenantId, Phone)>| {
            let store = store.clone();
            async move {
                let count = wanted.len();
                store.recipients(wanted).await.unwrap_or_else(|error| shared_failure("contacts were not looked up", &error, count))
            }
        });
        (Self(batcher), driver)
    }

    /// The contacts of a tenant's phone numbers, in order. New ones are made when a message to them is accepted.
    pub(crate) async fn recipients(&self, tenant: TenantId, phones: Vec<Phone>) -> Result<Vec<Recipient>, Error> {
        let found = self.0.call(phones.into_iter().map(|phone| (tenant, phone))).await;
        found.into_iter().map(|recipient| recipient.unwrap_or(Err(Error::Busy))).collect()
    }
}
