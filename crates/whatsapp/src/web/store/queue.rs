//! What is not written yet. The last value of a cell wins, so that the queue never holds more than what changed.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::web::cells::{Cell, Change, Kind};

#[derive(Default)]
pub(super) struct Queue {
    waiting: HashMap<(Kind, String), Waiting>,
    /// Kinds of which everything older than what waits is gone, and when that was asked for.
    wiped: HashMap<Kind, u64>,
    last: u64,
    written: u64,
    armed: bool,
}

struct Waiting {
    /// `None` is a deletion.
    value: Option<(Bytes, i64)>,
    ticket: u64,
}

impl Queue {
    pub fn put(&mut self, cell: Cell) {
        self.add((cell.kind, cell.key), Some((cell.value, cell.expires_at)));
    }

    pub fn delete(&mut self, key: (Kind, String)) {
        self.add(key, None);
    }

    fn add(&mut self, key: (Kind, String), value: Option<(Bytes, i64)>) {
        self.last += 1;
        self.waiting.insert(key, Waiting { value, ticket: self.last });
    }

    pub fn wipe(&mut self, kind: Kind) {
        self.last += 1;
        self.waiting.retain(|(its, _), _| *its != kind);
        self.wiped.insert(kind, self.last);
    }

    /// What waits for this cell: `Some(None)` that it is to be gone.
    pub fn get(&self, key: &(Kind, String)) -> Option<Option<Bytes>> {
        match self.waiting.get(key) {
            Some(waiting) => Some(waiting.value.as_ref().map(|(value, _)| value.clone())),
            None => self.wiped.contains_key(&key.0).then_some(None),
        }
    }

    /// Applies what waits for a kind to what the store has of it.
    pub fn overlay(&self, kind: Kind, stored: &mut HashMap<String, Bytes>) {
        if self.wiped.contains_key(&kind) {
            stored.clear();
        }
        for ((its, key), waiting) in &self.waiting {
            match &waiting.value {
                _ if *its != kind => {}
                Some((value, _)) => {
                    stored.insert(key.clone(), value.clone());
                }
                None => {
                    stored.remove(key);
                }
            }
        }
    }

    /// Covers everything queued so far.
    pub const fn ticket(&self) -> u64 {
        self.last
    }

    pub const fn is_written(&self, ticket: u64) -> bool {
        self.written >= ticket
    }

    /// Everything that waits, and the ticket to give back once it is durable.
    pub fn changes(&self) -> (Vec<Change>, u64) {
        let mut wiped: Vec<Kind> = self.wiped.keys().copied().collect();
        wiped.sort_unstable();
        let mut changes: Vec<Change> = wiped.into_iter().map(Change::DeleteKind).collect();
        let wiped: HashSet<Kind> = self.wiped.keys().copied().collect();
        for ((kind, key), waiting) in &self.waiting {
            let key = key.clone();
            match &waiting.value {
                Some((value, expires_at)) => {
                    changes.push(Change::Put(Cell { kind: *kind, key, expires_at: *expires_at, value: value.clone() }));
                }
                None if wiped.contains(kind) => {}
                None => changes.push(Change::Delete { kind: *kind, key }),
            }
        }
        (changes, self.last)
    }

    /// These are durable: what was queued meanwhile stays.
    pub fn written(&mut self, ticket: u64) {
        self.written = self.written.max(ticket);
        self.waiting.retain(|_, waiting| waiting.ticket > ticket);
        self.wiped.retain(|_, wiped| *wiped > ticket);
        if self.waiting.is_empty() {
            self.waiting.shrink_to(8);
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a timer must be started, because none runs.
    pub const fn arm(&mut self) -> bool {
        let was = self.armed;
        self.armed = true;
        !was
    }

    pub const fn disarm(&mut self) {
        self.armed = false;
    }
}
