//! Tables of this service.

mod entity;
mod templates;

use std::sync::Arc;

use barid_db::{Db, Outbox, OutboxTable};
use barid_domain::{Clock, Minter, TemplateId};
use tokio::sync::Notify;

pub(crate) use sea_orm::DbErr;

/// The templates' event table.
const EVENTS: OutboxTable =
    OutboxTable { table: "template.events", entity: "template", entity_id: |uuid| TemplateId::from_uuid(uuid).to_string() };

/// The events to be told.
pub(crate) fn outbox(db: &Db) -> Outbox {
    Outbox::new(db.engine.clone(), EVENTS)
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
}
