//! Who has which devices, tokens and numbers, and what may have to be sent or delivered again.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use bytes::Bytes;
use wacore::store::{
    error::Result,
    traits::{DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry},
};

use super::{REMEMBERED, Store, from_json, keys::joined, put, put_until, to_json};
use crate::web::cells::{Cell, Kind};

const DAY: i64 = 24 * 60 * 60;
/// A peer that was offline asks for a message again when it comes back; what is older than this it goes without.
const KEEP_SENT: i64 = 7 * DAY;
/// WhatsApp itself keeps what was not acked for about a month.
const KEEP_PENDING: i64 = 30 * DAY;
const KEEP_BASE_KEY: i64 = DAY;
/// Tokens count for four weeks from when they were given or last used.
const KEEP_TOKEN: i64 = 60 * DAY;

fn in_(seconds: i64) -> i64 {
    wacore::time::now_secs() + seconds
}

fn by_lid(lid: &str) -> String {
    format!("l/{lid}")
}

pub(super) fn by_phone(phone: &str) -> String {
    format!("p/{phone}")
}

/// Which devices of a group have its sender key.
type Holders = BTreeMap<String, bool>;

impl Store {
    pub(super) fn place_devices(&self, user: &str) -> (Kind, String) {
        self.own.lock().place(Kind::Devices, user, user)
    }

    async fn holders(&self, group: &str) -> Result<Holders> {
        self.read(Kind::GroupKeys, group).await?.map_or_else(|| Ok(Holders::new()), |value| from_json(&value))
    }

    async fn put_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        let value = to_json(entry)?;
        self.remember_token(jid, Some(value.clone()));
        let newest = entry.token_timestamp.max(entry.sender_timestamp.unwrap_or_default());
        self.stage(vec![put_until(newest + KEEP_TOKEN, Kind::Token, jid, value)], vec![]).await
    }

    fn remember_token(&self, jid: &str, value: Option<Bytes>) {
        let mut tokens = self.tokens.lock();
        if tokens.len() >= REMEMBERED {
            tokens.clear();
        }
        tokens.insert(jid.to_owned(), value);
    }
}

fn pending(row: &PendingInboundRow<'_>) -> Cell {
    let key = joined(&[row.chat, row.sender, row.id]);
    put_until(in_(KEEP_PENDING), Kind::Pending, key, Bytes::copy_from_slice(row.message))
}

#[async_trait]
impl ProtocolStore for Store {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        Ok(self.holders(group_jid).await?.into_iter().collect())
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let mut holders = self.holders(group_jid).await?;
        holders.extend(entries.iter().map(|(device, has)| ((*device).to_owned(), *has)));
        self.stage(vec![put(Kind::GroupKeys, group_jid, to_json(&holders)?)], vec![]).await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        self.commit(vec![], vec![(Kind::GroupKeys, group_jid.to_owned())]).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        let gone: HashSet<&str> = device_jids.iter().copied().collect();
        let mut puts = Vec::new();
        for (group, value) in self.read_kind(Kind::GroupKeys).await? {
            let mut holders: Holders = from_json(&value)?;
            let before = holders.len();
            holders.retain(|device, _| !gone.contains(device.as_str()));
            if holders.len() < before {
                puts.push(put(Kind::GroupKeys, group, to_json(&holders)?));
            }
        }
        self.commit(puts, vec![]).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        self.stage_all(vec![], vec![], &[Kind::GroupKeys]).await?;
        self.flush().await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.read(Kind::Lid, by_lid(lid)).await?.map(|value| from_json(&value)).transpose()
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        self.read(Kind::Lid, by_phone(phone)).await?.map(|value| from_json(&value)).transpose()
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lid_mappings(std::slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let mut puts = Vec::with_capacity(entries.len() * 2);
        for entry in entries {
            let value = to_json(entry)?;
            puts.push(put(Kind::Lid, by_lid(&entry.lid), value.clone()));
            puts.push(put(Kind::Lid, by_phone(&entry.phone_number), value));
        }
        self.stage(puts, vec![]).await
    }

    /// The account's own only, which its device knows: contacts are looked up when they are written to, so that a business with
    /// fifty thousand of them logs in as fast as any.
    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let own = self.own.lock();
        let (Some(lid), Some(phone_number)) = (own.lid.clone(), own.phone.clone()) else { return Ok(vec![]) };
        Ok(vec![LidPnMappingEntry { lid, phone_number, created_at: 0, updated_at: 0, learning_source: "pairing".into() }])
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        let key = joined(&[address, message_id]);
        self.stage(vec![put_until(in_(KEEP_BASE_KEY), Kind::BaseKey, key, Bytes::copy_from_slice(base_key))], vec![]).await
    }

    async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool> {
        let stored = self.read(Kind::BaseKey, joined(&[address, message_id])).await?;
        Ok(stored.is_some_and(|stored| stored == current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        self.stage(vec![], vec![(Kind::BaseKey, joined(&[address, message_id]))]).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    /// Staged: a list that is lost is asked for again.
    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let mut puts = Vec::with_capacity(records.len());
        for record in records {
            let (kind, key) = self.place_devices(&record.user);
            puts.push(put(kind, key, to_json(&record)?));
        }
        self.stage(puts, vec![]).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        let (kind, key) = self.place_devices(user);
        self.read(kind, key).await?.map(|value| from_json(&value)).transpose()
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.stage(vec![], vec![self.place_devices(user)]).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read(Kind::Group, group_jid).await?.map(Into::into))
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.stage(vec![put(Kind::Group, group_jid, Bytes::copy_from_slice(blob))], vec![]).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.stage(vec![], vec![(Kind::Group, group_jid.to_owned())]).await
    }

    /// Asked for with every send, so remembered, whether there is one or not.
    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        let remembered = self.tokens.lock().get(jid).cloned();
        let value = match remembered {
            Some(value) => value,
            None => {
                let value = self.read(Kind::Token, jid).await?;
                self.remember_token(jid, value.clone());
                value
            }
        };
        value.map(|value| from_json(&value)).transpose()
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.put_token(jid, entry).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        self.remember_token(jid, None);
        self.stage(vec![], vec![(Kind::Token, jid.to_owned())]).await
    }

    /// Only an operator's tool asks for them; keys may be blinded, so there is nothing to list.
    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        Ok(vec![])
    }

    async fn delete_expired_tc_tokens(&self, _token_cutoff: i64, _sender_cutoff: i64) -> Result<u32> {
        Ok(0)
    }

    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
        let entry = match self.get_tc_token(jid).await? {
            Some(entry) => {
                TcTokenEntry { sender_timestamp: Some(entry.sender_timestamp.unwrap_or_default().max(sender_timestamp)), ..entry }
            }
            None => TcTokenEntry { token: vec![], token_timestamp: sender_timestamp, sender_timestamp: Some(sender_timestamp) },
        };
        self.put_token(jid, &entry).await
    }

    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
        let existing = self.get_tc_token(jid).await?;
        if existing.as_ref().is_some_and(|existing| !existing.token.is_empty() && token_timestamp < existing.token_timestamp) {
            return Ok(());
        }
        let sender_timestamp = existing.and_then(|existing| existing.sender_timestamp);
        self.put_token(jid, &TcTokenEntry { token: token.to_vec(), token_timestamp, sender_timestamp }).await
    }

    /// Staged: until it is acked the message is sent again anyway, and whoever reports the ack flushes first.
    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
        let key = joined(&[chat_jid, message_id]);
        self.stage(vec![put_until(in_(KEEP_SENT), Kind::Sent, key, Bytes::copy_from_slice(payload))], vec![]).await
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        let key = joined(&[chat_jid, message_id]);
        let taken = self.read(Kind::Sent, key.clone()).await?;
        if taken.is_some() {
            self.stage(vec![], vec![(Kind::Sent, key)]).await?;
        }
        Ok(taken.map(Into::into))
    }

    async fn delete_expired_sent_messages(&self, _cutoff: i64) -> Result<u32> {
        Ok(0)
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        self.store_pending_inbound_batch(&[PendingInboundRow { chat, sender, id, message }]).await
    }

    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read(Kind::Pending, joined(&[chat, sender, id])).await?.map(Into::into))
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }]).await
    }

    async fn delete_expired_pending_inbound(&self, _cutoff: i64) -> Result<u32> {
        Ok(0)
    }

    /// Committed: the ratchet moves on after it, and then nobody can decrypt the message again.
    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        self.commit(rows.iter().map(pending).collect(), vec![]).await
    }

    /// Staged: what comes back is committed a second time, which whoever commits must bear anyway.
    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        self.stage(vec![], keys.iter().map(|key| (Kind::Pending, joined(&[key.chat, key.sender, key.id]))).collect()).await
    }
}
