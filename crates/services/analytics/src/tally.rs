//! Which events count, and as what.
//!
//! Events count as they are told, without a memory of the message: `accepted` once per message, since only its first event counts as that;
//! every other state as often as the message reaches it. So a dead letter that is sent again and fails again is two failures, and a message
//! that WhatsApp took, rejected later and took again was sent twice.

use std::collections::BTreeMap;

use barid_domain::TenantId;
use barid_proto::{
    events::v1::{Event, MessagePayload, event::Payload},
    time,
};
use chrono::{DateTime, Utc};

/// Seconds of the narrowest count. Every time zone's hours begin on such a quarter.
const QUARTER: i64 = 15 * 60;

/// What is counted apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub tenant: TenantId,
    /// Its beginning.
    pub quarter: DateTime<Utc>,
    pub state: &'static str,
    /// Name of the template; empty for free text.
    pub template: String,
}

/// The counts of a batch of events.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub counts: BTreeMap<Key, i64>,
    /// When the newest event counted here happened.
    pub newest: BTreeMap<TenantId, DateTime<Utc>>,
}

impl Tally {
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut tally = Self::default();
        for event in events {
            if tally.add(event).is_none() {
                tracing::error!(event = event.id, "an event cannot be read; it is not counted");
            }
        }
        tally
    }

    /// `None` when the event cannot be read.
    fn add(&mut self, event: &Event) -> Option<()> {
        let at = time(event.time.as_ref()?)?;
        let tenant = event.tenant_id.parse().ok()?;
        let Some(Payload::Message(message)) = &event.payload else { return None };
        if let Some(state) = reached(&event.kind, at, message) {
            let key = Key { tenant, quarter: quarter(at)?, state, template: message.template.clone() };
            *self.counts.entry(key).or_default() += 1;
            let newest = self.newest.entry(tenant).or_insert(at);
            *newest = at.max(*newest);
        }
        Some(())
    }
}

/// The state that an event counts for; `None` for a step on the way.
fn reached(kind: &str, at: DateTime<Utc>, message: &MessagePayload) -> Option<&'static str> {
    match kind {
        // The first event of a message. Later it is scheduled when its hours close, and queued when its time has come or it is tried again.
        "scheduled" | "queued"
            if message.attempt == 0 && accepted_at(message).is_some_and(|accepted| accepted == at.timestamp_micros()) =>
        {
            Some("accepted")
        }
        "sent" => Some("sent"),
        "delivered" => Some("delivered"),
        "read" => Some("read"),
        "failed" => Some("failed"),
        "cancelled" => Some("cancelled"),
        "expired" => Some("expired"),
        _ => None,
    }
}

/// In microseconds: the ledger keeps no finer times of events, while the payload says the time of acceptance to the nanosecond.
fn accepted_at(message: &MessagePayload) -> Option<i64> {
    Some(time(message.accept_time.as_ref()?)?.timestamp_micros())
}

fn quarter(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.timestamp().div_euclid(QUARTER) * QUARTER, 0)
}

#[cfg(test)]
mod tests {
    use barid_proto::timestamp;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn event(kind: &str, attempt: u32, accepted: &str, happened: &str) -> Event {
        let message =
            MessagePayload { attempt, template: "invoice".into(), accept_time: Some(timestamp(at(accepted))), ..Default::default() };
        Event {
            tenant_id: TenantId::from_uuid(uuid::Uuid::from_u128(7)).to_string(),
            kind: kind.into(),
            time: Some(timestamp(at(happened))),
            payload: Some(Payload::Message(message)),
            ..Event::default()
        }
    }

    fn states(events: &[Event]) -> Vec<(&'static str, i64)> {
        Tally::of(events).counts.into_iter().map(|(key, count)| (key.state, count)).collect()
    }

    const NOON: &str = "2026-03-10T12:00:00Z";
    const LATER: &str = "2026-03-10T12:00:01Z";

    #[test]
    fn a_message_is_accepted_once() {
        assert_eq!(states(&[event("queued", 0, NOON, NOON)]), [("accepted", 1)]);
        assert_eq!(states(&[event("scheduled", 0, NOON, NOON), event("queued", 0, NOON, LATER)]), [("accepted", 1)]);
        assert_eq!(states(&[event("scheduled", 0, NOON, NOON), event("scheduled", 0, NOON, LATER)]), [("accepted", 1)], "waits again");
        assert_eq!(states(&[event("queued", 1, NOON, LATER)]), [], "tried again");
        assert_eq!(states(&[event("queued", 1, NOON, NOON)]), [], "tried again at once, by a coarse clock");
        // The ledger cuts the time of the event to microseconds.
        assert_eq!(states(&[event("queued", 0, "2026-03-10T12:00:00.123456789Z", "2026-03-10T12:00:00.123456Z")]), [("accepted", 1)]);
    }

    #[test]
    fn steps_on_the_way_do_not_count() {
        for kind in ["sending", "uncertain", "retired"] {
            assert_eq!(states(&[event(kind, 1, NOON, LATER)]), [], "{kind}");
        }
        for kind in ["sent", "delivered", "read", "failed", "cancelled", "expired"] {
            let counted = states(&[event(kind, 1, NOON, LATER), event(kind, 2, NOON, LATER)]);
            assert_eq!(counted.iter().map(|(state, count)| (*state, *count)).collect::<Vec<_>>(), [(kind, 2)]);
        }
    }

    #[test]
    fn quarters_begin_every_fifteen_minutes() {
        for (happened, expected) in [
            ("2026-03-10T12:14:59.999Z", NOON),
            ("2026-03-10T12:15:00Z", "2026-03-10T12:15:00Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:45:00Z"),
        ] {
            assert_eq!(quarter(at(happened)), Some(at(expected)), "{happened}");
        }
    }

    #[test]
    fn the_newest_time_is_that_of_a_counted_event() {
        let tally =
            Tally::of(&[event("sent", 1, NOON, LATER), event("read", 1, NOON, NOON), event("sending", 1, NOON, "2026-03-10T13:00:00Z")]);
        assert_eq!(tally.newest.into_values().collect::<Vec<_>>(), [at(LATER)]);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let whole = event("sent", 1, NOON, LATER);
        let broken = [
            Event { time: None, ..whole.clone() },
            Event { tenant_id: "nobody".into(), ..whole.clone() },
            Event { payload: None, ..whole.clone() },
        ];
        assert_eq!(states(&broken), []);
        assert_eq!(states(&[broken[0].clone(), whole]), [("sent", 1)]);
    }
}
