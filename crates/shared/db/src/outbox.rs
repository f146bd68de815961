//! The event table that every service which has something to tell keeps: append-only history and outbox in one.

use std::sync::{Arc, Mutex, PoisonError};

use barid_domain::{EventId, TenantId};
use barid_proto::events::v1::{Event, Position};
use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use sea_orm::{DbErr, QueryResult, Value};
use uuid::Uuid;

use crate::{Engine, Tx};

/// An event table: its name, the kind of entity it is about, and the prefix of that entity's ids.
#[derive(Clone, Copy, Debug)]
pub struct OutboxTable {
    /// With schema, such as `queue.message_events`.
    pub table: &'static str,
    /// Such as `message`.
    pub entity: &'static str,
    /// Writes the id of the entity.
    pub entity_id: fn(Uuid) -> String,
}

/// An event to be committed together with what it tells of.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub id: EventId,
    pub tenant: TenantId,
    pub entity: Uuid,
    pub kind: &'static str,
    pub at: DateTime<Utc>,
    /// Only its payload is kept; the rest stands in the columns.
    pub payload: barid_proto::events::v1::event::Payload,
}

/// Columns that [`read_event`] expects, in this order.
const COLUMNS: &str = "id, tenant_id, entity_id, kind, at, payload, generation, xid::text::bigint, seq";

/// Appends events in one statement.
pub async fn append(tx: &Tx, table: OutboxTable, events: Vec<NewEvent>) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO {} (id, tenant_id, entity_id, kind, at, payload)
         SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::bytea[])",
        table.table
    );
    let (mut ids, mut tenants, mut entities, mut kinds, mut times, mut payloads) = (vec![], vec![], vec![], vec![], vec![], vec![]);
    for event in events {
        ids.push(event.id.uuid());
        tenants.push(event.tenant.uuid());
        entities.push(event.entity);
        kinds.push(event.kind.to_owned());
        times.push(event.at);
        payloads.push(Event { payload: Some(event.payload), ..Event::default() }.encode_to_vec());
    }
    let values: [Value; 6] = [ids.into(), tenants.into(), entities.into(), kinds.into(), times.into(), payloads.into()];
    tx.run(sql, values).await?;
    Ok(())
}

impl OutboxTable {
    /// Reads events that match `condition`, whose values begin at `$1`, in the order of the ledger.
    /// Rows that an open transaction could still precede are left out.
    pub async fn select(self, tx: &Tx, condition: &str, values: Vec<Value>, limit: u32) -> Result<Vec<Event>, DbErr> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {} WHERE ({condition}) AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY generation, xid, seq LIMIT {limit}",
            self.table
        );
        let rows = tx.rows(sql, values).await?;
        rows.iter().map(|row| self.read_event(row)).collect()
    }

    /// Every event of one entity, oldest first, also those that are not told yet.
    pub async fn history(self, tx: &Tx, entity: Uuid) -> Result<Vec<Event>, DbErr> {
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE entity_id = $1 AND id >= $2 ORDER BY seq LIMIT 1000", self.table);
        let earliest = id_time(entity).map_or(Uuid::nil(), |at| first_id(at - APART));
        let rows = tx.rows(sql, [entity.into(), earliest.into()]).await?;
        rows.iter().map(|row| self.read_event(row)).collect()
    }

    fn read_event(self, row: &QueryResult) -> Result<Event, DbErr> {
        let payload: Vec<u8> = row.try_get_by_index(5)?;
        let mut event = Event::decode(payload.as_slice()).map_err(|error| DbErr::Type(format!("an event does not decode: {error}")))?;
        event.id = EventId::from_uuid(row.try_get_by_index(0)?).to_string();
        event.tenant_id = TenantId::from_uuid(row.try_get_by_index(1)?).to_string();
        event.entity = self.entity.to_owned();
        event.entity_id = (self.entity_id)(row.try_get_by_index(2)?);
        event.kind = row.try_get_by_index(3)?;
        event.time = Some(barid_proto::timestamp(row.try_get_by_index(4)?));
        event.position = Some(Position {
            generation: row.try_get_by_index::<i32>(6)?.cast_unsigned(),
            transaction: row.try_get_by_index::<i64>(7)?.cast_unsigned(),
            sequence: row.try_get_by_index::<i64>(8)?.cast_unsigned(),
        });
        Ok(event)
    }
}

/// Reads an event table for its relay.
#[derive(Clone, Debug)]
pub struct Outbox {
    engine: Engine,
    table: OutboxTable,
    read: Arc<Mutex<Option<Read>>>,
}

/// Up to where events were read.
#[derive(Clone, Copy, Debug)]
struct Read {
    position: Position,
    /// An id below those of all events that come after it.
    earliest: Uuid,
}

impl Outbox {
    pub fn new(engine: Engine, table: OutboxTable) -> Self {
        Self { engine, table, read: Arc::default() }
    }

    /// An id below those of all events after a position, which spares a look at the partitions of the days before.
    fn earliest(&self, after: Position) -> Uuid {
        let known = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|read| order(&read.position) <= order(&after)).map_or(Uuid::nil(), |read| read.earliest)
    }
}

fn order(position: &Position) -> (u32, u64, u64) {
    (position.generation, position.transaction, position.sequence)
}

/// How far apart the clocks may be that mint the ids of events, and how long events may wait for their commit, before one that comes later in
/// the order of the ledger could be looked for in the wrong days.
pub const APART: TimeDelta = TimeDelta::days(2);

/// The first of the ids that are minted at a time; of a time that no id can tell, the nearest.
pub fn first_id(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(at.timestamp_millis().clamp(0, (1 << 48) - 1).cast_unsigned()) << 80)
}

/// When an id was minted; none when it does not tell.
pub fn id_time(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(seconds.try_into().ok()?, nanos)
}

impl barid_bus::Outbox for Outbox {
    fn entity(&self) -> &'static str {
        self.table.entity
    }

    async fn read(&self, after: Position, limit: u32) -> Result<Vec<Event>, barid_bus::BoxError> {
        let (table, earliest) = (self.table, self.earliest(after));
        let read = self.engine.transaction("relay", move |tx| async move {
            let condition = "(generation, xid, seq) > ($1, $2::text::xid8, $3) AND id >= $4";
            let values = vec![
                after.generation.cast_signed().into(),
                after.transaction.to_string().into(),
                after.sequence.cast_signed().into(),
                earliest.into(),
            ];
            let events = table.select(&tx, condition, values, limit).await?;
            let Some(last) = events.last() else { return Ok((events, None)) };
            let minted = last.id.parse().ok().and_then(|id: EventId| id_time(id.uuid()));
            let now: Option<DateTime<Utc>> = tx.row("SELECT now()", []).await?.map(|row| row.try_get_by_index(0)).transpose()?;
            let position = last.position.unwrap_or_default();
            // A clock that is ahead says nothing of the others.
            let read = minted.zip(now).map(|(minted, now)| Read { position, earliest: first_id(minted.min(now) - APART) });
            Ok::<_, DbErr>((events, read))
        });
        let (events, read) = read.await?;
        if read.is_some() {
            *self.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
        }
        Ok(events)
    }

    async fn oldest(&self, after: Position) -> Result<Option<DateTime<Utc>>, barid_bus::BoxError> {
        // What happened may lie long before it was heard of; an id is minted when the event is written.
        let sql = format!(
            "SELECT id FROM {} WHERE (generation, xid, seq) > ($1, $2::text::xid8, $3) AND id >= $4 ORDER BY generation, xid, seq LIMIT 1",
            self.table.table
        );
        let earliest = self.earliest(after);
        let find = move |tx: Tx| async move {
            let values = [
                after.generation.cast_signed().into(),
                after.transaction.to_string().into(),
                after.sequence.cast_signed().into(),
                earliest.into(),
            ];
            tx.row(sql, values).await?.map(|row| row.try_get_by_index::<Uuid>(0)).transpose()
        };
        let id = self.engine.transaction("relay lag", find).await?;
        Ok(id.and_then(id_time))
    }

    async fn before(&self, since: DateTime<Utc>) -> Result<Position, barid_bus::BoxError> {
        let table = self.table;
        let find = move |tx: Tx| async move {
            let below = "xid < pg_snapshot_xmin(pg_current_snapshot())";
            let first = format!("SELECT {COLUMNS} FROM {} WHERE at >= $1 AND {below} ORDER BY at LIMIT 1", table.table);
            if let Some(row) = tx.row(first, [since.into()]).await? {
                let position = table.read_event(&row)?.position.unwrap_or_default();
                return Ok(Position { sequence: position.sequence.saturating_sub(1), ..position });
            }
            // Everything is older: nothing of it is told again.
            let last = format!("SELECT {COLUMNS} FROM {} WHERE {below} ORDER BY generation DESC, xid DESC, seq DESC LIMIT 1", table.table);
            match tx.row(last, []).await? {
                Some(row) => Ok(table.read_event(&row)?.position.unwrap_or_default()),
                None => Ok::<_, DbErr>(Position::default()),
            }
        };
        Ok(self.engine.transaction("relay", find).await?)
    }
}
