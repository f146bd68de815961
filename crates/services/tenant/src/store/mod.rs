//! Tables of this service.

mod api_keys;
mod entity;
mod organisations;
mod tenants;

use std::sync::Arc;

use barid_db::{Db, OutboxTable, Tx};
use barid_domain::{Clock, Minter, TenantId};
use barid_proto::events::v1::{TenantPayload, event::Payload};
use sea_orm::DbErr;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

/// The store's error, for those outside of it.
pub(crate) mod sea_orm_error {
    pub use sea_orm::DbErr;
}

/// The tenants' event table.
pub(crate) const EVENTS: OutboxTable =
    OutboxTable { table: "tenant.events", entity: "tenant", entity_id: |uuid| TenantId::from_uuid(uuid).to_string() };

/// How a key's secret is kept: it has 256 bits of randomness, so a plain hash is enough.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[derive(Clone)]
pub(crate) struct Store {
    db: Db,
    ids: Arc<Minter>,
    clock: Arc<dyn Clock>,
    told: Arc<Notify>,
}

impl Store {
    pub(crate) fn new(db: Db, ids: Arc<Minter>, clock: Arc<dyn Clock>, told: Arc<Notify>) -> Self {
        Self { db, ids, clock, told }
    }

    fn event(&self, tenant: TenantId, kind: &'static str, state: &str) -> barid_db::NewEvent {
        barid_db::NewEvent {
            id: self.ids.mint(),
            tenant,
            entity: tenant.uuid(),
            kind,
            at: self.clock.now(),
            payload: Payload::Tenant(TenantPayload { state: state.to_owned() }),
        }
    }

    async fn tell(tx: &Tx, event: barid_db::NewEvent) -> Result<(), DbErr> {
        barid_db::append(tx, EVENTS, vec![event]).await
    }
}

/// Rows of a page and the token of the next: the id of the last row, when there is more.
pub(crate) fn page<T>(mut rows: Vec<T>, size: u64, id: impl Fn(&T) -> String) -> (Vec<T>, String) {
    let more = rows.len() as u64 > size;
    rows.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let token = if more { rows.last().map(id).unwrap_or_default() } else { String::new() };
    (rows, token)
}
