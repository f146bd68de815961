//! Stand-ins for tests: a store and a sink in memory, and files that are simply there.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use serde_json::Value;
use wacore::{
    libsignal::protocol::{KeyPair, PrivateKey},
    store::{CachedNoiseCert, CachedServerCertChain, Device},
};

use super::{Cell, CellError, Cells, Change, Connection, Fetch, FetchError, Fetched, Inbound, Kind, Sink, SinkError};

/// A store in memory that counts its round trips. Clones of its `Arc` are the same session under the same lease.
#[derive(Default)]
pub struct Memory {
    cells: Mutex<BTreeMap<(Kind, String), (i64, Bytes)>>,
    pub loads: AtomicUsize,
    pub gets: AtomicUsize,
    pub writes: AtomicUsize,
    is_stale: AtomicBool,
    is_down: AtomicBool,
}

impl Memory {
    /// Somebody else owns the session from now on.
    pub fn lose_lease(&self) {
        self.is_stale.store(true, Ordering::SeqCst);
    }

    /// Every call fails until it is called with `false`.
    pub fn break_down(&self, down: bool) {
        self.is_down.store(down, Ordering::SeqCst);
    }

    /// Loads, gets and writes since the last call.
    pub fn trips(&self) -> (usize, usize, usize) {
        let taken = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (taken(&self.loads), taken(&self.gets), taken(&self.writes))
    }

    /// How many cells of each kind there are.
    pub fn census(&self) -> HashMap<Kind, usize> {
        let mut census = HashMap::new();
        for (kind, _) in self.cells.lock().keys() {
            *census.entry(*kind).or_default() += 1;
        }
        census
    }

    /// What another lease of the same session would find.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { cells: Mutex::new(self.cells.lock().clone()), ..Self::default() }
    }

    fn check(&self) -> Result<(), CellError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(CellError::Unavailable("broken down".into()));
        }
        Ok(())
    }
}

/// The login of a device that a simulator made at `/sim/web/devices`, to be put into a store. `None` when it is not of that shape.
#[must_use]
pub fn login(server: &Value, made: &Value) -> Option<Cell> {
    let bytes = |value: &Value| -> Option<[u8; 32]> { unhex(value)?.try_into().ok() };
    let pair = |value: &Value| -> Option<KeyPair> {
        let private = PrivateKey::deserialize(&bytes(value)?).ok()?;
        Some(KeyPair::new(private.public_key().ok()?, private))
    };
    let certificate = |key| CachedNoiseCert { key, not_before: 0, not_after: i64::MAX };
    let mut device = Device::new();
    device.pn = Some(made["jid"].as_str()?.parse().ok()?);
    device.lid = made["lid"].as_str()?.parse().ok();
    device.push_name = made["name"].as_str()?.into();
    device.registration_id = u32::try_from(made["registration_id"].as_u64()?).ok()?;
    device.noise_key = pair(&made["noise_private"])?;
    device.identity_key = pair(&made["identity_private"])?;
    device.signed_pre_key = pair(&made["signed_prekey_private"])?;
    device.signed_pre_key_id = 1;
    device.signed_pre_key_signature = unhex(&made["signed_prekey_signature"])?.try_into().ok()?;
    device.adv_secret_key = bytes(&made["adv_secret"])?;
    device.account = Some(waproto::codec::adv_signed_device_identity_decode(&unhex(&made["account"])?).ok()?.into());
    device.server_cert_chain =
        Some(CachedServerCertChain { intermediate: certificate([0; 32]), leaf: certificate(bytes(&server["key"])?) });
    Some(Cell { kind: Kind::Device, key: String::new(), expires_at: 0, value: serde_json::to_vec(&device).ok()?.into() })
}

fn unhex(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// What the connection says next about being online: `available` or `unavailable`.
pub async fn announcement(connection: &Connection) -> Option<String> {
    let sent = connection.live.client.wait_for_sent_node(whatsapp_rust::NodeFilter::tag("presence"));
    let node = sent.await.ok()?;
    node.attrs.get("type").map(|kind| kind.as_str().into_owned())
}

fn cell((kind, key): &(Kind, String), (expires_at, value): &(i64, Bytes)) -> Cell {
    Cell { kind: *kind, key: key.clone(), expires_at: *expires_at, value: value.clone() }
}

#[async_trait]
impl Cells for Memory {
    async fn load(&self, kinds: &[Kind]) -> Result<Vec<Cell>, CellError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        Ok(self.cells.lock().iter().filter(|((kind, _), _)| kinds.contains(kind)).map(|(key, value)| cell(key, value)).collect())
    }

    async fn get(&self, keys: &[(Kind, String)]) -> Result<Vec<Cell>, CellError> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        let cells = self.cells.lock();
        Ok(keys.iter().filter_map(|key| cells.get(key).map(|value| cell(key, value))).collect())
    }

    async fn write(&self, changes: Vec<Change>) -> Result<(), CellError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        if self.is_stale.load(Ordering::SeqCst) {
            return Err(CellError::Stale);
        }
        let mut cells = self.cells.lock();
        for change in changes {
            match change {
                Change::Put(cell) => {
                    cells.insert((cell.kind, cell.key), (cell.expires_at, cell.value));
                }
                Change::Delete { kind, key } => {
                    cells.remove(&(kind, key));
                }
                Change::DeleteKind(kind) => cells.retain(|(its, _), _| *its != kind),
            }
        }
        Ok(())
    }

    async fn is_ours(&self) -> Option<bool> {
        Some(!self.is_stale.load(Ordering::SeqCst))
    }
}

/// Keeps what customers write.
#[derive(Default)]
pub struct Kept {
    messages: Mutex<Vec<Inbound>>,
    pub refusals: AtomicUsize,
    came: Notify,
}

impl Kept {
    pub fn messages(&self) -> Vec<Inbound> {
        self.messages.lock().clone()
    }

    /// The next `times` batches are refused.
    pub fn refuse(&self, times: usize) {
        self.refusals.store(times, Ordering::SeqCst);
    }

    /// Waits until there are at least so many.
    pub async fn at_least(&self, count: usize) -> Vec<Inbound> {
        loop {
            let came = self.came.notified();
            let messages = self.messages();
            if messages.len() >= count {
                return messages;
            }
            came.await;
        }
    }
}

#[async_trait]
impl Sink for Kept {
    async fn inbound(&self, batch: Vec<Inbound>) -> Result<(), SinkError> {
        if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(SinkError("refused by the test".into()));
        }
        self.messages.lock().extend(batch);
        self.came.notify_one();
        Ok(())
    }
}

/// Files by URL.
#[derive(Default)]
pub struct Files(pub HashMap<String, Fetched>);

#[async_trait]
impl Fetch for Files {
    async fn fetch(&self, url: &str, limit: u64) -> Result<Fetched, FetchError> {
        let file = self.0.get(url).ok_or_else(|| FetchError::Refused("no such file".into()))?;
        if file.bytes.len() as u64 > limit { Err(FetchError::TooLarge { limit }) } else { Ok(file.clone()) }
    }
}
