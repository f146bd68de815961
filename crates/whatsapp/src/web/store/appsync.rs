//! Settings that the account's devices share: keys, versions, and what is needed to check their hashes.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use wacore::{
    appstate::hash::HashState,
    store::{
        error::Result,
        traits::{AppStateSyncKey, AppSyncStore},
    },
};
use wacore_appstate::processor::AppStateMutationMAC;

use super::{Store, from_json, put, to_json};
use crate::web::cells::Kind;

/// Names the key that came last.
const LATEST: &str = "latest";

fn macs(collection: &str) -> Kind {
    match collection {
        "critical_block" => Kind::MacCriticalBlock,
        "critical_unblock_low" => Kind::MacCriticalUnblockLow,
        "regular_low" => Kind::MacRegularLow,
        "regular_high" => Kind::MacRegularHigh,
        _ => Kind::MacRegular,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[async_trait]
impl AppSyncStore for Store {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        self.read(Kind::SyncKey, hex(key_id)).await?.map(|value| from_json(&value)).transpose()
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let latest = put(Kind::SyncKey, LATEST, Bytes::copy_from_slice(key_id));
        self.stage(vec![put(Kind::SyncKey, hex(key_id), to_json(&key)?), latest], vec![]).await
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let stored = self.read(Kind::SyncVersion, name).await?;
        stored.map_or_else(|| Ok(HashState::default()), |value| from_json(&value))
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        self.stage(vec![put(Kind::SyncVersion, name, to_json(&state)?)], vec![]).await
    }

    async fn put_mutation_macs(&self, name: &str, _version: u64, mutations: &[AppStateMutationMAC]) -> Result<()> {
        let put = |mac: &AppStateMutationMAC| put(macs(name), hex(&mac.index_mac), Bytes::copy_from_slice(&mac.value_mac));
        self.stage(mutations.iter().map(put).collect(), vec![]).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.read(macs(name), hex(index_mac)).await?.map(Into::into))
    }

    async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let asked: HashMap<String, [u8; 32]> = index_macs.iter().map(|mac| (hex(mac), *mac)).collect();
        let found = self.read_many(asked.keys().map(|key| (macs(name), key.clone())).collect()).await?;
        Ok(found.into_iter().filter_map(|((_, key), value)| Some((*asked.get(&key)?, value.into()))).collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        self.stage(vec![], index_macs.iter().map(|mac| (macs(name), hex(mac))).collect()).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.stage_all(vec![], vec![], &[macs(name)]).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.read(Kind::SyncKey, LATEST).await?.map(Into::into))
    }
}
