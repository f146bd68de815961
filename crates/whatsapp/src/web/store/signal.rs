//! Sessions, identities and keys of the Signal protocol.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wacore::store::{
    error::{Result, StoreError},
    traits::SignalStore,
};

use super::{REMEMBERED, Store, keys::user_of, put};
use crate::web::cells::{Cell, Kind};

impl Store {
    pub(super) fn at(&self, kind: Kind, address: &str) -> (Kind, String) {
        self.own.lock().place(kind, user_of(address), address)
    }

    /// A cell for each user of whom nothing was stored before on this connection, so that it can be asked whether anything is.
    fn mark_known<'a>(&self, addresses: impl Iterator<Item = &'a str>) -> Vec<Cell> {
        let own = self.own.lock();
        let mut known = self.known.lock();
        let mut marks = Vec::new();
        for user in addresses.map(user_of) {
            if known.contains(user) {
                continue;
            }
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(user.to_owned());
            let (kind, key) = own.place(Kind::Known, user, user);
            marks.push(put(kind, key, Bytes::new()));
        }
        marks
    }

    fn put_at(&self, kind: Kind, address: &str, value: Bytes) -> Cell {
        let (kind, key) = self.at(kind, address);
        put(kind, key, value)
    }
}

/// Fixed width, so that the largest sorts last.
fn number(id: u32) -> String {
    format!("{id:010}")
}

fn identity(value: &Bytes) -> Result<[u8; 32]> {
    value.as_ref().try_into().map_err(|_| StoreError::Validation(format!("an identity key of {} bytes", value.len())))
}

fn parsed(key: &str) -> Result<u32> {
    key.parse().map_err(|_| StoreError::Validation("a key id that is no number".into()))
}

#[async_trait]
impl SignalStore for Store {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.put_identities_batch(&[(address.into(), key)]).await
    }

    /// Staged: an identity that is lost is learnt again from the session, which holds it too.
    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let mut puts = self.mark_known(identities.iter().map(|(address, _)| &**address));
        puts.extend(identities.iter().map(|(address, key)| self.put_at(Kind::Identity, address, Bytes::copy_from_slice(key))));
        self.stage(puts, vec![]).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let (kind, key) = self.at(Kind::Identity, address);
        self.read(kind, key).await?.as_ref().map(identity).transpose()
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.stage(vec![], vec![self.at(Kind::Identity, address)]).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        let (kind, key) = self.at(Kind::Session, address);
        self.read(kind, key).await
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.put_sessions_batch(&[(address.into(), Bytes::copy_from_slice(session))]).await
    }

    /// Committed: a ratchet that went back after its ciphertext left would use a key twice.
    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        let mut puts = self.mark_known(sessions.iter().map(|(address, _)| &**address));
        puts.extend(sessions.iter().map(|(address, session)| self.put_at(Kind::Session, address, session.clone())));
        self.commit(puts, vec![]).await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.commit(vec![], vec![self.at(Kind::Session, address)]).await
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        Ok(self.get_session(address).await?.is_some())
    }

    /// May say yes after the last session of a user was deleted, which costs the caller a look and no more.
    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        if self.known.lock().contains(user) {
            return Ok(true);
        }
        let (kind, key) = self.own.lock().place(Kind::Known, user, user);
        Ok(self.read(kind, key).await?.is_some())
    }

    async fn store_prekey(&self, id: u32, record: &[u8], _uploaded: bool) -> Result<()> {
        self.commit(vec![put(Kind::PreKey, number(id), Bytes::copy_from_slice(record))], vec![]).await
    }

    /// Committed: the server hands these out as soon as it has them.
    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], _uploaded: bool) -> Result<()> {
        self.commit(keys.iter().map(|(id, record)| put(Kind::PreKey, number(*id), record.clone())).collect(), vec![]).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        self.read(Kind::PreKey, number(id)).await
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let keys = ids.iter().map(|id| (Kind::PreKey, number(*id))).collect();
        let found = self.read_many(keys).await?;
        found.into_iter().map(|((_, key), value)| Ok((parsed(&key)?, value))).collect()
    }

    /// Nothing of the library asks which were: the device counts them.
    async fn mark_prekeys_uploaded(&self, _ids: &[u32]) -> Result<()> {
        Ok(())
    }

    /// Staged: the session that used it is durable by now, and a key that comes back is only one that nobody will use.
    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.stage(vec![], vec![(Kind::PreKey, number(id))]).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let all = self.read_kind(Kind::PreKey).await?;
        all.keys().map(|key| parsed(key)).try_fold(0, |max, id| id.map(|id| id.max(max)))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.commit(vec![put(Kind::SignedPreKey, number(id), Bytes::copy_from_slice(record))], vec![]).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        Ok(self.read(Kind::SignedPreKey, number(id)).await?.map(Into::into))
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let all = self.read_kind(Kind::SignedPreKey).await?;
        all.into_iter().map(|(key, value)| Ok((parsed(&key)?, value.into()))).collect()
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.stage(vec![], vec![(Kind::SignedPreKey, number(id))]).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.put_sender_keys_batch(&[(address.into(), Bytes::copy_from_slice(record))]).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        let puts = sender_keys.iter().map(|(address, record)| put(Kind::SenderKey, &**address, record.clone())).collect();
        self.commit(puts, vec![]).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read(Kind::SenderKey, address).await?.map(Into::into))
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.commit(vec![], vec![(Kind::SenderKey, address.to_owned())]).await
    }
}
