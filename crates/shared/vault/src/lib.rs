//! Keeps personal data and credentials as ciphertext: a master key wraps one key per tenant, the tenant key seals each value to its
//! place, and a keyed blind index finds equal values without showing them.
//!
//! A sealed value is `1 | key version (u32, big endian) | nonce (24) | XChaCha20-Poly1305 ciphertext`, with tenant, table, column and row as
//! associated data: a value copied to another place does not open.

mod key;
mod master;

use std::{path::PathBuf, sync::Arc};

use futures::future::BoxFuture;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use key::{Place, TenantKey};
pub use master::MasterKey;

/// Where the master key is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A file with 32 random bytes in base64, readable by the service only.
    pub master_key_file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the master key file {path} {problem}; make one with `barid vault new-key`")]
    MasterKey { path: String, problem: String },
    #[error("a tenant key does not open: it was wrapped with another master key, or is damaged")]
    TenantKey,
    #[error("a sealed value does not open: it is damaged, or was sealed for another place or with another key")]
    Sealed,
    #[error("tenant keys are out of reach: {0}")]
    Store(Arc<dyn std::error::Error + Send + Sync>),
}

/// Where wrapped tenant keys are kept.
pub trait KeyStore: Send + Sync + 'static {
    /// The wrapped key of a tenant. Where there is none yet, `fresh` becomes it; of several at once the first one wins.
    fn load_or_insert(&self, tenant: Uuid, fresh: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>>;
}

/// Opens and seals for every tenant. Clone it freely.
#[derive(Clone)]
pub struct Vault {
    master: Arc<MasterKey>,
    store: Arc<dyn KeyStore>,
    keys: Cache<Uuid, Arc<TenantKey>>,
}

impl Vault {
    /// Tenant keys held open in memory.
    const OPEN_KEYS: u64 = 20_000;

    pub fn new(master: MasterKey, store: impl KeyStore) -> Self {
        Self { master: Arc::new(master), store: Arc::new(store), keys: Cache::new(Self::OPEN_KEYS) }
    }

    /// The key of a tenant, made when first asked for.
    pub async fn tenant(&self, tenant: Uuid) -> Result<Arc<TenantKey>, Error> {
        if let Some(key) = self.keys.get(&tenant).await {
            return Ok(key);
        }
        let fresh = self.master.wrap(tenant, &TenantKey::generate());
        let wrapped = self.store.load_or_insert(tenant, fresh).await.map_err(|error| Error::Store(error.into()))?;
        let key = Arc::new(self.master.unwrap(tenant, &wrapped)?);
        self.keys.insert(tenant, key.clone()).await;
        Ok(key)
    }
}
