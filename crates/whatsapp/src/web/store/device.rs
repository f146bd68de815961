//! The login itself, and the secrets of messages.

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use wacore::store::{
    Device,
    error::Result,
    traits::{DeviceStore, MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts},
};

use super::{
    Store, from_json,
    keys::{Own, joined},
    put, put_until, to_json,
};
use crate::web::cells::Kind;

pub(super) fn decode(value: &[u8]) -> Result<Device> {
    from_json(value)
}

#[async_trait]
impl DeviceStore for Store {
    async fn save(&self, device: &Device) -> Result<()> {
        *self.own.lock() = Own::of(device);
        let hidden = self.hidden_name.lock().clone().filter(|_| device.push_name.is_empty());
        let value = match hidden {
            Some(push_name) => to_json(&Device { push_name, ..device.clone() })?,
            None => to_json(device)?,
        };
        // The library saves after every change of anything, also of what is not stored.
        if self.saved.lock().as_ref() == Some(&value) {
            return Ok(());
        }
        self.commit(vec![put(Kind::Device, "", value.clone())], vec![]).await?;
        *self.saved.lock() = Some(value);
        Ok(())
    }

    async fn load(&self) -> Result<Option<Device>> {
        let stored = self.read(Kind::Device, "").await?;
        self.saved.lock().clone_from(&stored);
        stored.map(|value| decode(&value)).transpose()
    }

    async fn exists(&self) -> Result<bool> {
        Ok(self.read(Kind::Device, "").await?.is_some())
    }

    /// The library makes the device itself and saves it once it is worth keeping.
    async fn create(&self) -> Result<i32> {
        Ok(1)
    }

    async fn resource_report(&self) -> wacore::stats::StorageResourceReport {
        wacore::stats::StorageResourceReport::default()
    }
}

/// Expiry, the message's time, and the secret.
fn encode(expires_at: i64, message_ts: i64, secret: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(16 + secret.len());
    value.put_i64(expires_at);
    value.put_i64(message_ts);
    value.extend_from_slice(secret);
    value.freeze()
}

fn parts(mut value: Bytes) -> Option<(i64, i64, Bytes)> {
    (value.len() > 16).then(|| (value.get_i64(), value.get_i64(), value))
}

#[async_trait]
impl MsgSecretStore for Store {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let count = entries.len();
        let mut puts = Vec::with_capacity(count);
        for entry in entries {
            let key = joined(&[&entry.chat, &entry.sender, &entry.msg_id]);
            let (mut expires_at, mut message_ts) = (entry.expires_at, entry.message_ts);
            // Only against what is still queued: a repetition that comes later has the same times, and is not worth a read each.
            if let Some(Some((expires, time, _))) = self.queue.lock().get(&(Kind::Secret, key.clone())).map(|value| value.and_then(parts)) {
                expires_at = merge_msg_secret_expiry(expires, expires_at);
                message_ts = merge_msg_secret_message_ts(time, message_ts);
            }
            puts.push(put_until(expires_at, Kind::Secret, key, encode(expires_at, message_ts, &entry.secret)));
        }
        self.stage(puts, vec![]).await?;
        Ok(count)
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_msg_secret_with_ts(chat, sender, msg_id).await?.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>> {
        let stored = self.read(Kind::Secret, joined(&[chat, sender, msg_id])).await?;
        Ok(stored.and_then(parts).map(|(_, time, secret)| (secret.into(), time)))
    }

    async fn delete_expired_msg_secrets(&self, _cutoff: i64) -> Result<u32> {
        Ok(0)
    }
}
