//! Makes the request message of body, path and query.

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};

use crate::binding::{Binding, Body};
use crate::json::{Json, Reader, rival};
use crate::names::Names;
use crate::scalar;
use crate::well_known;
use crate::{RequestError, Violation, percent, query};

pub(crate) fn build(binding: &Binding, names: &Names, path: &str, query: Option<&str>, body: &[u8]) -> Result<Bytes, RequestError> {
    let mut message = DynamicMessage::new(binding.input.clone());
    let mut violations = read_body(binding, names, &mut message, body);
    read_path(binding, path, &mut message, &mut violations);
    if let Some(query) = query {
        query::read(binding, names, query, &mut message, &mut violations);
    }
    if violations.is_empty() {
        return Ok(message.encode_to_vec().into());
    }
    violations.truncate(RequestError::LIMIT);
    Err(RequestError { violations })
}

fn read_body(binding: &Binding, names: &Names, message: &mut DynamicMessage, body: &[u8]) -> Vec<Violation> {
    let alone = |description: &str| vec![Violation { field: String::new(), description: description.to_owned() }];
    let body = body.trim_ascii();
    if body.is_empty() {
        return Vec::new();
    }
    if let Body::None = binding.body {
        // Some clients cannot help but send an empty object.
        let empty = matches!(Json::parse(body), Ok(Json::Object(members)) if members.is_empty());
        return if empty { Vec::new() } else { alone("this call takes no body") };
    }
    let json = match Json::parse(body) {
        Ok(json) => json,
        Err(problem) => return alone(&format!("the body {problem}")),
    };
    let mut reader = Reader::new(names);
    match &binding.body {
        Body::Field(field) => reader.alone(message, field, json),
        // What the object lacks, the reader has noted.
        Body::Whole | Body::None => drop(reader.fill(message, json)),
    }
    reader.violations
}

fn read_path(binding: &Binding, path: &str, message: &mut DynamicMessage, violations: &mut Vec<Violation>) {
    for bound in &binding.variables {
        let text = binding.template.capture(&bound.variable, path);
        let decoded = if binding.template.spans_many(&bound.variable) { percent::decode_segments(text) } else { percent::decode(text) };
        let (leaf, parents) = bound.fields.split_last().expect("a variable names at least one field");
        let result = decoded.map_err(str::to_owned).and_then(|text| leaf_value(leaf, &text)).and_then(|value| {
            let parent = descend(message, parents)?;
            if parent.has_field(leaf) && *parent.get_field(leaf) != value {
                return Err("is one thing in the path and another in the body".to_owned());
            }
            set(parent, leaf, value)
        });
        if let Err(description) = result {
            violations.push(Violation { field: field_path(&bound.fields), description });
        }
    }
}

/// The value of a field as it stands in a path or a query; of one item when the field is repeated.
pub(crate) fn leaf_value(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    match field.kind() {
        Kind::Message(message) => well_known::from_text(&message, text).map(Value::Message),
        kind => scalar::from_text(&kind, text),
    }
}

/// The message inside of messages to which the fields lead, made where it is missing.
pub(crate) fn descend<'m>(mut message: &'m mut DynamicMessage, fields: &[FieldDescriptor]) -> Result<&'m mut DynamicMessage, String> {
    for field in fields {
        if let Some(rival) = rival(message, field) {
            return Err(together(&rival));
        }
        message = message.get_field_mut(field).as_message_mut().expect("all but the last field of a path were checked to be messages");
    }
    Ok(message)
}

/// Sets a field, or adds to it when it is repeated.
pub(crate) fn set(message: &mut DynamicMessage, field: &FieldDescriptor, value: Value) -> Result<(), String> {
    if let Some(rival) = rival(message, field) {
        return Err(together(&rival));
    }
    match message.get_field_mut(field) {
        Value::List(values) => values.push(value),
        single => *single = value,
    }
    Ok(())
}

fn together(rival: &FieldDescriptor) -> String {
    format!("cannot be given together with `{}`", rival.json_name())
}

/// `message.scheduleTime`
pub(crate) fn field_path(fields: &[FieldDescriptor]) -> String {
    let names: Vec<&str> = fields.iter().map(FieldDescriptor::json_name).collect();
    names.join(".")
}
