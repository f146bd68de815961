//! Variables: from JSON to what templates see, and back to their names when something is wrong with one.

use minijinja::Value;
use serde_json::Value as Json;

/// Beyond this, not every integer has a float of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Numbers that passed through protobuf are floats; 3.0 is 3 again, because customers read quantities. `null` in an object is
/// the same as its absence.
pub(super) fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), ..) => Value::from(integer),
            (_, Some(integer), _) => Value::from(integer),
            (.., Some(float)) if float.fract() == 0.0 && float.abs() < EXACT => Value::from(float as i64),
            (.., float) => Value::from(float),
        },
        Json::String(text) => Value::from(text),
        Json::Array(values) => values.iter().map(value_of).collect(),
        Json::Object(fields) => map_of(fields),
    }
}

/// As [`value_of`], for an object.
pub(super) fn map_of(fields: &serde_json::Map<String, Json>) -> Value {
    Value::from_pairs(fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, value_of(value))))
}

/// The names of the values inside of `variables` that `wanted` holds for, such as `items[0].price`.
pub(super) fn names_of(variables: &serde_json::Map<String, Json>, wanted: &dyn Fn(&Json) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in variables {
        collect(value, name.clone(), wanted, &mut names);
    }
    names
}

fn collect(value: &Json, name: String, wanted: &dyn Fn(&Json) -> bool, names: &mut Vec<String>) {
    match value {
        Json::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                collect(value, format!("{name}[{index}]"), wanted, names);
            }
        }
        Json::Object(fields) => {
            for (field, value) in fields {
                collect(value, format!("{name}.{field}"), wanted, names);
            }
        }
        _ => {}
    }
    if wanted(value) {
        names.push(name);
    }
}
