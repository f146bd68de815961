//! Puts events into the lines of the endpoints that want them, with the consumer's place in the same commit.

use std::collections::{BTreeSet, HashMap};

use barid_bus::{Applied, Checkpoint};
use barid_db::Tx;
use barid_domain::{DeliveryId, EndpointId, EventId, TenantId};
use barid_proto::events::v1::Event;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{SCHEMA, State, Store, row};
use crate::{Error, body::Writer, filter};

/// How far the clock of who minted an event may be behind ours: a clock that was set an hour ahead and back again runs ahead for two. An
/// endpoint may hear of as much from before it was made, where that is told late; of what came after, it misses nothing.
const SKEW: TimeDelta = TimeDelta::hours(3);

/// An endpoint as far as events are put into its lines.
struct Listener {
    id: EndpointId,
    event_types: Vec<String>,
    state: State,
    created_at: DateTime<Utc>,
}

/// A delivery to be.
pub(super) struct New {
    pub id: DeliveryId,
    pub tenant: TenantId,
    pub endpoint: EndpointId,
    pub event: EventId,
    pub event_type: String,
    pub entity_id: String,
    pub body: String,
    pub state: row::State,
}

impl Store {
    pub(crate) async fn checkpoint(&self, consumer: &'static str) -> Result<Checkpoint, Error> {
        self.db.engine.transaction("checkpoint", move |tx| async move { Ok(barid_db::checkpoint(&tx, SCHEMA, consumer).await?) }).await
    }

    /// Has events delivered, if the consumer still stands where it began.
    pub(crate) async fn enqueue(
        &self,
        consumer: &'static str,
        writer: Writer,
        events: Vec<Event>,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<Applied, Error> {
        let store = self.clone();
        let work = move |tx: Tx| async move {
            if !barid_db::advance(&tx, SCHEMA, consumer, from, to).await? {
                return Ok(Applied::Overtaken);
            }
            let listeners = listeners(&tx, &events).await?;
            let new = events.iter().flat_map(|event| store.addressed(event, &listeners, &writer));
            let new: Vec<New> = new.collect();
            put(&tx, new, store.now()).await?;
            Ok::<_, Error>(Applied::Done)
        };
        let applied = self.db.engine.transaction("enqueue", work).await?;
        self.waiting.notify_one();
        Ok(applied)
    }

    /// The deliveries of an event. One that cannot be read goes nowhere, and is told to the operators.
    fn addressed(&self, event: &Event, listeners: &HashMap<TenantId, Vec<Listener>>, writer: &Writer) -> Vec<New> {
        let (Ok(tenant), Ok(id)) = (event.tenant_id.parse::<TenantId>(), event.id.parse::<EventId>()) else {
            tracing::error!(event = event.id, "an event cannot be read; it is not delivered");
            return Vec::new();
        };
        let event_type = filter::event_type(event);
        // What was written before an endpoint was made is not for it, also when a stream is read from its beginning.
        let written = barid_db::id_time(id.uuid());
        let wants = |listener: &&Listener| {
            let of_itself = event.entity_id == listener.id.to_string();
            !of_itself && filter::wants(&listener.event_types, &event_type) && written.is_none_or(|at| at + SKEW >= listener.created_at)
        };
        let listeners: Vec<&Listener> = listeners.get(&tenant).into_iter().flatten().filter(wants).collect();
        if listeners.is_empty() {
            return Vec::new();
        }
        let Some(body) = writer.write(event) else {
            tracing::error!(event = event.id, "an event cannot be written as JSON; it is not delivered");
            return Vec::new();
        };
        let new = |listener: &&Listener| New {
            id: self.mint(),
            tenant,
            endpoint: listener.id,
            event: id,
            event_type: event_type.clone(),
            entity_id: event.entity_id.clone(),
            body: body.clone(),
            state: if listener.state == State::Enabled { row::State::Pending } else { row::State::Skipped },
        };
        listeners.iter().map(new).collect()
    }
}

async fn listeners(tx: &Tx, events: &[Event]) -> Result<HashMap<TenantId, Vec<Listener>>, DbErr> {
    let tenants: BTreeSet<Uuid> = events.iter().filter_map(|event| Some(event.tenant_id.parse::<TenantId>().ok()?.uuid())).collect();
    let sql = "SELECT tenant_id, id, event_types, state, created_at FROM webhook.endpoints WHERE tenant_id = ANY($1)";
    let mut listeners: HashMap<TenantId, Vec<Listener>> = HashMap::new();
    for row in tx.rows(sql, [tenants.into_iter().collect::<Vec<_>>().into()]).await? {
        let state: i16 = row.try_get_by_index(3)?;
        listeners.entry(TenantId::from_uuid(row.try_get_by_index(0)?)).or_default().push(Listener {
            id: EndpointId::from_uuid(row.try_get_by_index(1)?),
            event_types: row.try_get_by_index(2)?,
            state: if state == State::Enabled as i16 { State::Enabled } else { State::Disabled },
            created_at: row.try_get_by_index(4)?,
        });
    }
    Ok(listeners)
}

/// Writes deliveries in their order, and those that are pending into their lines.
pub(super) async fn put(tx: &Tx, new: Vec<New>, now: DateTime<Utc>) -> Result<(), DbErr> {
    if new.is_empty() {
        return Ok(());
    }
    // In one order for all, as each holds the lines that it has written.
    let lines: BTreeSet<(Uuid, String, Uuid)> = new
        .iter()
        .filter(|new| new.state == row::State::Pending)
        .map(|new| (new.endpoint.uuid(), new.entity_id.clone(), new.tenant.uuid()))
        .collect();
    let sql = "INSERT INTO webhook.deliveries
                    (id, tenant_id, endpoint_id, event_id, event_type, entity_id, body, state, due_at, created_at, ended_at)
               SELECT id, tenant_id, endpoint_id, event_id, event_type, entity_id, body, state, CASE WHEN state = 1 THEN $9 END, $9,
                    CASE WHEN state <> 1 THEN $9 END
               FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::smallint[])
                    WITH ORDINALITY AS n (id, tenant_id, endpoint_id, event_id, event_type, entity_id, body, state, place) ORDER BY place";
    let values = [
        new.iter().map(|new| new.id.uuid()).collect::<Vec<_>>().into(),
        new.iter().map(|new| new.tenant.uuid()).collect::<Vec<_>>().into(),
        new.iter().map(|new| new.endpoint.uuid()).collect::<Vec<_>>().into(),
        new.iter().map(|new| new.event.uuid()).collect::<Vec<_>>().into(),
        new.iter().map(|new| new.event_type.clone()).collect::<Vec<_>>().into(),
        new.iter().map(|new| new.entity_id.clone()).collect::<Vec<_>>().into(),
        new.iter().map(|new| new.body.clone()).collect::<Vec<_>>().into(),
        new.iter().map(|new| new.state as i16).collect::<Vec<_>>().into(),
        now.into(),
    ];
    tx.run(sql, values).await?;
    // A line that is there already is held all the same: who ends its last delivery at this moment must see the new ones, or be waited for.
    let sql = "INSERT INTO webhook.lines (endpoint_id, entity_id, tenant_id, due_at)
               SELECT endpoint_id, entity_id, tenant_id, $4 FROM UNNEST($1::uuid[], $2::text[], $3::uuid[])
                    WITH ORDINALITY AS n (endpoint_id, entity_id, tenant_id, place) ORDER BY place
               ON CONFLICT (endpoint_id, entity_id) DO UPDATE SET tenant_id = excluded.tenant_id";
    let values = [
        lines.iter().map(|(endpoint, _, _)| *endpoint).collect::<Vec<_>>().into(),
        lines.iter().map(|(_, entity, _)| entity.clone()).collect::<Vec<_>>().into(),
        lines.iter().map(|(_, _, tenant)| *tenant).collect::<Vec<_>>().into(),
        now.into(),
    ];
    tx.run(sql, values).await?;
    Ok(())
}
