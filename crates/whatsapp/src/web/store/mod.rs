//! The library's storage over [`Cells`]: one round trip to log in, one write per send.
//!
//! What a login reads is loaded at once and kept until [`Store::settle_in`] frees it. Writes go through one queue in which the last
//! value of a cell wins, so that what is asked for while a write is under way goes out together in the next. [`Store::commit`] returns when
//! the database has it, for what must be durable before a frame leaves; [`Store::stage`] returns at once, for what may be written
//! a moment later, and is taken along by the next commit. Reads see what is queued.

mod appsync;
mod device;
mod keys;
mod near;
mod protocol;
mod queue;
mod signal;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use wacore::store::error::{Result, StoreError};

use self::{keys::Own, near::Near, queue::Queue};
use super::{
    Closed,
    cells::{Cell, CellError, Cells, Kind},
    fate::Fate,
};

/// All that a login asks for.
const LOGIN: [Kind; 6] = [Kind::Device, Kind::Own, Kind::PreKey, Kind::SignedPreKey, Kind::SyncKey, Kind::SyncVersion];

/// How long something staged may wait for a commit to take it along.
const LINGER: Duration = Duration::from_millis(100);

/// Changes that may be queued before staging waits for the database as well.
const QUEUE_LIMIT: usize = 1024;

/// Tokens and users that are remembered, so that a send to a known contact reads nothing.
const REMEMBERED: usize = 512;

pub(super) struct Store {
    cells: Arc<dyn Cells>,
    fate: Arc<Fate>,
    queue: Mutex<Queue>,
    /// One write at a time, in order. Held across the write on purpose.
    writer: tokio::sync::Mutex<()>,
    warm: Mutex<Option<HashMap<(Kind, String), Bytes>>>,
    own: Mutex<Own>,
    tokens: Mutex<HashMap<String, Option<Bytes>>>,
    known: Mutex<HashSet<String>>,
    near: Mutex<Near>,
    /// The account's name while the library must not see it: see [`super::presence`].
    pub(super) hidden_name: Mutex<Option<String>>,
    /// Nothing is written while a number is being linked, so that an attempt that fails leaves what was there before.
    is_held: AtomicBool,
    /// While the library tries out whether it can store, which is not worth a round trip.
    is_tried: AtomicBool,
    saved: Mutex<Option<Bytes>>,
    self_weak: std::sync::Weak<Self>,
}

impl Store {
    /// Reads what a login needs.
    pub async fn open(cells: Arc<dyn Cells>, fate: Arc<Fate>) -> std::result::Result<Arc<Self>, Closed> {
        let loaded = cells.load(&LOGIN).await.map_err(|error| closed(&error))?;
        let warm: HashMap<_, _> = loaded.into_iter().map(|cell| ((cell.kind, cell.key), cell.value)).collect();
        let own = match warm.get(&(Kind::Device, String::new())) {
            Some(device) => Own::of(&device::decode(device).map_err(|error| Closed::Store { detail: error.to_string() })?),
            None => Own::default(),
        };
        Ok(Self::new(cells, fate, warm, own, Queue::default(), false))
    }

    /// Starts without anything, for a number that is to be linked. Nothing is written before [`Self::release`], which then replaces
    /// whatever there was.
    pub fn fresh(cells: Arc<dyn Cells>, fate: Arc<Fate>) -> Arc<Self> {
        let mut queue = Queue::default();
        for kind in Kind::ALL {
            queue.wipe(kind);
        }
        Self::new(cells, fate, HashMap::new(), Own::default(), queue, true)
    }

    fn new(
        cells: Arc<dyn Cells>,
        fate: Arc<Fate>,
        warm: HashMap<(Kind, String), Bytes>,
        own: Own,
        queue: Queue,
        is_held: bool,
    ) -> Arc<Self> {
        Arc::new_cyclic(|self_weak| Self {
            cells,
            fate,
            queue: Mutex::new(queue),
            writer: tokio::sync::Mutex::default(),
            warm: Mutex::new(Some(warm)),
            own: Mutex::new(own),
            tokens: Mutex::default(),
            known: Mutex::default(),
            near: Mutex::default(),
            hidden_name: Mutex::default(),
            is_held: AtomicBool::new(is_held),
            is_tried: AtomicBool::new(true),
            saved: Mutex::default(),
            self_weak: self_weak.clone(),
        })
    }

    /// Whether the session may still be spoken for; `None` when nobody can say.
    pub async fn is_ours(&self) -> Option<bool> {
        self.cells.is_ours().await
    }

    /// The library has tried the store out.
    pub fn tried(&self) {
        self.is_tried.store(false, Ordering::Release);
    }

    /// From now on everything is written, beginning with what was held.
    pub async fn release(&self) -> Result<()> {
        self.is_held.store(false, Ordering::Release);
        self.flush().await
    }

    pub fn is_paired(&self) -> bool {
        self.own.lock().is_known()
    }

    /// Frees what was loaded for the login.
    pub fn settle_in(&self) {
        *self.warm.lock() = None;
    }

    async fn read(&self, kind: Kind, key: impl Into<String>) -> Result<Option<Bytes>> {
        let mut found = self.read_many(vec![(kind, key.into())]).await?;
        Ok(found.pop().map(|(_, value)| value))
    }

    /// Those of these cells that exist.
    async fn read_many(&self, keys: Vec<(Kind, String)>) -> Result<Vec<((Kind, String), Bytes)>> {
        let mut found = Vec::new();
        let mut missing = Vec::new();
        {
            let queue = self.queue.lock();
            let warm = self.warm.lock();
            let mut near = self.near.lock();
            for key in keys {
                let value = if let Some(value) = queue.get(&key) {
                    value
                } else if let Some(warm) = warm.as_ref().filter(|_| LOGIN.contains(&key.0)) {
                    warm.get(&key).cloned()
                } else if let Some(value) = near.take(&key) {
                    value
                } else {
                    missing.push(key);
                    continue;
                };
                found.extend(value.map(|value| (key, value)));
            }
        }
        if !missing.is_empty() {
            let cells = self.cells.get(&missing).await.map_err(|error| self.failed(error))?;
            found.extend(cells.into_iter().map(|cell| ((cell.kind, cell.key), cell.value)));
        }
        Ok(found)
    }

    /// Everything of a kind, with what is queued.
    async fn read_kind(&self, kind: Kind) -> Result<HashMap<String, Bytes>> {
        let mut all: HashMap<String, Bytes> = HashMap::new();
        let warm = self.warm.lock().as_ref().filter(|_| LOGIN.contains(&kind)).map(|warm| {
            let of_kind = warm.iter().filter(|((its, _), _)| *its == kind);
            of_kind.map(|((_, key), value)| (key.clone(), value.clone())).collect::<Vec<_>>()
        });
        match warm {
            Some(warm) => all.extend(warm),
            None => {
                let cells = self.cells.load(&[kind]).await.map_err(|error| self.failed(error))?;
                all.extend(cells.into_iter().map(|cell| (cell.key, cell.value)));
            }
        }
        self.queue.lock().overlay(kind, &mut all);
        Ok(all)
    }

    /// Writes these and whatever is queued, and returns when they are durable.
    async fn commit(&self, puts: Vec<Cell>, deletes: Vec<(Kind, String)>) -> Result<()> {
        if self.is_tried.load(Ordering::Acquire) {
            return self.stage(puts, deletes).await;
        }
        let ticket = self.enqueue(puts, deletes, &[]);
        self.write_up_to(ticket).await
    }

    /// Writes these soon.
    async fn stage(&self, puts: Vec<Cell>, deletes: Vec<(Kind, String)>) -> Result<()> {
        self.stage_all(puts, deletes, &[]).await
    }

    async fn stage_all(&self, puts: Vec<Cell>, deletes: Vec<(Kind, String)>, wipes: &[Kind]) -> Result<()> {
        let ticket = self.enqueue(puts, deletes, wipes);
        let (is_full, needs_timer) = {
            let mut queue = self.queue.lock();
            (queue.len() > QUEUE_LIMIT, queue.arm())
        };
        if is_full {
            return self.write_up_to(ticket).await;
        }
        if needs_timer && let Some(store) = self.self_weak.upgrade() {
            tokio::spawn(async move {
                tokio::time::sleep(LINGER).await;
                store.queue.lock().disarm();
                if let Err(error) = store.flush().await {
                    tracing::debug!(%error, "staged state waits for the next write");
                }
            });
        }
        Ok(())
    }

    fn enqueue(&self, puts: Vec<Cell>, deletes: Vec<(Kind, String)>, wipes: &[Kind]) -> u64 {
        let mut queue = self.queue.lock();
        let mut warm = self.warm.lock();
        let mut near = self.near.lock();
        for kind in wipes {
            if let Some(warm) = &mut *warm {
                warm.retain(|(its, _), _| its != kind);
            }
            queue.wipe(*kind);
        }
        for cell in puts {
            if let Some(warm) = warm.as_mut().filter(|_| LOGIN.contains(&cell.kind)) {
                warm.insert((cell.kind, cell.key.clone()), cell.value.clone());
            }
            near.forget(&(cell.kind, cell.key.clone()));
            queue.put(cell);
        }
        for key in deletes {
            if let Some(warm) = &mut *warm {
                warm.remove(&key);
            }
            near.forget(&key);
            queue.delete(key);
        }
        queue.ticket()
    }

    /// Makes durable whatever was staged.
    pub async fn flush(&self) -> Result<()> {
        let ticket = self.queue.lock().ticket();
        self.write_up_to(ticket).await
    }

    async fn write_up_to(&self, ticket: u64) -> Result<()> {
        if self.is_held.load(Ordering::Acquire) {
            return Ok(());
        }
        let _writer = self.writer.lock().await;
        let (changes, batch) = {
            let queue = self.queue.lock();
            if queue.is_written(ticket) {
                return Ok(());
            }
            queue.changes()
        };
        if self.fate.is_stale() {
            return Err(self.failed(CellError::Stale));
        }
        self.cells.write(changes).await.map_err(|error| self.failed(error))?;
        self.queue.lock().written(batch);
        Ok(())
    }

    fn failed(&self, error: CellError) -> StoreError {
        if error == CellError::Stale {
            self.fate.end(Closed::Stale);
        }
        StoreError::Database(Box::new(error))
    }
}

fn closed(error: &CellError) -> Closed {
    match error {
        CellError::Stale => Closed::Stale,
        CellError::Unavailable(detail) | CellError::Corrupt(detail) => Closed::Store { detail: detail.clone() },
    }
}

fn put(kind: Kind, key: impl Into<String>, value: impl Into<Bytes>) -> Cell {
    Cell { kind, key: key.into(), expires_at: 0, value: value.into() }
}

fn put_until(expires_at: i64, kind: Kind, key: impl Into<String>, value: impl Into<Bytes>) -> Cell {
    Cell { kind, key: key.into(), expires_at, value: value.into() }
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| StoreError::Serialization(Box::new(error)))
}

fn from_json<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| StoreError::Serialization(Box::new(error)))
}
