//! All phones, in shards so that sends to different phones seldom wait for each other.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use crate::phone::Phone;

const SHARDS: usize = 64;

pub(crate) struct Phones {
    shards: Vec<Mutex<HashMap<String, Phone>>>,
    count: AtomicUsize,
    changes: AtomicU64,
    max: usize,
}

impl Phones {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            count: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            max,
        }
    }

    fn shard(&self, wa_id: &str) -> &Mutex<HashMap<String, Phone>> {
        let mut hasher = DefaultHasher::new();
        wa_id.hash(&mut hasher);
        &self.shards[(hasher.finish() % SHARDS as u64) as usize]
    }

    /// Changes the phone, which comes into being if it must; none when there are already as many as allowed.
    pub(crate) fn change<T>(&self, wa_id: &str, change: impl FnOnce(&mut Phone) -> T) -> Option<T> {
        let mut shard = self.shard(wa_id).lock();
        if !shard.contains_key(wa_id) {
            if self.count.load(Ordering::Relaxed) >= self.max {
                return None;
            }
            self.count.fetch_add(1, Ordering::Relaxed);
            shard.insert(wa_id.to_owned(), Phone::new(wa_id));
        }
        let phone = shard.get_mut(wa_id)?;
        phone.changed = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        Some(change(phone))
    }

    /// Looks at the phone if there is one.
    pub(crate) fn look<T>(&self, wa_id: &str, look: impl FnOnce(&Phone) -> T) -> Option<T> {
        self.shard(wa_id).lock().get(wa_id).map(look)
    }

    /// Collects what `look` makes of each phone, shard by shard.
    pub(crate) fn collect<T>(&self, mut look: impl FnMut(&str, &Phone) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(shard.lock().iter().filter_map(|(wa_id, phone)| look(wa_id, phone)));
        }
        found
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            self.count.fetch_sub(shard.len(), Ordering::Relaxed);
            shard.clear();
        }
    }
}
