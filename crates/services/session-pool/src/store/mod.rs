//! Sessions, who owns them, and what Meta told.

mod cells;
mod checks;
mod choose;
mod entity;
mod errands;
mod inbox;
mod media;
mod owners;
mod pairings;
mod sending;
mod sessions;
mod slots;
mod standing;

use std::sync::Arc;

use barid_bus::Bus;
use barid_db::{Db, NewEvent, OutboxTable};
use barid_domain::{Clock, Minter, SessionId, TenantId};
use barid_proto::{
    events::v1::{SessionPayload, event::Payload},
    session_pool::v1::SessionState,
};
use barid_vault::{Place, Vault};
use tokio::sync::Notify;

pub use sea_orm::DbErr;

pub(crate) use cells::{Cell, CellWriter, Change, Owner, WriteError};
pub(crate) use choose::Choice;
pub(crate) use errands::{ERRAND, Errand, ErrandKind, Errands};
pub(crate) use inbox::{Delivery, Handed, Intake};
pub(crate) use owners::{Claimed, GivenUp, Patience};
pub(crate) use pairings::{Opened, PAIRING};
pub(crate) use sending::{Device, Limits, Sender, Way};
pub(crate) use standing::Rest;

use crate::Error;

/// The sessions' event table.
pub(crate) const EVENTS: OutboxTable =
    OutboxTable { table: "session_pool.events", entity: "session", entity_id: |uuid| SessionId::from_uuid(uuid).to_string() };

/// `sessions.connector`.
const CLOUD: i16 = 1;
const WEB: i16 = 2;

/// Topic on which a session that changed is told, by its id.
pub(crate) const CHANGED: &str = "session-changed";

#[derive(Clone)]
pub(crate) struct Store {
    db: Db,
    vault: Vault,
    ids: Arc<Minter>,
    clock: Arc<dyn Clock>,
    bus: Bus,
    told: Arc<Notify>,
}

impl Store {
    /// `told` is notified when there are events to tell.
    pub(crate) fn new(db: Db, vault: Vault, clock: Arc<dyn Clock>, bus: Bus, told: Arc<Notify>) -> Self {
        Self { db, vault, ids: Arc::new(Minter::new(clock.clone())), clock, bus, told }
    }

    fn event(&self, tenant: TenantId, session: SessionId, kind: &'static str, state: SessionState, reason: &str) -> NewEvent {
        NewEvent {
            id: self.ids.mint(),
            tenant,
            entity: session.uuid(),
            kind,
            at: self.clock.now(),
            payload: Payload::Session(SessionPayload { state: state_name(state), reason: reason.to_owned() }),
        }
    }

    /// After a commit: events are there to be told, and whoever remembers the session looks again.
    async fn changed(&self, session: SessionId) {
        self.told.notify_one();
        self.bus.notify(CHANGED, session.to_string().into_bytes().into()).await;
    }
}

fn state_name(state: SessionState) -> String {
    state.as_str_name().trim_start_matches("SESSION_STATE_").to_lowercase()
}

/// A session and its tenant, the first two columns.
fn pair(row: &sea_orm::QueryResult) -> Result<(SessionId, TenantId), Error> {
    Ok((SessionId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?)))
}

fn phone_place(tenant: TenantId, session: SessionId) -> Place {
    Place { tenant: tenant.uuid(), column: "session_pool.sessions.phone", row: session.uuid() }
}

fn credentials_place(tenant: TenantId, session: SessionId) -> Place {
    Place { tenant: tenant.uuid(), column: "session_pool.sessions.credentials", row: session.uuid() }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        // The one uniqueness that callers can run into; ids are minted.
        match error.sql_err() {
            Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => Self::NumberTaken,
            _ => Self::Database(error),
        }
    }
}
