//! JSON schemas of messages, enums and fields.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;
use crate::annotations::{Annotations, FieldRules};
use crate::names;
use crate::scalar;
use crate::well_known::{self, WellKnown};

/// The schemas that were asked for so far, under the full names of their messages and enums.
pub(super) struct Schemas<'t> {
    pub annotations: &'t Annotations,
    pub comments: &'t Comments,
    pub components: Map<String, Value>,
}

impl Schemas<'_> {
    /// A reference to the schema of a message, or the schema itself when the message has a JSON form of its own.
    pub fn message(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(known) = WellKnown::of(message) {
            return self.well_known(known, message);
        }
        if message.full_name() == "google.protobuf.Empty" {
            return json!({"type": "object", "additionalProperties": false});
        }
        if !self.components.contains_key(message.full_name()) {
            // Stands there before it is filled, so that a message inside of itself ends.
            self.components.insert(message.full_name().to_owned(), Value::Null);
            let schema = self.object(message, |_| true);
            self.components.insert(message.full_name().to_owned(), schema);
        }
        reference(message.full_name())
    }

    /// The schema of a message with those of its fields for which `keep` is true.
    pub fn object(&mut self, message: &MessageDescriptor, keep: impl Fn(&FieldDescriptor) -> bool) -> Value {
        let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
        if let Some(comment) = self.comments.get(&message.parent_file(), message.path()) {
            schema.insert("description".to_owned(), comment.into());
        }
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields().filter(keep) {
            if self.annotations.behavior(&field).required {
                required.push(field.json_name().to_owned());
            }
            properties.insert(field.json_name().to_owned(), self.field(&field));
        }
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        schema.into()
    }

    /// The schema of a field with everything that is known of it.
    pub fn field(&mut self, field: &FieldDescriptor) -> Value {
        let rules = self.annotations.rules(field);
        let mut schema = self.bare(field, &rules);
        let behavior = self.annotations.behavior(field);
        let Some(members) = schema.as_object_mut() else {
            return schema;
        };
        let description = self.describe(field, &rules);
        if !description.is_empty() {
            members.insert("description".to_owned(), description.into());
        }
        if behavior.output_only {
            members.insert("readOnly".to_owned(), true.into());
        }
        if behavior.input_only {
            members.insert("writeOnly".to_owned(), true.into());
        }
        if field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            members.insert("deprecated".to_owned(), true.into());
        }
        if let Ok(example) = serde_json::from_str::<Value>(&rules.example) {
            members.insert("examples".to_owned(), json!([example]));
        }
        schema
    }

    fn describe(&self, field: &FieldDescriptor, rules: &FieldRules) -> String {
        let mut parts = Vec::new();
        parts.extend(self.comments.get(&field.parent_message().parent_file(), field.path()).map(str::to_owned));
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic() && oneof.fields().len() > 1) {
            let members: Vec<_> = oneof.fields().collect();
            let members = names::list(members.iter().map(FieldDescriptor::json_name));
            parts.push(format!("At most one of {members} is set."));
        }
        if !rules.aliases.is_empty() {
            let aliases = names::list(rules.aliases.iter().map(String::as_str));
            parts.push(format!("Also accepted as {aliases}."));
        }
        parts.join("\n\n")
    }

    fn bare(&mut self, field: &FieldDescriptor, rules: &FieldRules) -> Value {
        if field.is_map() {
            let value = field.kind().as_message().map(|entry| entry.map_entry_value_field().kind());
            let values = value.map_or(json!({}), |kind| self.single(&kind, rules));
            let mut schema = json!({"type": "object", "additionalProperties": values});
            if rules.max_items > 0 {
                schema["maxProperties"] = rules.max_items.into();
            }
            return schema;
        }
        let single = self.single(&field.kind(), rules);
        if !field.is_list() {
            return single;
        }
        let mut schema = json!({"type": "array", "items": single});
        if rules.max_items > 0 {
            schema["maxItems"] = rules.max_items.into();
        }
        schema
    }

    fn single(&mut self, kind: &Kind, rules: &FieldRules) -> Value {
        let mut schema = match kind {
            Kind::Message(message) => self.message(message),
            Kind::Enum(descriptor) => self.enumeration(descriptor),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Double => json!({"type": "number", "format": "double"}),
            Kind::Float => json!({"type": "number", "format": "float"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => {
                json!({"type": "integer", "format": "uint32", "minimum": 0, "maximum": u32::MAX})
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"})
            }
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        };
        match kind {
            Kind::String if rules.max_length > 0 => schema["maxLength"] = rules.max_length.into(),
            // The rule counts bytes; four characters of base64 are three of them.
            Kind::Bytes if rules.max_length > 0 => {
                schema["maxLength"] = (u64::from(rules.max_length).div_ceil(3) * 4).into();
            }
            _ => {}
        }
        if matches!(kind, Kind::String) && !rules.format.is_empty() {
            schema["format"] = rules.format.as_str().into();
        }
        let limited = rules.minimum != 0 || rules.maximum != 0;
        if limited && matches!(schema["type"].as_str(), Some("integer" | "number")) {
            schema["minimum"] = rules.minimum.into();
            if rules.maximum >= rules.minimum {
                schema["maximum"] = rules.maximum.into();
            }
        }
        schema
    }

    fn well_known(&mut self, known: WellKnown, message: &MessageDescriptor) -> Value {
        match known {
            WellKnown::Timestamp => json!({"type": "string", "format": "date-time"}),
            WellKnown::Duration => {
                json!({"type": "string", "format": "duration", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["1.5s"]})
            }
            WellKnown::FieldMask => {
                json!({"type": "string", "format": "field-mask", "examples": ["displayName,locale"]})
            }
            WellKnown::Struct => json!({"type": "object", "additionalProperties": true}),
            WellKnown::List => json!({"type": "array", "items": {}}),
            WellKnown::Value => json!({}),
            WellKnown::Wrapper => self.single(&well_known::wrapped(message), &FieldRules::default()),
            WellKnown::Any => json!({
                "type": "object",
                "properties": {"@type": {"type": "string", "description": "`type.googleapis.com/` and the full name of the type of the other members."}},
                "required": ["@type"],
                "additionalProperties": true,
            }),
        }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> Value {
        if scalar::is_null_value(descriptor) {
            return json!({"type": "null"});
        }
        if !self.components.contains_key(descriptor.full_name()) {
            let file = descriptor.parent_file();
            let mut parts = Vec::new();
            parts.extend(self.comments.get(&file, descriptor.path()).map(str::to_owned));
            let values: Vec<String> = descriptor
                .values()
                .filter_map(|value| {
                    let comment = self.comments.get(&file, value.path())?.replace('\n', " ");
                    Some(format!("- `{}`: {comment}", value.name()))
                })
                .collect();
            if !values.is_empty() {
                parts.push(values.join("\n"));
            }
            let names: Vec<String> = descriptor.values().map(|value| value.name().to_owned()).collect();
            let mut schema = json!({"type": "string", "enum": names});
            if !parts.is_empty() {
                schema["description"] = parts.join("\n\n").into();
            }
            self.components.insert(descriptor.full_name().to_owned(), schema);
        }
        reference(descriptor.full_name())
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
