//! Somebody on WhatsApp: a phone, and the devices linked to it. Businesses and customers differ in nothing but that.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Server, builder::NodeBuilder};

use super::{
    adv,
    error::Result,
    keys::ServerKeys,
    lid,
    mailbox::Mailbox,
    noise::Pattern,
    queue::{Class, Queue},
    settings::Collections,
    signal::{Bundle, Signal},
};

/// Prekeys left when the server asks a device for more.
const FEW_PREKEYS: usize = 5;

pub(super) struct Person {
    pub(super) number: String,
    pub(super) lid: String,
    pub(super) signal: Signal,
    /// How often the app was installed anew; each time with new keys.
    pub(super) installs: u32,
    /// None for phones that only ever take part as customers.
    pub(super) account: Option<Account>,
    pub(super) devices: BTreeMap<u16, Device>,
    pub(super) blocked: BTreeSet<String>,
    /// The account's settings, as its devices synchronise them.
    pub(super) collections: Collections,
}

#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) platform: String,
    /// Whether chats are addressed by LID instead of by number.
    pub(super) lid_addressing: bool,
    /// Whether linking a device needs its passkey.
    #[serde(default)]
    pub(super) passkey: bool,
    pub(super) last_device: u16,
    pub(super) last_key_index: u32,
}

pub(super) struct Device {
    pub(super) id: u16,
    pub(super) key_index: u32,
    /// What it calls itself.
    pub(super) name: String,
    pub(super) noise: [u8; 32],
    pub(super) identity: [u8; 32],
    /// The `ADVSignedDeviceIdentity` with both signatures.
    pub(super) certificate: Vec<u8>,
    pub(super) registration_id: u32,
    pub(super) signed_prekey: (u32, [u8; 32], Vec<u8>),
    pub(super) prekeys: VecDeque<(u32, [u8; 32])>,
    /// Whether the phone has sent what a newly linked device needs.
    pub(super) welcomed: bool,
    pub(super) linked_at: DateTime<Utc>,
    pub(super) logins: u64,
    /// By which handshake it last came.
    pub(super) handshake: Option<Pattern>,
    pub(super) last_login: Option<DateTime<Utc>>,
    pub(super) last_ack: Option<DateTime<Utc>>,
    pub(super) queue: Queue,
    pub(super) online: Option<Arc<Mailbox>>,
    /// Whether it told the server, on this connection, that it wants its stanzas.
    pub(super) active: bool,
}

impl Person {
    pub(super) fn new(keys: &ServerKeys, number: &str, installs: u32) -> Result<Self> {
        Ok(Self {
            number: number.to_owned(),
            lid: lid::of(number).unwrap_or_else(|| number.to_owned()),
            signal: Signal::new(keys, &owner(number, installs))?,
            installs,
            account: None,
            devices: BTreeMap::new(),
            blocked: BTreeSet::new(),
            collections: Collections::default(),
        })
    }

    pub(super) fn jid(&self, device: u16) -> Jid {
        Jid::new(self.number.as_str(), Server::Pn).with_device(device)
    }

    pub(super) fn lid_jid(&self, device: u16) -> Jid {
        Jid::new(self.lid.as_str(), Server::Lid).with_device(device)
    }

    /// The account that this phone is, which it becomes when first treated as one.
    pub(super) fn account(&mut self) -> &mut Account {
        self.account.get_or_insert_with(|| Account {
            name: format!("Business {}", &self.number[self.number.len().saturating_sub(4)..]),
            platform: "android".into(),
            lid_addressing: false,
            passkey: false,
            last_device: 0,
            last_key_index: 0,
        })
    }

    /// Says which install of the app signed what.
    pub(super) fn raw_id(&self) -> u32 {
        self.signal.identity.registration_id << 8 | (self.installs & 0xff)
    }

    pub(super) fn key_indexes(&self, now: u64) -> Result<Vec<u8>> {
        let current = self.account.as_ref().map_or(0, |account| account.last_key_index);
        let valid = self.devices.values().map(|device| device.key_index).collect();
        adv::key_indexes(&self.signal, self.raw_id(), current, valid, now)
    }

    /// Removes a device, and tells the others; its connection if it has one.
    pub(super) fn unlink(&mut self, device: u16, now: i64) -> Option<Arc<Mailbox>> {
        let gone = self.devices.remove(&device)?;
        self.tell_devices(device, now);
        gone.online
    }

    /// Tells the devices of the account, but for one, which devices it has now.
    pub(super) fn tell_devices(&mut self, except: u16, now: i64) {
        let mut list = vec![NodeBuilder::new("device").attr("jid", self.jid(0)).build()];
        let linked = self
            .devices
            .values()
            .map(|device| NodeBuilder::new("device").attr("jid", self.jid(device.id)).attr("key-index", device.key_index).build());
        list.extend(linked);
        let from = self.jid(0);
        for device in self.devices.values_mut().filter(|device| device.id != except) {
            let id = format!("devices-{now}-{}", rand::random::<u32>());
            let devices = NodeBuilder::new("devices").children(list.clone()).build();
            let notice = NodeBuilder::new("notification")
                .attr("from", from.clone())
                .attr("id", id.as_str())
                .attr("type", "account_sync")
                .attr("t", now);
            device.push(Class::Notification, id, notice.children([devices]).build());
        }
    }

    /// Public keys of the phone itself or of a linked device, one prekey of it spent; none if there is no such device.
    pub(super) fn bundle(&mut self, device: u16) -> Result<Option<Bundle>> {
        if device == 0 {
            return self.signal.bundle().map(Some);
        }
        let from = self.jid(0);
        Ok(self.devices.get_mut(&device).map(|device| {
            let prekey = device.prekeys.pop_front();
            if device.prekeys.len() == FEW_PREKEYS {
                device.ask_for_prekeys(from);
            }
            Bundle { registration_id: device.registration_id, identity: device.identity, signed: device.signed_prekey.clone(), prekey }
        }))
    }

    /// Installs the app anew: other keys, no sessions, and no linked devices.
    pub(super) fn reinstall(&mut self, keys: &ServerKeys) -> Result<()> {
        self.installs += 1;
        self.signal = Signal::new(keys, &owner(&self.number, self.installs))?;
        Ok(())
    }
}

fn owner(number: &str, installs: u32) -> String {
    format!("{number}/{installs}")
}

impl Device {
    /// The server tells a device that its prekeys run out.
    fn ask_for_prekeys(&mut self, from: Jid) {
        let id = format!("prekeys-{}", rand::random::<u32>());
        let count = NodeBuilder::new("count").attr("value", self.prekeys.len()).build();
        let notice = NodeBuilder::new("notification").attr("from", from).attr("id", id.as_str()).attr("type", "encrypt").children([count]);
        self.push(Class::Notification, id, notice.build());
    }

    /// Queues a stanza and wakes the connection if there is one.
    pub(super) fn push(&mut self, class: Class, id: String, stanza: wacore_binary::Node) {
        self.queue.push(class, id, stanza);
        if let Some(mailbox) = self.online.as_ref().filter(|_| self.active) {
            mailbox.wake();
        }
    }
}
