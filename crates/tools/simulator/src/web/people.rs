//! Everybody, by number.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard, RwLock};
use wacore_binary::{Jid, Server};

use super::{error::Result, keys::ServerKeys, lid, person::Person};

/// A person as those hold it who act on it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Entry>>);

struct Entry {
    person: Person,
    /// Since it was last saved.
    changed: bool,
}

/// Access to a person. Taking it to change something is remembered, so that it is saved.
pub(super) struct Held<'a>(MutexGuard<'a, Entry>);

impl Shared {
    fn new(person: Person, changed: bool) -> Self {
        Self(Arc::new(Mutex::new(Entry { person, changed })))
    }

    pub(super) fn lock(&self) -> Held<'_> {
        Held(self.0.lock())
    }

    /// What `save` makes of the person if it has changed since it was last saved.
    pub(super) fn if_changed<T>(&self, save: impl FnOnce(&Person) -> T) -> Option<T> {
        let mut entry = self.0.lock();
        std::mem::take(&mut entry.changed).then(|| save(&entry.person))
    }
}

impl Deref for Held<'_> {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.0.person
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Person {
        self.0.changed = true;
        &mut self.0.person
    }
}

#[derive(Default)]
pub(super) struct People(RwLock<HashMap<String, Shared>>);

/// The number that a jid names, by itself or by its LID.
pub(super) fn number_of(jid: &Jid) -> Option<String> {
    match jid.server {
        Server::Pn | Server::Hosted | Server::Legacy => lid::of(jid.user_base()).map(|_| jid.user_base().to_owned()),
        Server::Lid | Server::HostedLid => lid::number(jid.user_base()),
        _ => None,
    }
}

impl People {
    pub(super) fn find(&self, number: &str) -> Option<Shared> {
        self.0.read().get(number).cloned()
    }

    /// The person of this number, who comes into being if need be.
    pub(super) fn get(&self, keys: &ServerKeys, number: &str) -> Result<Shared> {
        if let Some(person) = self.find(number) {
            return Ok(person);
        }
        let made = Shared::new(Person::new(keys, number, 0)?, true);
        Ok(self.0.write().entry(number.to_owned()).or_insert(made).clone())
    }

    /// Puts back somebody who was saved.
    pub(super) fn restore(&self, person: Person) {
        self.0.write().insert(person.number.clone(), Shared::new(person, false));
    }

    pub(super) fn clear(&self) {
        self.0.write().clear();
    }

    pub(super) fn all(&self) -> Vec<Shared> {
        self.0.read().values().cloned().collect()
    }
}
