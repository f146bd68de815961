//! Under which names a field may be given, and which name was probably meant.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

use crate::BuildError;
use crate::annotations::Annotations;

/// The names of every field of every message of a pool: JSON name, proto name and aliases.
pub(crate) struct Names {
    messages: HashMap<String, HashMap<String, FieldDescriptor>>,
}

impl Names {
    pub fn new(pool: &DescriptorPool, annotations: &Annotations) -> Result<Self, BuildError> {
        let mut messages = HashMap::new();
        for message in pool.all_messages() {
            if message.is_map_entry() {
                continue;
            }
            let mut fields = HashMap::new();
            for field in message.fields() {
                fields.insert(field.json_name().to_owned(), field.clone());
            }
            // A proto name yields to another field's JSON name, as it does in every other reader of proto3 JSON.
            for field in message.fields() {
                fields.entry(field.name().to_owned()).or_insert(field);
            }
            for field in message.fields() {
                for alias in annotations.rules(&field).aliases {
                    match fields.get(&alias) {
                        Some(other) if other.number() != field.number() => {
                            return Err(BuildError::Alias {
                                field: field.full_name().to_owned(),
                                alias,
                                other: other.full_name().to_owned(),
                            });
                        }
                        Some(_) => {}
                        None => {
                            fields.insert(alias, field.clone());
                        }
                    }
                }
            }
            messages.insert(message.full_name().to_owned(), fields);
        }
        Ok(Self { messages })
    }

    pub fn find(&self, message: &MessageDescriptor, name: &str) -> Option<&FieldDescriptor> {
        self.messages.get(message.full_name())?.get(name)
    }

    /// The description of a violation: the name is unknown, and what was probably meant or what there is. `what` says
    /// what was named, such as "field".
    pub fn unknown(&self, message: &MessageDescriptor, name: &str, what: &str) -> String {
        let Some(fields) = self.messages.get(message.full_name()) else {
            return format!("unknown {what}");
        };
        let known: Vec<String> = message.fields().map(|field| field.json_name().to_owned()).collect();
        match nearest(name, fields.keys().map(String::as_str)) {
            Some(near) => format!("unknown {what}; did you mean `{near}`?"),
            None if known.is_empty() => format!("unknown {what}; there are none here"),
            None => format!("unknown {what}; known are {}", list(known.iter().map(String::as_str))),
        }
    }
}

/// The candidate that `name` is probably a slip of.
pub(crate) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    // A name as long as a page is no slip of the pen, and comparing it would cost its length squared.
    if name.len() > 64 {
        return None;
    }
    let plain = name.to_ascii_lowercase();
    candidates
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&plain, &candidate.to_ascii_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(plain.chars().count()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `a`, `b`, `c`, and when there are very many, how many more.
pub(crate) fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const MOST: usize = 24;
    let names: Vec<&str> = names.collect();
    let mut text = String::new();
    for (i, name) in names.iter().take(MOST).enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        text.push('`');
        text.push_str(name);
        text.push('`');
    }
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}
