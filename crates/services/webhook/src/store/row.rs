//! A row of table `deliveries`.

use barid_domain::{DeliveryId, EndpointId, EventId};
use barid_proto::{
    timestamp,
    webhook::v1::{Delivery, DeliveryState},
};
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, QueryResult};

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending = 1,
    Delivered = 2,
    Failed = 3,
    Skipped = 4,
}

impl From<State> for DeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Delivered => Self::Delivered,
            State::Failed => Self::Failed,
            State::Skipped => Self::Skipped,
        }
    }
}

/// Columns that [`to_proto`] reads.
pub(super) const COLUMNS: &str =
    "id, endpoint_id, event_id, event_type, entity_id, state, attempts, due_at, status, error, created_at, ended_at";

/// What callers see, without body and attempts.
pub(super) fn to_proto(row: &QueryResult) -> Result<Delivery, DbErr> {
    let number = |column: &str| row.try_get::<i32>("", column).map(i32::cast_unsigned);
    let time = |column: &str| Ok::<_, DbErr>(row.try_get::<Option<DateTime<Utc>>>("", column)?.map(timestamp));
    Ok(Delivery {
        id: DeliveryId::from_uuid(row.try_get("", "id")?).to_string(),
        endpoint_id: EndpointId::from_uuid(row.try_get("", "endpoint_id")?).to_string(),
        event_id: EventId::from_uuid(row.try_get("", "event_id")?).to_string(),
        event_type: row.try_get("", "event_type")?,
        entity_id: row.try_get("", "entity_id")?,
        state: row.try_get::<i16>("", "state")?.into(),
        attempt_count: number("attempts")?,
        next_attempt_time: time("due_at")?,
        last_status: number("status")?,
        last_error: row.try_get("", "error")?,
        create_time: time("created_at")?,
        end_time: time("ended_at")?,
        body: String::new(),
        attempts: Vec::new(),
    })
}
