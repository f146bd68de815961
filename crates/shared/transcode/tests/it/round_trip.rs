//! Random messages go to JSON and back, and say the same.

use std::collections::HashMap;

use http::Method;
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::support::{THINGS, THINGS_POOL};

fn descriptor(name: &str) -> MessageDescriptor {
    THINGS_POOL.get_message_by_name(name).expect("is there")
}

/// A random message whose fields are set with even odds.
fn message(descriptor: MessageDescriptor, depth: u32) -> BoxedStrategy<DynamicMessage> {
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => return time(descriptor, -62_135_596_800..=253_402_300_799, 0..=999_999_999),
        "google.protobuf.Duration" => return time(descriptor, 0..=315_575_999_999, 0..=999_999_999),
        "google.protobuf.FieldMask" => {
            let paths = vec("[a-z]{1,4}(_[a-z]{1,3}){0,2}(\\.[a-z]{1,3}){0,1}".prop_map(Value::String), 0..3);
            return paths.prop_map(move |paths| with(&descriptor, 1, Value::List(paths))).boxed();
        }
        "google.protobuf.Any" => {
            let inner = message(self::descriptor("everything.v1.Owner"), depth.saturating_sub(1));
            return inner
                .prop_map(move |inner| {
                    let mut any = with(&descriptor, 1, Value::String("type.googleapis.com/everything.v1.Owner".to_owned()));
                    any.set_field_by_number(2, Value::Bytes(inner.encode_to_vec().into()));
                    any
                })
                .boxed();
        }
        "google.protobuf.Value" => return dynamic(descriptor, depth),
        _ => {}
    }
    let fields: Vec<FieldDescriptor> = descriptor.fields().filter(|field| depth > 0 || !matches!(field.kind(), Kind::Message(_))).collect();
    let values: Vec<_> = fields
        .iter()
        .map(|field| {
            // A message of fifty fields in each of which another one is likely would grow for ever.
            let odds = if matches!(field.kind(), Kind::Message(_)) { 0.15 } else { 0.5 };
            option::weighted(odds, value(field, depth)).boxed()
        })
        .collect();
    values
        .prop_map(move |values| {
            let mut message = DynamicMessage::new(descriptor.clone());
            for (field, value) in fields.iter().zip(values) {
                if let Some(value) = value {
                    message.set_field(field, value);
                }
            }
            message
        })
        .boxed()
}

fn with(descriptor: &MessageDescriptor, number: u32, value: Value) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_number(number, value);
    message
}

fn time(
    descriptor: MessageDescriptor,
    seconds: std::ops::RangeInclusive<i64>,
    nanos: std::ops::RangeInclusive<i32>,
) -> BoxedStrategy<DynamicMessage> {
    (seconds, nanos)
        .prop_map(move |(seconds, nanos)| {
            let mut made = with(&descriptor, 1, Value::I64(seconds));
            made.set_field_by_number(2, Value::I32(nanos));
            made
        })
        .boxed()
}

/// google.protobuf.Value, which must hold exactly one kind and no number that JSON lacks.
fn dynamic(descriptor: MessageDescriptor, depth: u32) -> BoxedStrategy<DynamicMessage> {
    let leaf = prop_oneof![
        Just((1, Value::EnumNumber(0))),
        decimal().prop_map(|number| (2, Value::F64(number))),
        ".{0,4}".prop_map(|text| (3, Value::String(text))),
        any::<bool>().prop_map(|value| (4, Value::Bool(value))),
    ];
    let member = if depth == 0 {
        leaf.boxed()
    } else {
        let object = message(self::descriptor("google.protobuf.Struct"), depth - 1);
        let list = message(self::descriptor("google.protobuf.ListValue"), depth - 1);
        prop_oneof![
            3 => leaf,
            1 => object.prop_map(|object| (5, Value::Message(object))),
            1 => list.prop_map(|list| (6, Value::Message(list))),
        ]
        .boxed()
    };
    member.prop_map(move |(number, value)| with(&descriptor, number, value)).boxed()
}

fn value(field: &FieldDescriptor, depth: u32) -> BoxedStrategy<Value> {
    if field.is_map() {
        let entry = field.kind().as_message().expect("maps have entries").clone();
        let keys = single(&entry.map_entry_key_field().kind(), depth).prop_map(|key| key.into_map_key().expect("a key"));
        let values = single(&entry.map_entry_value_field().kind(), depth);
        let entries: BoxedStrategy<HashMap<MapKey, Value>> = hash_map(keys, values, 0..3).boxed();
        return entries.prop_map(Value::Map).boxed();
    }
    if field.is_list() {
        return vec(single(&field.kind(), depth), 0..3).prop_map(Value::List).boxed();
    }
    single(&field.kind(), depth)
}

/// A number of few digits. Without its feature `float_roundtrip`, serde_json may read others off by the last bit.
fn decimal() -> BoxedStrategy<f64> {
    (any::<i64>(), 0..20).prop_map(|(digits, places)| (digits >> 16) as f64 / 10f64.powi(places)).boxed()
}

fn single(kind: &Kind, depth: u32) -> BoxedStrategy<Value> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => any::<i32>().prop_map(Value::I32).boxed(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => any::<i64>().prop_map(Value::I64).boxed(),
        Kind::Uint32 | Kind::Fixed32 => any::<u32>().prop_map(Value::U32).boxed(),
        Kind::Uint64 | Kind::Fixed64 => any::<u64>().prop_map(Value::U64).boxed(),
        // Not NaN, which is not equal to itself.
        Kind::Float => (proptest::num::f32::ANY).prop_filter("equal to itself", |n| !n.is_nan()).prop_map(Value::F32).boxed(),
        Kind::Double => {
            let infinite = proptest::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY]);
            prop_oneof![9 => decimal(), 1 => infinite].prop_map(Value::F64).boxed()
        }
        Kind::String => "\\PC{0,6}|[\"\\\\/\u{0}-\u{1f}]{0,3}".prop_map(Value::String).boxed(),
        Kind::Bytes => vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        Kind::Enum(descriptor) => {
            let numbers: Vec<i32> = descriptor.values().map(|value| value.number()).collect();
            proptest::sample::select(numbers).prop_map(Value::EnumNumber).boxed()
        }
        Kind::Message(descriptor) => message(descriptor.clone(), depth.saturating_sub(1)).prop_map(Value::Message).boxed(),
    }
}

/// Shown as text: the `Debug` of prost-reflect's descriptors does not end for a message that holds itself.
struct Shown(DynamicMessage);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn json_says_the_same(Shown(thing) in message(thing_descriptor(), 2).prop_map(Shown)) {
        let read = THINGS.find(&Method::POST, "/v1/things").expect("is there");
        // prost-reflect tells a field that was set to its default from one that was not; the wire does not.
        let thing = DynamicMessage::decode(thing_descriptor(), thing.encode_to_vec().as_slice()).expect("can be decoded");
        let text = read.response(&thing.encode_to_vec()).expect("can be written");
        let bytes = read.request(None, &text).unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&text)));
        let back = DynamicMessage::decode(thing_descriptor(), bytes).expect("can be decoded");
        prop_assert!(back == thing, "{back}\n{thing}");
        // And the JSON is proto3's: another reader reads the same from it.
        let mut json = serde_json::Deserializer::from_slice(&text);
        let other = DynamicMessage::deserialize(thing_descriptor(), &mut json).expect("prost-reflect reads it");
        let other = DynamicMessage::decode(thing_descriptor(), other.encode_to_vec().as_slice()).expect("can be decoded");
        prop_assert!(other == thing, "{other}\n{thing}");
    }

    /// No body makes the reader panic, whatever it holds.
    #[test]
    fn no_body_panics(body in vec(any::<u8>(), 0..64), json in "[\\[{\\]}:,\"a-c0-9.eE -]{0,64}") {
        let found = THINGS.find(&Method::POST, "/v1/things").expect("is there");
        let _ = found.request(None, &body);
        let _ = found.request(None, json.as_bytes());
        let _ = found.response(&body);
        let _ = THINGS.status_json(3, "", &body);
    }
}

fn thing_descriptor() -> MessageDescriptor {
    descriptor("everything.v1.Thing")
}
