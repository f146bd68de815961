//! The store of one session's connection: cells in PostgreSQL, under one epoch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use barid_vault::TenantKey;
use barid_whatsapp::web::{self, CellError, Cells, Kind};

use crate::{
    Error,
    ownership::Lease,
    store::{Cell, CellWriter, Change, Owner, Store, WriteError},
};

pub(super) struct SessionCells {
    store: Store,
    writer: CellWriter,
    owner: Owner,
    key: Arc<TenantKey>,
    lease: Lease,
    /// The term of the lease in which the session was last known to be ours; 0 for none.
    ours: AtomicU64,
}

/// How long a connection waits for the lease of its replica to be renewed, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

impl SessionCells {
    pub(super) fn new(store: Store, writer: CellWriter, owner: Owner, key: Arc<TenantKey>, lease: Lease) -> Self {
        Self { store, writer, owner, key, lease, ours: AtomicU64::new(0) }
    }

    /// Asks the database whether the session is ours, once the lease is held.
    async fn ask(&self) -> bool {
        loop {
            let Some(term) = self.lease.term() else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            match self.store.owns(self.owner.replica, self.owner.session, self.owner.epoch).await {
                Ok(false) => return false,
                Ok(true) if self.lease.term() == Some(term) => {
                    self.ours.store(term, Ordering::SeqCst);
                    return true;
                }
                Ok(true) => {}
                Err(error) => {
                    tracing::warn!(session = %self.owner.session, %error, "a connection waits to know whether it still has its session");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }
}

#[async_trait]
impl Cells for SessionCells {
    async fn is_ours(&self) -> Option<bool> {
        if self.lease.term() == Some(self.ours.load(Ordering::SeqCst)) {
            return Some(true);
        }
        tokio::time::timeout(PATIENCE, self.ask()).await.ok()
    }

    async fn load(&self, kinds: &[Kind]) -> Result<Vec<web::Cell>, CellError> {
        let numbers = kinds.iter().map(|kind| kind.number()).collect();
        let cells = self.store.load_cells(self.owner, &self.key, numbers).await.map_err(unavailable)?;
        Ok(cells.into_iter().filter_map(|cell| from_row(cell, kinds.iter().copied())).collect())
    }

    async fn get(&self, keys: &[(Kind, String)]) -> Result<Vec<web::Cell>, CellError> {
        let names: Vec<(i16, String)> = keys.iter().map(|(kind, key)| (kind.number(), key.clone())).collect();
        let cells = self.store.cells(self.owner, &self.key, &names).await.map_err(unavailable)?;
        Ok(cells.into_iter().filter_map(|cell| from_row(cell, keys.iter().map(|(kind, _)| *kind))).collect())
    }

    async fn write(&self, changes: Vec<web::Change>) -> Result<(), CellError> {
        let changes = changes.into_iter().map(to_row).collect();
        self.writer.write(self.owner, &self.key, changes).await.map_err(|error| match error {
            WriteError::Stale => CellError::Stale,
            WriteError::Unavailable(detail) => CellError::Unavailable(detail),
        })
    }
}

fn from_row(cell: Cell, mut asked: impl Iterator<Item = Kind>) -> Option<web::Cell> {
    let kind = asked.find(|kind| kind.number() == cell.kind)?;
    Some(web::Cell { kind, key: cell.key, expires_at: cell.expires_at, value: cell.value.into() })
}

fn to_row(change: web::Change) -> Change {
    match change {
        web::Change::Put(cell) => {
            Change::Put(Cell { kind: cell.kind.number(), key: cell.key, expires_at: cell.expires_at, value: cell.value.into() })
        }
        web::Change::Delete { kind, key } => Change::Delete { kind: kind.number(), key },
        web::Change::DeleteKind(kind) => Change::Clear { kind: kind.number() },
    }
}

fn unavailable(error: Error) -> CellError {
    match error {
        Error::Vault(error @ barid_vault::Error::Sealed) => CellError::Corrupt(error.to_string()),
        error => CellError::Unavailable(error.to_string()),
    }
}
