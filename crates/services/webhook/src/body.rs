//! What is posted: an event as it is told everywhere, in the envelope that Standard Webhooks recommends.

use barid_proto::{descriptor_pool, events::v1::Event, time};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::value::RawValue;

/// Writes events as JSON.
#[derive(Clone)]
pub(crate) struct Writer(MessageDescriptor);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(descriptor_pool().get_message_by_name("barid.events.v1.Event").expect("the protos have an event"))
    }

    /// `{"type": ..., "timestamp": ..., "data": ...}`; `None` when the event cannot be written, which none is that Barid told.
    pub(crate) fn write(&self, event: &Event) -> Option<String> {
        let message = DynamicMessage::decode(self.0.clone(), event.encode_to_vec().as_slice()).ok()?;
        let data = RawValue::from_string(String::from_utf8(barid_transcode::json(&message).ok()?).ok()?).ok()?;
        let timestamp = time(event.time.as_ref()?)?.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        let envelope = Envelope { r#type: crate::filter::event_type(event), timestamp, data };
        serde_json::to_string(&envelope).ok()
    }
}

#[derive(serde::Serialize)]
struct Envelope {
    r#type: String,
    timestamp: String,
    data: Box<RawValue>,
}

#[cfg(test)]
mod tests {
    use barid_proto::events::v1::{MessagePayload, event::Payload};

    use super::*;

    #[test]
    fn the_body_is_the_event_in_its_envelope() {
        let event = Event {
            id: "evt_1".into(),
            tenant_id: "ten_1".into(),
            entity: "message".into(),
            entity_id: "msg_1".into(),
            kind: "sent".into(),
            time: Some(prost_types::Timestamp { seconds: 1_773_144_000, nanos: 250_000_000 }),
            payload: Some(Payload::Message(MessagePayload { attempt: 1, ..MessagePayload::default() })),
            ..Event::default()
        };
        let body: serde_json::Value = serde_json::from_str(&Writer::new().write(&event).expect("a body")).expect("JSON");
        assert_eq!(body["type"], "message.sent");
        assert_eq!(body["timestamp"], "2026-03-10T12:00:00.250Z");
        assert_eq!(body["data"]["entityId"], "msg_1");
        assert_eq!((&body["data"]["message"]["attempt"], &body["data"]["time"]), (&1.into(), &body["timestamp"]));
        assert_eq!(Writer::new().write(&Event { time: None, ..event }), None);
    }
}
