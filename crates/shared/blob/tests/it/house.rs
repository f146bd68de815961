//! A store in a folder of its own, and two tenants.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use barid_blob::{Config, Store};
use barid_domain::TenantId;
use barid_vault::{KeyStore, MasterKey, Vault};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use tempfile::TempDir;
use uuid::Uuid;

pub const A: TenantId = TenantId::from_uuid(Uuid::from_u128(1));
pub const B: TenantId = TenantId::from_uuid(Uuid::from_u128(2));
pub const MIB: usize = 1 << 20;
pub const LIMIT: u64 = 1 << 30;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<HashMap<Uuid, Vec<u8>>>>);

impl KeyStore for Memory {
    fn load_or_insert(&self, tenant: Uuid, fresh: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>> {
        let key = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant).or_insert(fresh).clone();
        std::future::ready(Ok(key)).boxed()
    }
}

pub fn vault() -> Vault {
    Vault::new(MasterKey::parse(&MasterKey::generate()).expect("a fresh key"), Memory::default())
}

/// Content whose frames differ from each other and from those of another seed.
pub fn content(seed: u8, size: usize) -> Bytes {
    let mut content = vec![seed; size];
    for (at, block) in content.chunks_exact_mut(64).enumerate() {
        block[..8].copy_from_slice(&at.to_be_bytes());
    }
    content.into()
}

pub struct House {
    pub store: Store,
    folder: TempDir,
}

impl House {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Config::folder(&folder.path().join("media")), vault()).expect("a store");
        Self { store, folder }
    }

    pub fn media(&self) -> PathBuf {
        self.folder.path().join("media")
    }

    /// All files, the ones that the store does not see as well.
    pub fn files(&self) -> Vec<PathBuf> {
        fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if entry.is_dir() {
                    collect(&entry, files);
                } else {
                    files.push(entry);
                }
            }
        }
        let mut files = Vec::new();
        collect(self.folder.path(), &mut files);
        files.sort();
        files
    }

    /// The file that a put made.
    pub fn new_file(&self, before: &[PathBuf]) -> PathBuf {
        let mut new = self.files();
        new.retain(|file| !before.contains(file));
        assert_eq!(new.len(), 1, "{new:?}");
        new.remove(0)
    }
}
