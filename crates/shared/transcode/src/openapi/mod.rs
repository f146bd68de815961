//! The OpenAPI 3.1 document: one operation for each binding, one schema for each message.

mod comments;
mod operation;
mod path;
mod schema;

use std::collections::{BTreeSet, HashMap};

use http::Method;
use prost_reflect::ServiceDescriptor;
use serde_json::{Map, Value, json};

use self::comments::Comments;
use self::schema::Schemas;
use crate::Transcoder;
use crate::binding::Binding;

/// What the document says of the API as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    pub title: String,
    pub version: String,
    /// CommonMark; may be empty.
    pub description: String,
}

const STATUS: &str = "google.rpc.Status";

pub(crate) fn document(transcoder: &Transcoder, info: &Info) -> Value {
    let comments = Comments::new(&transcoder.pool);
    let mut schemas = Schemas { annotations: &transcoder.annotations, comments: &comments, components: Map::new() };
    let error = match transcoder.pool.get_message_by_name(STATUS) {
        Some(status) => schemas.message(&status),
        None => status_schema(),
    };
    let labels = labels(transcoder);
    let paths = paths(transcoder, &mut schemas, &labels);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": info.title, "version": info.version},
        "tags": tags(transcoder, &comments, &labels),
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {
                "Error": {
                    "description": "An error: a code of google.rpc.Code, one sentence, and details that say more.",
                    "content": {"application/json": {"schema": error}},
                },
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    });
    if !info.description.is_empty() {
        document["info"]["description"] = info.description.as_str().into();
    }
    document
}

fn paths(transcoder: &Transcoder, schemas: &mut Schemas<'_>, labels: &HashMap<String, String>) -> Map<String, Value> {
    let mut paths: Map<String, Value> = Map::new();
    // Paths that differ in the names of their parameters only are the same path to OpenAPI: the first spelling stays.
    let mut spellings: HashMap<String, Vec<String>> = HashMap::new();
    let mut main: Option<(&Binding, usize)> = None;
    for binding in &transcoder.bindings {
        let (first, number) = match main {
            Some((first, number)) if first.method == binding.method => (Some(first), number + 1),
            _ => (None, 1),
        };
        main = Some((first.unwrap_or(binding), number));
        let Some(verb) = verb(&binding.verb) else {
            continue;
        };
        let mut parameters = path::parameters(binding);
        let shape = path::write(binding, |_| "{}".to_owned());
        let names = spellings.entry(shape).or_insert_with(|| parameters.iter().map(|parameter| parameter.name.clone()).collect());
        for (parameter, name) in parameters.iter_mut().zip(names.iter()) {
            parameter.name.clone_from(name);
        }
        let label = &labels[binding.method.parent_service().full_name()];
        let mut id = format!("{}_{}", label.replace('.', "_"), binding.method.name());
        if number > 1 {
            id = format!("{id}_{number}");
        }
        let operation = operation::operation(schemas, binding, &id, label, first, &parameters);
        let path = path::write(binding, |place| format!("{{{}}}", parameters[place].name));
        paths.entry(path).or_insert_with(|| json!({}))[verb] = operation;
    }
    paths
}

/// The name under which a path item holds the verb; OpenAPI 3.1 has no place for others.
fn verb(verb: &Method) -> Option<&'static str> {
    Some(match *verb {
        Method::GET => "get",
        Method::PUT => "put",
        Method::POST => "post",
        Method::DELETE => "delete",
        Method::PATCH => "patch",
        Method::HEAD => "head",
        Method::OPTIONS => "options",
        Method::TRACE => "trace",
        _ => return None,
    })
}

fn services(transcoder: &Transcoder) -> Vec<ServiceDescriptor> {
    let mut seen = BTreeSet::new();
    transcoder
        .bindings
        .iter()
        .map(|binding| binding.method.parent_service().clone())
        .filter(|service| seen.insert(service.full_name().to_owned()))
        .collect()
}

/// What each service is called, by its full name: its short name, or the full one when two packages share the short one.
fn labels(transcoder: &Transcoder) -> HashMap<String, String> {
    let services = services(transcoder);
    let mut count: HashMap<&str, usize> = HashMap::new();
    for service in &services {
        *count.entry(service.name()).or_default() += 1;
    }
    services
        .iter()
        .map(|service| {
            let label = if count[service.name()] > 1 { service.full_name() } else { service.name() };
            (service.full_name().to_owned(), label.to_owned())
        })
        .collect()
}

fn tags(transcoder: &Transcoder, comments: &Comments, labels: &HashMap<String, String>) -> Vec<Value> {
    services(transcoder)
        .iter()
        .map(|service| {
            let mut tag = json!({"name": labels[service.full_name()]});
            if let Some(comment) = comments.get(&service.parent_file(), service.path()) {
                tag["description"] = comment.into();
            }
            tag
        })
        .collect()
}

/// google.rpc.Status for a pool that does not have it.
fn status_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "code": {"type": "integer", "format": "int32"},
            "message": {"type": "string"},
            "details": {
                "type": "array",
                "items": {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]},
            },
        },
    })
}
