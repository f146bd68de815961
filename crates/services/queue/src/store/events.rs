//! What happened, in the one order of the ledger. Messages and what customers write share the event table: a stream of a tenant's events is
//! resumed by the id of one event, and that is a place in one order only.

use barid_bus::BoxError;
use barid_db::{Outbox, Tx};
use barid_domain::{EventId, InboundId, MessageId, TenantId};
use barid_proto::events::v1::{Event, Position, event::Payload};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{EVENTS, Store};
use crate::Error;

/// The event table for its relay.
pub(crate) struct Told(Outbox);

impl Told {
    pub(crate) fn new(engine: barid_db::Engine) -> Self {
        Self(Outbox::new(engine, EVENTS))
    }
}

impl barid_bus::Outbox for Told {
    fn entity(&self) -> &'static str {
        self.0.entity()
    }

    async fn read(&self, after: Position, limit: u32) -> Result<Vec<Event>, BoxError> {
        Ok(self.0.read(after, limit).await?.into_iter().map(named).collect())
    }

    async fn oldest(&self, after: Position) -> Result<Option<DateTime<Utc>>, BoxError> {
        self.0.oldest(after).await
    }

    async fn before(&self, since: DateTime<Utc>) -> Result<Position, BoxError> {
        self.0.before(since).await
    }
}

impl Store {
    /// Events of a tenant in the order of the ledger, after the one with this id.
    pub(crate) async fn events(&self, tenant: TenantId, after: Option<EventId>, limit: u32) -> Result<Vec<Event>, Error> {
        let read = move |tx: Tx| async move {
            let Some(after) = after else { return Ok(EVENTS.select(&tx, "tenant_id = $1", vec![tenant.uuid().into()], limit).await?) };
            let sql = "SELECT generation, xid::text, seq, now() FROM queue.message_events WHERE id = $1";
            let row = tx.row(sql, [after.uuid().into()]).await?.ok_or_else(|| Error::not_found("event", after))?;
            // Nothing after it was minted long before it; a clock that is ahead says nothing of the others.
            let now: DateTime<Utc> = row.try_get_by_index(3)?;
            let earliest = barid_db::id_time(after.uuid()).map_or(Uuid::nil(), |at| barid_db::first_id(at.min(now) - barid_db::APART));
            let values = vec![
                tenant.uuid().into(),
                row.try_get_by_index::<i32>(0)?.into(),
                row.try_get_by_index::<String>(1)?.into(),
                row.try_get_by_index::<i64>(2)?.into(),
                earliest.into(),
            ];
            let condition = "tenant_id = $1 AND (generation, xid, seq) > ($2, $3::text::xid8, $4) AND id >= $5";
            Ok::<_, Error>(EVENTS.select(&tx, condition, values, limit).await?)
        };
        let events = self.db.tenant.transaction(tenant, read).await?;
        Ok(events.into_iter().map(named).collect())
    }
}

/// An event of the table under the name of what it happened to, which its payload tells.
fn named(event: Event) -> Event {
    let Some(Payload::Inbound(_)) = event.payload else { return event };
    let id = event.entity_id.parse().map(|id: MessageId| InboundId::from_uuid(id.uuid()).to_string());
    Event { entity: "inbound".to_owned(), entity_id: id.unwrap_or_default(), ..event }
}
