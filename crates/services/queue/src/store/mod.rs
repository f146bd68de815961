//! The ledger's tables.

mod accept;
mod acquaintances;
mod address_book;
mod apply;
mod claim;
mod committer;
mod consumed;
mod contacts;
mod conversations;
mod days;
mod demand;
mod events;
mod fallbacks;
mod fence;
mod form;
mod inbound;
mod jobs;
mod keys;
mod messages;
mod overview;
mod partitions;
mod people;
mod planning;
mod quota;
mod receipts;
mod redrive;
mod sweep;
mod targets;
mod tenant_hours;
mod waiting;

use std::sync::Arc;

use barid_bus::Bus;
use barid_db::{Db, OutboxTable};
use barid_domain::{Clock, MessageId, Minter};
use barid_vault::Vault;
use tokio::sync::Notify;

use crate::Error;

pub use sea_orm::DbErr;

pub(crate) use accept::{Accepted, NewMessage};
pub(crate) use address_book::AddressBook;
pub(crate) use apply::{Change, Closes, Standings, Ticket};
pub(crate) use claim::{Claimed, SessionClaim};
pub(crate) use committer::Committer;
pub(crate) use contacts::{ContactRow, Recipient};
pub(crate) use conversations::Wanted;
pub(crate) use demand::Demand;
pub(crate) use events::Told;
pub(crate) use fallbacks::{Ended, Taken};
pub(crate) use form::Quote;
pub(crate) use inbound::NewInbound;
pub(crate) use jobs::{JobRow, JobState};
pub(crate) use messages::Filter;
pub(crate) use people::Names;
pub(crate) use planning::Today;
pub(crate) use receipts::{NewOutcome, NewReceipt, ReceiptKind};
pub(crate) use redrive::DeadLetters;
pub(crate) use targets::Found;

/// The ledger's event table: of messages, and of what customers write, which [`events`] gives its own names.
pub(crate) const EVENTS: OutboxTable =
    OutboxTable { table: "queue.message_events", entity: "message", entity_id: |uuid| MessageId::from_uuid(uuid).to_string() };

#[derive(Clone)]
pub(crate) struct Store {
    pub db: Db,
    vault: Vault,
    ids: Arc<Minter>,
    clock: Arc<dyn Clock>,
    bus: Bus,
    told: Arc<Notify>,
}

impl Store {
    pub(crate) fn new(db: Db, vault: Vault, ids: Arc<Minter>, clock: Arc<dyn Clock>, bus: Bus, told: Arc<Notify>) -> Self {
        Self { db, vault, ids, clock, bus, told }
    }

    pub(crate) fn mint<K>(&self) -> barid_domain::Id<K> {
        self.ids.mint()
    }

    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// After a commit: events are there to be told, and when `waiting`, messages to be sent.
    async fn committed(&self, waiting: bool) {
        self.told.notify_one();
        if waiting {
            self.bus.notify("demand", Default::default()).await;
        }
    }
}

/// What each of so many callers hears of work that failed for all of them.
fn shared_failure<T>(what: &str, error: &Error, callers: usize) -> Vec<Result<T, Error>> {
    tracing::error!(%error, callers, "{what}");
    std::iter::repeat_with(|| Err(Error::Database(DbErr::Custom(what.to_owned())))).take(callers).collect()
}
