//! Writes messages as JSON, through serde, so that the same code makes bytes and trees.
//!
//! Fields without presence are always written, also when they hold their default: a reader of the JSON sees `0`, `""`,
//! `false`, `[]` and the name of the zero value where it would otherwise have to know what a missing member means. What
//! can be missing (messages, `optional` fields, members of a oneof) is written when it is there. Enums are written by
//! name, or by number when the number has no name; 64-bit integers as strings; maps in the order of their keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};
use serde::ser::{Error, Serialize, SerializeMap, Serializer};

use super::any;
use crate::scalar;
use crate::well_known::{self, WellKnown};

pub(crate) struct MessageJson<'m> {
    pub message: &'m DynamicMessage,
    /// How many more messages of type Any may be expanded.
    pub any: usize,
}

pub(crate) struct FieldJson<'m> {
    pub field: &'m FieldDescriptor,
    pub value: &'m Value,
    pub any: usize,
}

struct SingleJson<'m> {
    kind: &'m Kind,
    value: &'m Value,
    any: usize,
}

impl Serialize for MessageJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(known) = WellKnown::of(&self.message.descriptor()) else {
            let mut object = serializer.serialize_map(None)?;
            self.members(&mut object)?;
            return object.end();
        };
        match known {
            WellKnown::Any => self.write_any(serializer),
            WellKnown::Timestamp => match well_known::write_timestamp(well_known::time_of(self.message)) {
                Some(text) => serializer.serialize_str(&text),
                None => Err(S::Error::custom("a timestamp is out of range")),
            },
            WellKnown::Duration => match well_known::write_duration(well_known::time_of(self.message)) {
                Some(text) => serializer.serialize_str(&text),
                None => Err(S::Error::custom("a duration is out of range")),
            },
            WellKnown::FieldMask => {
                let paths = self.message.get_field_by_number(1);
                let paths = paths.as_ref().and_then(|paths| paths.as_list()).unwrap_or_default();
                serializer.serialize_str(&well_known::write_mask(paths.iter().filter_map(Value::as_str)))
            }
            WellKnown::List | WellKnown::Struct | WellKnown::Wrapper => {
                let field = self.message.descriptor().get_field(1).ok_or_else(|| S::Error::custom("no field 1"))?;
                FieldJson { field: &field, value: &self.message.get_field(&field), any: self.any }.serialize(serializer)
            }
            WellKnown::Value => match self.message.fields().next() {
                Some((_, Value::F64(number))) if !number.is_finite() => {
                    Err(S::Error::custom("a google.protobuf.Value holds a number that JSON does not have"))
                }
                Some((field, value)) => FieldJson { field: &field, value, any: self.any }.serialize(serializer),
                None => serializer.serialize_unit(),
            },
        }
    }
}

impl MessageJson<'_> {
    fn members<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        for field in self.message.descriptor().fields() {
            if field.supports_presence() && !self.message.has_field(&field) {
                continue;
            }
            let value = self.message.get_field(&field);
            object.serialize_entry(field.json_name(), &FieldJson { field: &field, value: &value, any: self.any })?;
        }
        Ok(())
    }

    fn write_any<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let type_url = self.message.get_field_by_number(1);
        let type_url = type_url.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
        let bytes = self.message.get_field_by_number(2);
        let bytes = bytes.as_ref().and_then(|value| value.as_bytes()).map_or(&[][..], |bytes| &bytes[..]);
        let members = any::members(self.message.descriptor().parent_pool(), type_url, bytes, self.any);
        let mut object = serializer.serialize_map(Some(members.len() + 1))?;
        object.serialize_entry("@type", type_url)?;
        for (name, value) in members {
            object.serialize_entry(&name, &value)?;
        }
        object.end()
    }
}

impl Serialize for FieldJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = self.field.kind();
        match self.value {
            Value::List(values) => serializer.collect_seq(values.iter().map(|value| SingleJson { kind: &kind, value, any: self.any })),
            Value::Map(entries) => {
                let entry = kind.as_message().ok_or_else(|| S::Error::custom("a map without entries"))?;
                let kind = entry.map_entry_value_field().kind();
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                serializer.collect_map(entries.into_iter().map(|(key, value)| {
                    let value = SingleJson { kind: &kind, value, any: self.any };
                    (Key(key), value)
                }))
            }
            value => SingleJson { kind: &kind, value, any: self.any }.serialize(serializer),
        }
    }
}

impl Serialize for SingleJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            Value::I64(value) => serializer.collect_str(value),
            Value::U64(value) => serializer.collect_str(value),
            Value::F32(value) if value.is_finite() => serializer.serialize_f32(*value),
            Value::F32(value) => serializer.serialize_str(not_finite(f64::from(*value))),
            Value::F64(value) if value.is_finite() => serializer.serialize_f64(*value),
            Value::F64(value) => serializer.serialize_str(not_finite(*value)),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_str(&STANDARD.encode(value)),
            Value::EnumNumber(number) => match self.kind.as_enum() {
                Some(descriptor) if scalar::is_null_value(descriptor) => serializer.serialize_unit(),
                Some(descriptor) => match descriptor.get_value(*number) {
                    Some(value) => serializer.serialize_str(value.name()),
                    None => serializer.serialize_i32(*number),
                },
                None => serializer.serialize_i32(*number),
            },
            Value::Message(message) => MessageJson { message, any: self.any }.serialize(serializer),
            Value::List(_) | Value::Map(_) => Err(S::Error::custom("a list inside of a list")),
        }
    }
}

struct Key<'m>(&'m MapKey);

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            MapKey::Bool(key) => serializer.serialize_str(if *key { "true" } else { "false" }),
            MapKey::I32(key) => serializer.collect_str(key),
            MapKey::I64(key) => serializer.collect_str(key),
            MapKey::U32(key) => serializer.collect_str(key),
            MapKey::U64(key) => serializer.collect_str(key),
            MapKey::String(key) => serializer.serialize_str(key),
        }
    }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}
