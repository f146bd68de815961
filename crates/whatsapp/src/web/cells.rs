//! Where a session's credentials and Signal state live: small encrypted values that whoever owns the session reads and writes.
//!
//! This is all that the connector asks of storage. Keys may be blinded and values encrypted by whoever implements it, because the
//! connector never lists keys: whatever it must find again by listing stands inside the values.

use async_trait::async_trait;
use bytes::Bytes;

/// What a cell holds. The numbers are stored: never change one, never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum Kind {
    /// The login itself, with its private keys. One cell.
    Device = 1,
    /// A peer device's identity key, and the users of whom Signal state exists.
    Identity = 2,
    /// A Signal session with a peer's device: the ratchet.
    Session = 3,
    PreKey = 4,
    SignedPreKey = 5,
    /// A sender key of a group.
    SenderKey = 6,
    /// An app-state key.
    SyncKey = 7,
    /// An app-state collection's version and hash.
    SyncVersion = 8,
    /// What an app-state mutation looked like, needed to undo it in the hash.
    SyncMac = 9,
    /// Which phone number belongs to a LID.
    Lid = 10,
    /// A user's devices.
    Devices = 11,
    /// A trusted-contact token.
    Token = 12,
    /// What was sent, kept for retry receipts. Stamped with when it expires.
    Sent = 13,
    /// A decrypted inbound message that is not committed yet. Stamped with when it expires.
    Pending = 14,
    /// A message's secret, for edits and reactions that refer to it. Stamped with when it expires, 0 never.
    Secret = 15,
    /// The base key of a session, to notice a collision. Stamped with when it expires.
    BaseKey = 16,
    /// Which devices of a group have its sender key.
    GroupKeys = 17,
    /// What is known of a group.
    Group = 18,
    /// For which users Signal state exists. One cell per user, empty.
    Known = 19,
}

impl Kind {
    /// The number under which the kind is stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }
}

/// One value of a session. Its Debug output shows neither key nor value: both are secrets or hold phone numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Cell {
    pub kind: Kind,
    /// Unique within the kind. May hold phone numbers.
    pub key: String,
    /// Seconds since 1970 after which the cell may be swept; 0 for never.
    pub stamp: i64,
    pub value: Bytes,
}

/// One step of an atomic write. Steps take effect in their order.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    Put(Cell),
    Delete {
        kind: Kind,
        key: String,
    },
    DeleteKind(Kind),
    /// Deletes the cells of this kind whose stamp is not 0 and not after this one.
    DeleteOlder {
        kind: Kind,
        stamp: i64,
    },
}

/// Why a store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// Somebody else owns the session now. The connection closes and never sends again.
    #[error("the session belongs to another owner")]
    Stale,
    /// Nothing was written; it may work later.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// A value that cannot be decrypted or read.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
}

/// The store of one session under one lease. Values are plaintext here; the implementation encrypts them.
#[async_trait]
pub trait Cells: Send + Sync + 'static {
    /// Everything of these kinds, in one round trip.
    async fn load(&self, kinds: &[Kind]) -> Result<Vec<Cell>, CellError>;
    /// Those of these cells that exist, in one round trip.
    async fn get(&self, kind: Kind, keys: &[String]) -> Result<Vec<Cell>, CellError>;
    /// Writes all or nothing, and returns when it is committed.
    async fn write(&self, changes: Vec<Change>) -> Result<(), CellError>;
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cell({:?}, {} bytes)", self.kind, self.value.len())
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(cell) => write!(f, "Put({:?}, {} bytes)", cell.kind, cell.value.len()),
            Self::Delete { kind, .. } => write!(f, "Delete({kind:?})"),
            Self::DeleteKind(kind) => write!(f, "DeleteKind({kind:?})"),
            Self::DeleteOlder { kind, stamp } => write!(f, "DeleteOlder({kind:?}, {stamp})"),
        }
    }
}
