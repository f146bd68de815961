//! A tenant and its key, for unit tests.

use std::sync::Arc;

use barid_domain::TenantId;
use barid_vault::{KeyStore, MasterKey, TenantKey, Vault};
use futures::{FutureExt, executor::block_on, future::BoxFuture};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{BoxError, Digest};

pub(crate) const TENANT: TenantId = TenantId::from_uuid(Uuid::from_u128(1));

struct Fresh;

impl KeyStore for Fresh {
    fn load_or_insert(&self, _: Uuid, fresh: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, BoxError>> {
        std::future::ready(Ok(fresh)).boxed()
    }
}

pub(crate) fn key() -> Arc<TenantKey> {
    let master = MasterKey::parse(&MasterKey::generate()).expect("a fresh key");
    block_on(Vault::new(master, Fresh).tenant(TENANT.uuid())).expect("a key")
}

pub(crate) fn digest(key: &TenantKey, content: &[u8]) -> Digest {
    Digest::of(key, Sha256::new_with_prefix(content))
}
