//! Tables of this service.
//!
//! A delivery that is pending stands in the line of its endpoint and entity, `lines` has one row per such line, and that row is what replicas
//! take in turns: so an entity's deliveries go out one after the other, and what is put into a line is never missed by who takes from it, because
//! both hold its row.

mod claim;
mod deliveries;
mod endpoints;
mod enqueue;
mod events;
mod forget;
mod outcome;
mod redeliver;
mod row;
mod secrets;
mod winding_up;

use std::sync::Arc;

use barid_db::{Db, OutboxTable};
use barid_domain::{Clock, EndpointId, Minter};
use barid_vault::Vault;
use tokio::sync::Notify;

pub use sea_orm::DbErr;

pub(crate) use claim::{Limits, Taken, Turns};
pub(crate) use deliveries::{Filter, Trial};
pub(crate) use endpoints::{Reason, State};
pub(crate) use redeliver::Range;

/// Schema of the tables.
const SCHEMA: &str = "webhook";

/// The endpoints' event table.
pub(crate) const EVENTS: OutboxTable =
    OutboxTable { table: "webhook.events", entity: "webhook", entity_id: |uuid| EndpointId::from_uuid(uuid).to_string() };

#[derive(Clone)]
pub(crate) struct Store {
    db: Db,
    vault: Vault,
    ids: Arc<Minter>,
    clock: Arc<dyn Clock>,
    told: Arc<Notify>,
    waiting: Arc<Notify>,
}

impl Store {
    /// `told` is notified when there are events to tell, `waiting` when there are deliveries to take.
    pub(crate) fn new(db: Db, vault: Vault, ids: Arc<Minter>, clock: Arc<dyn Clock>, told: Arc<Notify>, waiting: Arc<Notify>) -> Self {
        Self { db, vault, ids, clock, told, waiting }
    }

    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }

    pub(crate) fn mint<K>(&self) -> barid_domain::Id<K> {
        self.ids.mint()
    }
}
