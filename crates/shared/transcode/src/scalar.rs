//! Values of scalar fields from text and from JSON. Errors are phrases that read on after the name of the field.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use prost_reflect::{EnumDescriptor, Kind, Value};

use crate::json::Json;
use crate::names;

/// A value as it stands in a path or a query.
pub(crate) fn from_text(kind: &Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(expected("true or false", &quote(text))),
        },
        Kind::Enum(descriptor) => match text.parse::<i32>() {
            Ok(number) => enum_number(descriptor, i128::from(number)),
            Err(_) => enum_name(descriptor, text),
        },
        kind => from_json(kind, &Json::Text(Cow::Borrowed(text))),
    }
}

/// A value as it stands in JSON. Not for messages.
pub(crate) fn from_json(kind: &Kind, json: &Json<'_>) -> Result<Value, String> {
    match (kind, json) {
        (Kind::String, Json::Text(text)) => Ok(Value::String(text.clone().into_owned())),
        (Kind::String, other) => Err(expected("a string", other.what())),
        (Kind::Bool, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (Kind::Bool, other) => Err(expected("true or false", other.what())),
        (Kind::Bytes, Json::Text(text)) => bytes(text),
        (Kind::Bytes, other) => Err(expected("a string in base64", other.what())),
        (Kind::Enum(descriptor), Json::Null) if is_null_value(descriptor) => Ok(Value::EnumNumber(0)),
        (Kind::Enum(descriptor), Json::Text(name)) => enum_name(descriptor, name),
        (Kind::Enum(descriptor), Json::Number(number)) => match number.whole() {
            Some(number) => enum_number(descriptor, number),
            None => Err(expected("the name of a value", json.what())),
        },
        (Kind::Enum(descriptor), other) => Err(expected(&one_of(descriptor), other.what())),
        (Kind::Float | Kind::Double, _) => float(kind, json),
        (Kind::Int32 | Kind::Sint32 | Kind::Sfixed32, _) => integer(json, i32::MIN.into()..=i32::MAX.into(), |n| Value::I32(n as i32)),
        (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, _) => integer(json, i64::MIN.into()..=i64::MAX.into(), |n| Value::I64(n as i64)),
        (Kind::Uint32 | Kind::Fixed32, _) => integer(json, 0..=u32::MAX.into(), |n| Value::U32(n as u32)),
        (Kind::Uint64 | Kind::Fixed64, _) => integer(json, 0..=u64::MAX.into(), |n| Value::U64(n as u64)),
        (Kind::Message(message), _) => Err(format!("expected a {}", message.full_name())),
    }
}

pub(crate) fn is_null_value(descriptor: &EnumDescriptor) -> bool {
    descriptor.full_name() == "google.protobuf.NullValue"
}

pub(crate) fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {found}")
}

/// The text in quotes, cut where it would no longer help.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `make` is called with numbers in the range only.
fn integer(json: &Json<'_>, range: RangeInclusive<i128>, make: impl Fn(i128) -> Value) -> Result<Value, String> {
    let number = match json {
        Json::Number(number) => number.whole(),
        // Not `parse` alone, which takes a leading plus.
        Json::Text(text) if !text.starts_with('+') => text.parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if range.contains(&number) => Ok(make(number)),
        found => {
            let found = match (found, json) {
                (Some(number), _) => number.to_string(),
                (None, Json::Text(text)) => quote(text),
                (None, Json::Number(number)) => number.to_string(),
                (None, other) => other.what().to_owned(),
            };
            let what = format!("a whole number from {} to {}", range.start(), range.end());
            Err(expected(&what, &found))
        }
    }
}

fn float(kind: &Kind, json: &Json<'_>) -> Result<Value, String> {
    let value = match json {
        Json::Number(number) => number.float(),
        Json::Text(text) => match &**text {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            // `parse` knows more spellings of infinity, and makes it of what is too large.
            text => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => value,
                _ => return Err(expected("a number", &quote(text))),
            },
        },
        other => return Err(expected("a number", other.what())),
    };
    if matches!(kind, Kind::Double) {
        return Ok(Value::F64(value));
    }
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        return Err(expected("a number that fits 32 bits", &value.to_string()));
    }
    Ok(Value::F32(narrow))
}

fn bytes(text: &str) -> Result<Value, String> {
    let decoded = if text.contains(['-', '_']) { URL_SAFE_PAD_INDIFFERENT.decode(text) } else { STANDARD_PAD_INDIFFERENT.decode(text) };
    match decoded {
        Ok(decoded) => Ok(Value::Bytes(decoded.into())),
        Err(_) => Err(expected("base64", &quote(text))),
    }
}

fn enum_name(descriptor: &EnumDescriptor, name: &str) -> Result<Value, String> {
    if let Some(value) = descriptor.get_value_by_name(name) {
        return Ok(Value::EnumNumber(value.number()));
    }
    let values: Vec<_> = descriptor.values().collect();
    match names::nearest(name, values.iter().map(|value| value.name())) {
        Some(near) => Err(format!("unknown value {}; did you mean `{near}`?", quote(name))),
        None => Err(expected(&one_of(descriptor), &quote(name))),
    }
}

fn enum_number(descriptor: &EnumDescriptor, number: i128) -> Result<Value, String> {
    i32::try_from(number)
        .ok()
        .filter(|number| descriptor.get_value(*number).is_some())
        .map(Value::EnumNumber)
        .ok_or_else(|| expected(&one_of(descriptor), &number.to_string()))
}

fn one_of(descriptor: &EnumDescriptor) -> String {
    let values: Vec<_> = descriptor.values().collect();
    format!("one of {}", names::list(values.iter().map(|value| value.name())))
}
