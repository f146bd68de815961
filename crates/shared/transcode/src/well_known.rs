//! The messages of google.protobuf that have a JSON form of their own.

use chrono::{DateTime, SecondsFormat};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};

use crate::scalar::{self, expected, quote};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WellKnown {
    Any,
    Duration,
    FieldMask,
    List,
    Struct,
    Timestamp,
    Value,
    /// A scalar that can be missing: BoolValue, StringValue and so on.
    Wrapper,
}

impl WellKnown {
    pub fn of(message: &MessageDescriptor) -> Option<Self> {
        Some(match message.full_name().strip_prefix("google.protobuf.")? {
            "Any" => Self::Any,
            "Duration" => Self::Duration,
            "FieldMask" => Self::FieldMask,
            "ListValue" => Self::List,
            "Struct" => Self::Struct,
            "Timestamp" => Self::Timestamp,
            "Value" => Self::Value,
            "BoolValue" | "BytesValue" | "DoubleValue" | "FloatValue" | "Int32Value" | "Int64Value" | "StringValue" | "UInt32Value"
            | "UInt64Value" => Self::Wrapper,
            _ => return None,
        })
    }
}

/// The kind of value that a wrapper holds.
pub(crate) fn wrapped(message: &MessageDescriptor) -> Kind {
    message.get_field(1).expect("a wrapper has its value as field 1").kind()
}

/// Whether the message can stand in a path or a query as one text.
pub(crate) fn has_text_form(message: &MessageDescriptor) -> bool {
    use WellKnown::{Duration, FieldMask, Timestamp, Wrapper};
    matches!(WellKnown::of(message), Some(Duration | FieldMask | Timestamp | Wrapper))
}

/// Only for messages with a text form. The error reads on after the name of the field.
pub(crate) fn from_text(message: &MessageDescriptor, text: &str) -> Result<DynamicMessage, String> {
    let mut made = DynamicMessage::new(message.clone());
    match WellKnown::of(message) {
        Some(WellKnown::Timestamp) => set_time(&mut made, parse_timestamp(text)?),
        Some(WellKnown::Duration) => set_time(&mut made, parse_duration(text)?),
        Some(WellKnown::FieldMask) => {
            let paths = parse_mask(text)?.into_iter().map(Value::String).collect();
            made.set_field_by_number(1, Value::List(paths));
        }
        Some(WellKnown::Wrapper) => made.set_field_by_number(1, scalar::from_text(&wrapped(message), text)?),
        _ => return Err("is a message, which takes more than a text".to_owned()),
    }
    Ok(made)
}

fn set_time(message: &mut DynamicMessage, (seconds, nanos): (i64, i32)) {
    message.set_field_by_number(1, Value::I64(seconds));
    message.set_field_by_number(2, Value::I32(nanos));
}

/// Seconds and nanoseconds of a Timestamp or Duration.
pub(crate) fn time_of(message: &DynamicMessage) -> (i64, i32) {
    let seconds = message.get_field_by_number(1).and_then(|value| value.as_i64());
    let nanos = message.get_field_by_number(2).and_then(|value| value.as_i32());
    (seconds.unwrap_or(0), nanos.unwrap_or(0))
}

const NANOS: i32 = 1_000_000_000;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, as timestamp.proto has it.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// 10,000 years, as duration.proto has it.
const LONGEST: i64 = 315_576_000_000;

fn parse_timestamp(text: &str) -> Result<(i64, i32), String> {
    const EXPECTED: &str = "a time such as 2026-11-21T09:30:00Z";
    let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| {
        let mut problem = expected(EXPECTED, &quote(text));
        // `+02:00` in a query string, unless it is written `%2B02:00`.
        if text.contains(' ') && DateTime::parse_from_rfc3339(&text.replace(' ', "+")).is_ok() {
            problem.push_str(" (in a query, `+` is written %2B)");
        }
        problem
    })?;
    let (mut seconds, mut nanos) = (parsed.timestamp(), parsed.timestamp_subsec_nanos() as i32);
    // How chrono keeps a leap second, which a Timestamp cannot.
    if nanos >= NANOS {
        (seconds, nanos) = (seconds + 1, nanos - NANOS);
    }
    if !TIMESTAMPS.contains(&seconds) {
        return Err(expected("a time from the years 1 to 9999", &quote(text)));
    }
    Ok((seconds, nanos))
}

/// Nothing when it is out of range.
pub(crate) fn write_timestamp((seconds, nanos): (i64, i32)) -> Option<String> {
    if !TIMESTAMPS.contains(&seconds) || !(0..NANOS).contains(&nanos) {
        return None;
    }
    let time = DateTime::from_timestamp(seconds, nanos.unsigned_abs())?;
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn parse_duration(text: &str) -> Result<(i64, i32), String> {
    duration(text).ok_or_else(|| expected("a duration in seconds such as 1.5s", &quote(text)))
}

fn duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds: i64 = whole.parse().ok().filter(|seconds| *seconds <= LONGEST)?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    if seconds == LONGEST && nanos > 0 {
        return None;
    }
    Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

/// Nothing when it is out of range, or when its parts have different signs.
pub(crate) fn write_duration((seconds, nanos): (i64, i32)) -> Option<String> {
    let mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if mixed || !(-LONGEST..=LONGEST).contains(&seconds) || nanos.unsigned_abs() >= NANOS.unsigned_abs() {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    Some(match nanos {
        0 => format!("{sign}{seconds}s"),
        nanos if nanos % 1_000_000 == 0 => format!("{sign}{seconds}.{:03}s", nanos / 1_000_000),
        nanos if nanos % 1_000 == 0 => format!("{sign}{seconds}.{:06}s", nanos / 1_000),
        nanos => format!("{sign}{seconds}.{nanos:09}s"),
    })
}

/// Paths as the proto writes them. Both `displayName` and `display_name` are taken.
fn parse_mask(text: &str) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    for path in text.split(',').map(str::trim).filter(|path| !path.is_empty()) {
        let fits = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        if !fits {
            return Err(expected("names of fields such as `name,dailyQuota`", &quote(path)));
        }
        let mut snake = String::with_capacity(path.len() + 4);
        for character in path.chars() {
            if character.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(character.to_ascii_lowercase());
        }
        paths.push(snake);
    }
    Ok(paths)
}

/// Paths in JSON names, with commas between.
pub(crate) fn write_mask<'p>(paths: impl Iterator<Item = &'p str>) -> String {
    let mut text = String::new();
    for path in paths {
        if !text.is_empty() {
            text.push(',');
        }
        let mut raise = false;
        for character in path.chars() {
            match character {
                '_' => raise = true,
                other => {
                    text.push(if raise { other.to_ascii_uppercase() } else { other });
                    raise = false;
                }
            }
        }
    }
    text
}
