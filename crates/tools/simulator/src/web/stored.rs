//! People as they are saved: what cannot be derived, in JSON, with bytes in hex.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use wacore_binary::{OwnedNodeRef, marshal::marshal};

use super::{
    error::{Error, Result},
    keys::ServerKeys,
    noise::Pattern,
    person::{Account, Device, Person},
    queue::{Class, Queue},
    settings::Collections,
    signal,
};

#[derive(Deserialize, Serialize)]
pub(super) struct Stored {
    number: String,
    installs: u32,
    account: Option<Account>,
    devices: Vec<StoredDevice>,
    blocked: BTreeSet<String>,
    signal: signal::Stored,
    #[serde(default)]
    collections: Collections,
}

#[derive(Deserialize, Serialize)]
struct StoredDevice {
    id: u16,
    key_index: u32,
    name: String,
    noise: String,
    identity: String,
    certificate: String,
    registration_id: u32,
    signed_prekey: (u32, String, String),
    prekeys: Vec<(u32, String)>,
    welcomed: bool,
    linked_at: DateTime<Utc>,
    logins: u64,
    handshake: Option<Pattern>,
    last_login: Option<DateTime<Utc>>,
    last_ack: Option<DateTime<Utc>>,
    /// Class, id, and the stanza as it travels.
    queue: Vec<(String, String, String)>,
}

impl Stored {
    pub(super) fn of(person: &Person) -> Result<Self> {
        Ok(Self {
            number: person.number.clone(),
            installs: person.installs,
            account: person.account.clone(),
            devices: person.devices.values().map(StoredDevice::of).collect::<Result<_>>()?,
            blocked: person.blocked.clone(),
            signal: person.signal.stored()?,
            collections: person.collections.clone(),
        })
    }

    pub(super) fn person(self, keys: &ServerKeys) -> Result<Person> {
        let mut person = Person::new(keys, &self.number, self.installs)?;
        person.account = self.account;
        person.blocked = self.blocked;
        person.collections = self.collections;
        person.signal.restore(&self.signal)?;
        let devices = self.devices.into_iter().map(|device| Ok((device.id, device.device()?)));
        person.devices = devices.collect::<Result<BTreeMap<_, _>>>()?;
        Ok(person)
    }
}

impl StoredDevice {
    fn of(device: &Device) -> Result<Self> {
        let mut queue = Vec::with_capacity(device.queue.len());
        for item in device.queue.items() {
            queue.push((item.class.name().to_owned(), item.id.clone(), hex::encode(marshal(&item.stanza)?)));
        }
        let (signed_id, signed, signature) = &device.signed_prekey;
        Ok(Self {
            id: device.id,
            key_index: device.key_index,
            name: device.name.clone(),
            noise: hex::encode(device.noise),
            identity: hex::encode(device.identity),
            certificate: hex::encode(&device.certificate),
            registration_id: device.registration_id,
            signed_prekey: (*signed_id, hex::encode(signed), hex::encode(signature)),
            prekeys: device.prekeys.iter().map(|(id, key)| (*id, hex::encode(key))).collect(),
            welcomed: device.welcomed,
            linked_at: device.linked_at,
            logins: device.logins,
            handshake: device.handshake,
            last_login: device.last_login,
            last_ack: device.last_ack,
            queue,
        })
    }

    fn device(self) -> Result<Device> {
        let mut queue = Queue::default();
        for (class, id, stanza) in self.queue {
            let bytes = bytes(&stanza)?;
            // A marshalled stanza starts with a byte that says it is not compressed.
            let stanza = OwnedNodeRef::new(bytes.get(1..).unwrap_or_default().to_vec())?;
            if let Some(class) = Class::of(&class) {
                queue.push(class, id, stanza.to_owned_node());
            }
        }
        let (signed_id, signed, signature) = self.signed_prekey;
        let prekeys = self.prekeys.iter().map(|(id, key)| Ok((*id, key32(key)?)));
        Ok(Device {
            id: self.id,
            key_index: self.key_index,
            name: self.name,
            noise: key32(&self.noise)?,
            identity: key32(&self.identity)?,
            certificate: bytes(&self.certificate)?,
            registration_id: self.registration_id,
            signed_prekey: (signed_id, key32(&signed)?, bytes(&signature)?),
            prekeys: prekeys.collect::<Result<VecDeque<_>>>()?,
            welcomed: self.welcomed,
            linked_at: self.linked_at,
            logins: self.logins,
            handshake: self.handshake,
            last_login: self.last_login,
            last_ack: self.last_ack,
            queue,
            online: None,
            active: false,
        })
    }
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    hex::decode(text).map_err(|_| Error::Malformed("saved bytes are not hex"))
}

fn key32(text: &str) -> Result<[u8; 32]> {
    bytes(text)?.try_into().map_err(|_| Error::Malformed("a saved key has not 32 bytes"))
}
