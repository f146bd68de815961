//! Reads messages from parsed JSON and notes everything that does not fit, with the path of the field.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};

use super::Json;
use crate::names::Names;
use crate::scalar::{self, expected, quote};
use crate::well_known::{self, WellKnown};
use crate::{RequestError, Violation};

/// Most messages inside of each other. Decoders of protobuf stop at 100, and what is read here travels inside of further
/// messages before it is decoded again. One object in a google.protobuf.Struct is three of them.
const MAX_NESTING: usize = 80;

pub(crate) struct Reader<'n> {
    names: &'n Names,
    /// Where the reader stands, such as `messages[3].recipient`.
    path: String,
    nesting: usize,
    pub violations: Vec<Violation>,
}

/// The member of the same oneof that the message has already.
pub(crate) fn rival(message: &DynamicMessage, field: &FieldDescriptor) -> Option<FieldDescriptor> {
    let oneof = field.containing_oneof()?;
    oneof.fields().find(|other| other.number() != field.number() && message.has_field(other))
}

impl<'n> Reader<'n> {
    pub fn new(names: &'n Names) -> Self {
        Self { names, path: String::new(), nesting: 0, violations: Vec::new() }
    }

    /// Notes what is wrong with the place where the reader stands. Answers with nothing, so that it can end a match arm
    /// which would have made a value.
    fn refuse<T>(&mut self, description: String) -> Option<T> {
        if !self.is_full() {
            self.violations.push(Violation { field: self.path.clone(), description });
        }
        None
    }

    /// Whether enough is wrong to stop reading.
    fn is_full(&self) -> bool {
        self.violations.len() >= RequestError::LIMIT
    }

    /// Reads one level deeper, at the member `name`.
    fn member<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        let result = read(self);
        self.path.truncate(length);
        result
    }

    /// Reads one level deeper, at the entry `key` of a map.
    fn entry<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let simple = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=64).contains(&key.len()) && key.bytes().all(simple) {
            return self.member(key, read);
        }
        let length = self.path.len();
        // Writing to a string cannot fail.
        let _ = write!(self.path, "[{}]", quote(key));
        let result = read(self);
        self.path.truncate(length);
        result
    }

    fn item<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        let _ = write!(self.path, "[{index}]");
        let result = read(self);
        self.path.truncate(length);
        result
    }

    /// Reads one message deeper.
    fn nested<T>(&mut self, levels: usize, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.nesting + levels > MAX_NESTING {
            return self.refuse("is nested too deeply".to_owned());
        }
        self.nesting += levels;
        let result = read(self);
        self.nesting -= levels;
        result
    }

    /// Reads the value of a top-level field on its own: a body that is one field.
    pub fn alone(&mut self, target: &mut DynamicMessage, field: &FieldDescriptor, json: Json<'_>) {
        self.member(field.json_name(), |reader| reader.set(target, field, json));
    }

    /// Reads the fields of a message from an object.
    pub fn fill(&mut self, target: &mut DynamicMessage, json: Json<'_>) -> Option<()> {
        let members = self.object(json)?;
        let descriptor = target.descriptor();
        let mut seen: Vec<(u32, Cow<'_, str>)> = Vec::with_capacity(members.len());
        for (name, json) in members {
            if self.is_full() {
                return None;
            }
            let names = self.names;
            let Some(field) = names.find(&descriptor, &name) else {
                self.entry(&name, |reader| {
                    let description = names.unknown(&descriptor, &name, "field");
                    reader.refuse::<()>(description)
                });
                continue;
            };
            self.member(field.json_name(), |reader| match seen.iter().find(|(number, _)| *number == field.number()) {
                Some((_, first)) if *first == name => {
                    reader.refuse::<()>("is given twice".to_owned());
                }
                Some((_, first)) => {
                    reader.refuse::<()>(format!("is given twice, as `{first}` and as `{name}`"));
                }
                None => reader.set(target, field, json),
            });
            seen.push((field.number(), name));
        }
        Some(())
    }

    fn set(&mut self, target: &mut DynamicMessage, field: &FieldDescriptor, json: Json<'_>) {
        if matches!(json, Json::Null) && !takes_null(field) {
            return;
        }
        if let Some(rival) = rival(target, field) {
            self.refuse::<()>(format!("cannot be given together with `{}`", rival.json_name()));
            return;
        }
        if let Some(value) = self.field(field, json) {
            target.set_field(field, value);
        }
    }

    fn field(&mut self, field: &FieldDescriptor, json: Json<'_>) -> Option<Value> {
        let kind = field.kind();
        if field.is_map() {
            return self.map(kind.as_message()?, json);
        }
        if !field.is_list() {
            return self.single(&kind, json);
        }
        match json {
            Json::List(items) => self.list(&kind, items).map(Value::List),
            other => self.refuse(expected("a list", other.what())),
        }
    }

    fn list(&mut self, kind: &Kind, items: Vec<Json<'_>>) -> Option<Vec<Value>> {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            if self.is_full() {
                return None;
            }
            values.extend(self.item(index, |reader| reader.single(kind, item)));
        }
        Some(values)
    }

    fn map(&mut self, entry: &MessageDescriptor, json: Json<'_>) -> Option<Value> {
        let members = self.object(json)?;
        let (keys, values) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let mut map = HashMap::with_capacity(members.len());
        for (name, json) in members {
            if self.is_full() {
                return None;
            }
            self.entry(&name, |reader| {
                let key = match scalar::from_text(&keys, &name) {
                    Ok(key) => key.into_map_key(),
                    Err(problem) => return reader.refuse(format!("has a key that does not fit: {problem}")),
                };
                let value = reader.nested(1, |reader| reader.single(&values, json))?;
                let key: MapKey = key?;
                match map.insert(key, value) {
                    Some(_) => reader.refuse("is given twice".to_owned()),
                    None => Some(()),
                }
            });
        }
        Some(Value::Map(map))
    }

    fn single(&mut self, kind: &Kind, json: Json<'_>) -> Option<Value> {
        match (kind, json) {
            (Kind::Message(message), json) => {
                let made = self.nested(1, |reader| reader.message(message, json))?;
                Some(Value::Message(made))
            }
            // The common case, without a copy where the text has no escapes to undo.
            (Kind::String, Json::Text(text)) => Some(Value::String(text.into_owned())),
            (kind, json) => match scalar::from_json(kind, &json) {
                Ok(value) => Some(value),
                Err(problem) => self.refuse(problem),
            },
        }
    }

    fn message(&mut self, descriptor: &MessageDescriptor, json: Json<'_>) -> Option<DynamicMessage> {
        let Some(known) = WellKnown::of(descriptor) else {
            let mut made = DynamicMessage::new(descriptor.clone());
            self.fill(&mut made, json)?;
            return Some(made);
        };
        match known {
            WellKnown::Value => self.value(descriptor, json),
            WellKnown::Any => self.any(descriptor, json),
            WellKnown::Struct | WellKnown::List => {
                let mut made = DynamicMessage::new(descriptor.clone());
                let field = descriptor.get_field(1)?;
                let value = self.field(&field, json)?;
                made.set_field(&field, value);
                Some(made)
            }
            WellKnown::Wrapper => {
                let value = self.single(&well_known::wrapped(descriptor), json)?;
                let mut made = DynamicMessage::new(descriptor.clone());
                made.set_field_by_number(1, value);
                Some(made)
            }
            WellKnown::Duration | WellKnown::FieldMask | WellKnown::Timestamp => match json {
                Json::Text(text) => match well_known::from_text(descriptor, &text) {
                    Ok(made) => Some(made),
                    Err(problem) => self.refuse(problem),
                },
                other => self.refuse(expected("a string", other.what())),
            },
        }
    }

    /// google.protobuf.Value: whatever it is.
    fn value(&mut self, descriptor: &MessageDescriptor, json: Json<'_>) -> Option<DynamicMessage> {
        let (number, value) = match json {
            Json::Null => (1, Value::EnumNumber(0)),
            Json::Number(number) => (2, Value::F64(number.float())),
            Json::Text(text) => (3, Value::String(text.into_owned())),
            Json::Bool(value) => (4, Value::Bool(value)),
            json @ Json::Object(_) => (5, self.single(&descriptor.get_field(5)?.kind(), json)?),
            json @ Json::List(_) => (6, self.single(&descriptor.get_field(6)?.kind(), json)?),
        };
        let mut made = DynamicMessage::new(descriptor.clone());
        made.set_field_by_number(number, value);
        Some(made)
    }

    /// google.protobuf.Any: a message of the type that `@type` names, written into the same object; or into `value` when
    /// the type has a JSON form of its own.
    fn any(&mut self, descriptor: &MessageDescriptor, json: Json<'_>) -> Option<DynamicMessage> {
        let mut members = self.object(json)?;
        let Some(at) = members.iter().position(|(name, _)| name == "@type") else {
            return self.refuse("expected a member `@type` that names the type".to_owned());
        };
        let type_url = match members.remove(at).1 {
            Json::Text(text) => text.into_owned(),
            other => return self.member("@type", |reader| reader.refuse(expected("a string", other.what()))),
        };
        let name = type_url.rsplit('/').next().unwrap_or(&type_url);
        let Some(inner) = descriptor.parent_pool().get_message_by_name(name) else {
            return self.member("@type", |reader| reader.refuse(format!("unknown type {}", quote(name))));
        };
        let message = self.nested(1, |reader| {
            if WellKnown::of(&inner).is_none() {
                return reader.message(&inner, Json::Object(members));
            }
            match <[_; 1]>::try_from(members) {
                Ok([(name, json)]) if name == "value" => reader.member("value", |reader| reader.message(&inner, json)),
                _ => reader.refuse("expected `@type` and `value`, and nothing else".to_owned()),
            }
        })?;
        let mut made = DynamicMessage::new(descriptor.clone());
        made.set_field_by_number(1, Value::String(type_url));
        made.set_field_by_number(2, Value::Bytes(Bytes::from(message.encode_to_vec())));
        Some(made)
    }

    fn object<'a>(&mut self, json: Json<'a>) -> Option<Vec<(Cow<'a, str>, Json<'a>)>> {
        match json {
            Json::Object(members) => Some(members),
            other => self.refuse(expected("an object", other.what())),
        }
    }
}

/// Whether null is a value of the field, and not the lack of one.
fn takes_null(field: &FieldDescriptor) -> bool {
    !field.is_list()
        && !field.is_map()
        && match field.kind() {
            Kind::Message(message) => WellKnown::of(&message) == Some(WellKnown::Value),
            Kind::Enum(descriptor) => scalar::is_null_value(&descriptor),
            _ => false,
        }
}
