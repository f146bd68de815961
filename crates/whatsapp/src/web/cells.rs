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
    /// The login itself, with its private keys. One cell. A session without it is not paired.
    Device = 1,
    /// State about the account's own devices, apart so that a login reads it without reading everybody's.
    Own = 2,
    PreKey = 3,
    SignedPreKey = 4,
    /// A Signal session with a peer's device: the ratchet.
    Session = 5,
    /// A peer device's identity key.
    Identity = 6,
    /// A user of whom there is a session or an identity. Empty.
    Known = 7,
    /// A sender key of a group.
    SenderKey = 8,
    /// Which devices of a group have its sender key.
    GroupKeys = 9,
    /// What is known of a group.
    Group = 10,
    /// Which LID and which phone number are the same person; a cell for each direction.
    Lid = 11,
    /// A user's devices.
    Devices = 12,
    /// A trusted-contact token.
    Token = 13,
    /// What was sent, for retry receipts.
    Sent = 14,
    /// A decrypted inbound message that is not committed yet.
    Pending = 15,
    /// A message's secret, for edits and reactions that refer to it.
    Secret = 16,
    /// The base key of a session, to notice a collision.
    BaseKey = 17,
    /// An app-state key.
    SyncKey = 18,
    /// An app-state collection's version and hash.
    SyncVersion = 19,
    /// What an app-state mutation looked like, needed to take it out of the hash; one kind per collection, as each is wiped alone.
    MacCriticalBlock = 20,
    MacCriticalUnblockLow = 21,
    MacRegularLow = 22,
    MacRegularHigh = 23,
    MacRegular = 24,
}

impl Kind {
    pub(super) const ALL: [Self; 24] = [
        Self::Device,
        Self::Own,
        Self::PreKey,
        Self::SignedPreKey,
        Self::Session,
        Self::Identity,
        Self::Known,
        Self::SenderKey,
        Self::GroupKeys,
        Self::Group,
        Self::Lid,
        Self::Devices,
        Self::Token,
        Self::Sent,
        Self::Pending,
        Self::Secret,
        Self::BaseKey,
        Self::SyncKey,
        Self::SyncVersion,
        Self::MacCriticalBlock,
        Self::MacCriticalUnblockLow,
        Self::MacRegularLow,
        Self::MacRegularHigh,
        Self::MacRegular,
    ];

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
    /// Seconds since 1970 after which the cell may be deleted; 0 for never. The connector never sweeps: one statement over all sessions does it better.
    pub expires_at: i64,
    pub value: Bytes,
}

/// One step of an atomic write. Steps take effect in their order; a write never puts or deletes the same cell twice,
/// and deletes whole kinds first.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    Put(Cell),
    Delete { kind: Kind, key: String },
    DeleteKind(Kind),
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
    /// Those of these cells that exist, in any order, in one round trip.
    async fn get(&self, keys: &[(Kind, String)]) -> Result<Vec<Cell>, CellError>;
    /// Writes all or nothing, and returns when it is committed. Never called while an earlier write of the same session is under way.
    async fn write(&self, changes: Vec<Change>) -> Result<(), CellError>;
    /// Whether whoever holds this may still speak for the session. Asked before every frame: it answers at once unless the lease was not
    /// held meanwhile, and then once it is known; `None` when nobody can say.
    async fn is_ours(&self) -> Option<bool>;
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
        }
    }
}
