//! Accounts as the control API sees them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Web,
    disturb::removed,
    error::Result,
    mailbox::Out,
    people::Shared,
    person::{Device, Person},
};

/// What can be set about an account.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The business's name, which linked devices take for their own.
    name: Option<String>,
    /// What the phone says it is.
    platform: Option<String>,
    /// Whether its chats are addressed by LID.
    lid_addressing: Option<bool>,
    /// Whether linking a device needs its passkey.
    passkey: Option<bool>,
}

impl Settings {
    pub(crate) fn names(&self) -> bool {
        self.name.is_some()
    }
}

impl Web {
    pub(crate) fn is_account(&self, number: &str) -> bool {
        self.people.find(number).is_some_and(|person| person.lock().account.is_some())
    }

    pub(super) fn asks_for_passkey(&self, number: &str) -> bool {
        self.people.find(number).is_some_and(|person| person.lock().account.as_ref().is_some_and(|account| account.passkey))
    }

    pub(crate) fn account_name(&self, number: &str) -> Option<String> {
        self.people.find(number)?.lock().account.as_ref().map(|account| account.name.clone())
    }

    /// Makes the phone of this number a business's, or changes it.
    pub(crate) fn put_account(&self, number: &str, settings: Settings) -> Result<Value> {
        let person = self.people.get(&self.keys, number)?;
        let mut person = person.lock();
        let account = person.account();
        account.name = settings.name.unwrap_or(std::mem::take(&mut account.name));
        if let Some(platform) = settings.platform {
            account.platform = platform;
        }
        account.passkey = settings.passkey.unwrap_or(account.passkey);
        account.lid_addressing = settings.lid_addressing.unwrap_or(account.lid_addressing);
        Ok(view(&person))
    }

    pub(crate) fn account(&self, number: &str) -> Option<Value> {
        let person = self.people.find(number)?;
        let person = person.lock();
        person.account.is_some().then(|| view(&person))
    }

    /// Removes a device from its account, and its connection with it; false if there is none.
    pub(crate) fn unlink(&self, number: &str, device: u16, now: i64) -> bool {
        let Some(person) = self.people.find(number) else { return false };
        if !person.lock().devices.contains_key(&device) {
            return false;
        }
        if let Some(mailbox) = person.lock().unlink(device, now) {
            mailbox.put(Out::End(Some(removed())));
        }
        true
    }

    pub(crate) fn forget_sessions(&self, number: &str) {
        if let Some(person) = self.people.find(number) {
            person.lock().signal.forget_all();
        }
    }

    pub(crate) fn accounts(&self) -> Vec<Value> {
        let mut people: Vec<Shared> = self.people.all();
        people.retain(|person| person.lock().account.is_some());
        people.sort_by_cached_key(|person| person.lock().number.clone());
        people.iter().map(|person| view(&person.lock())).collect()
    }
}

fn view(person: &Person) -> Value {
    let account = person.account.as_ref();
    json!({
        "number": person.number,
        "lid": person.lid,
        "name": account.map(|account| &account.name),
        "platform": account.map(|account| &account.platform),
        "lid_addressing": account.is_some_and(|account| account.lid_addressing),
        "passkey": account.is_some_and(|account| account.passkey),
        "blocked": person.blocked,
        "devices": person.devices.values().map(device_view).collect::<Vec<_>>(),
    })
}

fn device_view(device: &Device) -> Value {
    json!({
        "id": device.id,
        "name": device.name,
        "online": device.online.is_some(),
        "active": device.active,
        "linked_at": device.linked_at,
        "logins": device.logins,
        "handshake": device.handshake,
        "last_login": device.last_login,
        "last_ack": device.last_ack,
        "prekeys": device.prekeys.len(),
        "waiting": device.queue.len(),
    })
}
