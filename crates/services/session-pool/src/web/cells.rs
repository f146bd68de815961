//! The store of one session's connection: cells in PostgreSQL, under one epoch.

use std::sync::Arc;

use async_trait::async_trait;
use barid_vault::TenantKey;
use barid_whatsapp::web::{self, CellError, Cells, Kind};

use crate::{
    Error,
    store::{Cell, CellWriter, Change, Owner, Store, WriteError},
};

pub(super) struct SessionCells {
    store: Store,
    writer: CellWriter,
    owner: Owner,
    key: Arc<TenantKey>,
}

impl SessionCells {
    pub(super) fn new(store: Store, writer: CellWriter, owner: Owner, key: Arc<TenantKey>) -> Self {
        Self { store, writer, owner, key }
    }
}

#[async_trait]
impl Cells for SessionCells {
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
