//! Reads query parameters: the fields that neither path nor body takes.

use prost_reflect::{DynamicMessage, FieldDescriptor};

use crate::binding::{Binding, Body, fits_query};
use crate::names::Names;
use crate::request::{descend, field_path, leaf_value, set};
use crate::scalar::quote;
use crate::{RequestError, Violation, percent};

pub(crate) fn read(binding: &Binding, names: &Names, query: &str, message: &mut DynamicMessage, violations: &mut Vec<Violation>) {
    let mut seen: Vec<(Vec<FieldDescriptor>, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if violations.len() >= RequestError::LIMIT {
            return;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = match percent::decode_query(name) {
            Ok(name) => name,
            Err(problem) => {
                let description = format!("the name of the query parameter {} {problem}", quote(name));
                violations.push(Violation { field: String::new(), description });
                continue;
            }
        };
        let fields = match resolve(binding, names, &name) {
            Ok(fields) => fields,
            Err(description) => {
                violations.push(Violation { field: name.chars().take(64).collect(), description });
                continue;
            }
        };
        let result = read_one(binding, message, &fields, &name, value, &mut seen);
        if let Err(description) = result {
            violations.push(Violation { field: field_path(&fields), description });
        }
    }
}

fn read_one(
    binding: &Binding,
    message: &mut DynamicMessage,
    fields: &[FieldDescriptor],
    name: &str,
    value: &str,
    seen: &mut Vec<(Vec<FieldDescriptor>, String)>,
) -> Result<(), String> {
    if binding.variables.iter().any(|bound| bound.fields == fields) {
        return Err("is given in the path already".to_owned());
    }
    let (leaf, parents) = fields.split_last().ok_or("names no field")?;
    if !fits_query(leaf) {
        return Err("cannot be told in a query parameter".to_owned());
    }
    if !leaf.is_list() {
        match seen.iter().find(|(other, _)| other == fields) {
            Some((_, first)) if first == name => return Err("is given twice".to_owned()),
            Some((_, first)) => return Err(format!("is given twice, as `{first}` and as `{name}`")),
            None => seen.push((fields.to_vec(), name.to_owned())),
        }
    }
    let text = percent::decode_query(value)?;
    let value = leaf_value(leaf, &text)?;
    set(descend(message, parents)?, leaf, value)
}

/// The fields that a name such as `filter.pageSize` goes through.
fn resolve(binding: &Binding, names: &Names, name: &str) -> Result<Vec<FieldDescriptor>, String> {
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    for part in name.split('.') {
        let parent = match fields.last() {
            None => binding.input.clone(),
            Some(field) if field.is_list() || field.is_map() => {
                return Err(format!("`{}` is repeated, and its parts cannot be told in a query", field.json_name()));
            }
            Some(field) => match field.kind().as_message() {
                Some(message) => message.clone(),
                None => return Err(format!("`{}` has no fields of its own", field.json_name())),
            },
        };
        let found = names.find(&parent, part).ok_or_else(|| names.unknown(&parent, part, "query parameter"))?;
        if fields.is_empty() {
            match &binding.body {
                Body::Whole => return Err("belongs in the body: this call takes no query parameters".to_owned()),
                Body::Field(body) if body == found => return Err("belongs in the body".to_owned()),
                Body::Field(_) | Body::None => {}
            }
        }
        fields.push(found.clone());
    }
    Ok(fields)
}
