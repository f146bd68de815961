//! Enforces the limits that the protos state with `(transcode.v1.field)` and `REQUIRED`.

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, Value};
use std::collections::HashMap;

use crate::{Violations, access::extension};

#[derive(Clone, Debug, Default)]
struct Rules {
    required: bool,
    max_length: usize,
    max_items: usize,
    range: Option<(i64, i64)>,
    individually: bool,
}

/// The limits of every message that requests are made of.
#[derive(Clone, Debug)]
pub(crate) struct Limits(HashMap<String, HashMap<u32, Rules>>);

impl Limits {
    pub(crate) fn new(pool: &DescriptorPool) -> Self {
        let rules = extension(pool, "transcode.v1.field");
        let behavior = extension(pool, "google.api.field_behavior");
        let all = pool.all_messages().filter(|message| message.full_name().starts_with("barid.")).map(|message| {
            let fields = message.fields().map(|field| {
                let options = field.options();
                let number = |name: &str| match options
                    .get_extension(&rules)
                    .as_message()
                    .and_then(|rules| rules.get_field_by_name(name))
                    .as_deref()
                {
                    Some(Value::U32(value)) => i64::from(*value),
                    Some(Value::I64(value)) => *value,
                    Some(Value::Bool(value)) => i64::from(*value),
                    _ => 0,
                };
                let required = matches!(&*options.get_extension(&behavior), Value::List(list) if list.contains(&Value::EnumNumber(2)));
                let (minimum, maximum) = (number("minimum"), number("maximum"));
                let rules = Rules {
                    required,
                    max_length: usize::try_from(number("max_length")).unwrap_or_default(),
                    max_items: usize::try_from(number("max_items")).unwrap_or_default(),
                    range: (minimum != 0 || maximum != 0).then_some((minimum, maximum)),
                    individually: number("individually") != 0,
                };
                (field.number(), rules)
            });
            (message.full_name().to_owned(), fields.collect())
        });
        Self(all.collect())
    }

    /// Adds what is wrong with a request, with paths as in JSON.
    pub(crate) fn check(&self, request: &DynamicMessage, violations: &mut Violations) {
        // An update names what it changes: what it leaves out stays as it is.
        let partial = request.descriptor().get_field_by_name("update_mask").is_some();
        self.check_message(request, "", partial, violations);
    }

    fn check_message(&self, message: &DynamicMessage, prefix: &str, partial: bool, violations: &mut Violations) {
        let descriptor: MessageDescriptor = message.descriptor();
        let Some(all) = self.0.get(descriptor.full_name()) else { return };
        for field in descriptor.fields() {
            let Some(rules) = all.get(&field.number()) else { continue };
            let path = if prefix.is_empty() { field.json_name().to_owned() } else { format!("{prefix}.{}", field.json_name()) };
            if !message.has_field(&field) {
                if rules.required && (!partial || prefix.is_empty()) {
                    violations.add(path, "required", "is required; give it a value");
                }
                continue;
            }
            self.check_value(&message.get_field(&field), &field, rules, &path, partial, violations);
        }
    }

    fn check_value(&self, value: &Value, field: &FieldDescriptor, rules: &Rules, path: &str, partial: bool, violations: &mut Violations) {
        match value {
            Value::List(items) => {
                too_many(items.len(), rules, path, violations);
                if !rules.individually {
                    for (index, item) in items.iter().enumerate() {
                        self.check_value(item, field, rules, &format!("{path}[{index}]"), partial, violations);
                    }
                }
            }
            Value::Map(entries) => {
                too_many(entries.len(), rules, path, violations);
                for (key, item) in entries {
                    let key = key.as_str().unwrap_or_default();
                    too_long(key.chars().count(), rules, path, violations);
                    self.check_value(item, field, rules, &format!("{path}.{key}"), partial, violations);
                }
            }
            Value::Message(message) => self.check_message(message, path, partial, violations),
            Value::String(text) => {
                too_long(text.chars().count(), rules, path, violations);
                if text.contains('\0') {
                    violations.add(path, "nul_character", "has a NUL character, which no text may have; leave it out");
                }
            }
            Value::Bytes(bytes) => too_long(bytes.len(), rules, path, violations),
            Value::I32(number) => out_of_range(i64::from(*number), rules, path, violations),
            Value::U32(number) => out_of_range(i64::from(*number), rules, path, violations),
            Value::I64(number) => out_of_range(*number, rules, path, violations),
            Value::U64(number) => out_of_range(i64::try_from(*number).unwrap_or(i64::MAX), rules, path, violations),
            Value::EnumNumber(number) => {
                let known = field.kind().as_enum().is_some_and(|kind| kind.get_value(*number).is_some());
                if !known {
                    violations.add(path, "unknown_value", format!("{number} is no value of this enum"));
                }
            }
            Value::Bool(_) | Value::F32(_) | Value::F64(_) => {}
        }
    }
}

fn too_long(length: usize, rules: &Rules, path: &str, violations: &mut Violations) {
    if rules.max_length > 0 && length > rules.max_length {
        violations.add(path, "too_long", format!("has {length} characters; give at most {}", rules.max_length));
    }
}

fn too_many(count: usize, rules: &Rules, path: &str, violations: &mut Violations) {
    if rules.max_items > 0 && count > rules.max_items {
        violations.add(path, "too_many", format!("has {count} items; give at most {}", rules.max_items));
    }
}

fn out_of_range(value: i64, rules: &Rules, path: &str, violations: &mut Violations) {
    if let Some((minimum, maximum)) = rules.range
        && !(minimum..=maximum).contains(&value)
    {
        violations.add(path, "out_of_range", format!("is {value}; give {minimum} to {maximum}"));
    }
}
