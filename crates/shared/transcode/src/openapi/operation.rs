//! The operation of one binding: parameters, body and answers.

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::first_sentence;
use super::path::Parameter;
use super::schema::Schemas;
use crate::binding::{Binding, Body, fits_query};
use crate::request::field_path;
use crate::well_known::WellKnown;

/// `main` is the binding that stands before this one when this is an additional one.
pub(super) fn operation(
    schemas: &mut Schemas<'_>,
    binding: &Binding,
    id: &str,
    tag: &str,
    main: Option<&Binding>,
    path: &[Parameter<'_>],
) -> Value {
    let mut operation = Map::from_iter([("operationId".to_owned(), id.into()), ("tags".to_owned(), json!([tag]))]);
    let comment = schemas.comments.get(&binding.method.parent_file(), binding.method.path()).unwrap_or_default();
    if !comment.is_empty() {
        operation.insert("summary".to_owned(), first_sentence(comment).into());
    }
    let mut description = comment.to_owned();
    if let Some(main) = main {
        description.push_str(&format!("\n\nThe same as `{} {}`.", main.verb, main.text));
    }
    if !description.is_empty() {
        operation.insert("description".to_owned(), description.trim().into());
    }
    if binding.method.method_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
        operation.insert("deprecated".to_owned(), true.into());
    }
    let mut parameters: Vec<Value> = path.iter().map(|parameter| path_parameter(schemas, parameter)).collect();
    if !matches!(binding.body, Body::Whole) {
        query_parameters(schemas, binding, &binding.input, &mut Vec::new(), &mut parameters);
    }
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = request_body(schemas, binding) {
        operation.insert("requestBody".to_owned(), body);
    }
    let status = binding.success_status.as_str().to_owned();
    operation
        .insert("responses".to_owned(), json!({status: success(schemas, binding), "default": {"$ref": "#/components/responses/Error"}}));
    operation.into()
}

fn path_parameter(schemas: &mut Schemas<'_>, parameter: &Parameter<'_>) -> Value {
    let mut schema = json!({"type": "string"});
    let mut description = String::new();
    if let Some(field) = parameter.field {
        let mut whole = schemas.field(field);
        description = take_description(&mut whole);
        match &parameter.pattern {
            None => schema = whole,
            Some(pattern) => {
                description = format!("Part of `{}`, which is `{pattern}`. {description}", field.json_name());
            }
        }
    }
    if parameter.rest {
        description.push_str("\n\nMay hold slashes.");
    }
    let mut made = json!({"name": parameter.name, "in": "path", "required": true, "schema": schema});
    if !description.trim().is_empty() {
        made["description"] = description.trim().into();
    }
    made
}

/// Adds the fields of a message that a query can tell, also those of messages inside. `parents` are the fields that lead
/// to it.
fn query_parameters(
    schemas: &mut Schemas<'_>,
    binding: &Binding,
    message: &MessageDescriptor,
    parents: &mut Vec<FieldDescriptor>,
    parameters: &mut Vec<Value>,
) {
    for field in message.fields() {
        let is_body = parents.is_empty() && matches!(&binding.body, Body::Field(body) if *body == field);
        if is_body || schemas.annotations.behavior(&field).output_only {
            continue;
        }
        parents.push(field.clone());
        let in_path = binding.variables.iter().any(|bound| bound.fields == *parents);
        if fits_query(&field) && !in_path {
            let required = parents.iter().all(|field| schemas.annotations.behavior(field).required);
            let mut schema = schemas.field(&field);
            let description = take_description(&mut schema);
            let mut made = json!({"name": field_path(parents), "in": "query", "required": required, "schema": schema});
            if !description.is_empty() {
                made["description"] = description.into();
            }
            parameters.push(made);
        } else if let Some(inner) = field.kind().as_message()
            && !field.is_list()
            && !field.is_map()
            && WellKnown::of(inner).is_none()
            // A message inside of itself would go on for ever.
            && *inner != binding.input
            && parents[..parents.len() - 1].iter().all(|parent| parent.kind().as_message() != Some(inner))
        {
            query_parameters(schemas, binding, inner, parents, parameters);
        }
        parents.pop();
    }
}

fn request_body(schemas: &mut Schemas<'_>, binding: &Binding) -> Option<Value> {
    let (schema, required, description) = match &binding.body {
        Body::None => return None,
        Body::Field(field) => {
            let mut schema = schemas.field(field);
            let description = take_description(&mut schema);
            if let Some(message) = field.kind().as_message()
                && is_partial(binding, field)
            {
                schema = schemas.object(message, |_| true);
                schema.as_object_mut().and_then(|members| members.remove("required"));
            }
            (schema, schemas.annotations.behavior(field).required, description)
        }
        Body::Whole => {
            let in_path = |field: &FieldDescriptor| binding.variables.iter().any(|bound| bound.fields == [field.clone()]);
            let required = binding.input.fields().any(|field| !in_path(&field) && schemas.annotations.behavior(&field).required);
            // A field of the path must not be asked for a second time.
            let schema = if binding.input.fields().any(|field| in_path(&field)) {
                schemas.object(&binding.input, |field| !in_path(field))
            } else {
                schemas.message(&binding.input)
            };
            (schema, required, String::new())
        }
    };
    let mut body = json!({"required": required, "content": {"application/json": {"schema": schema}}});
    if !description.is_empty() {
        body["description"] = description.into();
    }
    Some(body)
}

/// Whether the body of an update holds the fields to change only, which makes none of them required.
fn is_partial(binding: &Binding, body: &FieldDescriptor) -> bool {
    let is_mask = |field: FieldDescriptor| field.kind().as_message().and_then(WellKnown::of) == Some(WellKnown::FieldMask);
    let has_own_form = body.kind().as_message().and_then(WellKnown::of).is_some();
    !body.is_list() && !body.is_map() && !has_own_form && binding.input.get_field_by_name("update_mask").is_some_and(is_mask)
}

fn success(schemas: &mut Schemas<'_>, binding: &Binding) -> Value {
    if binding.raw {
        // The content type is the service's to say. `format` is a hint for generators only: raw bytes have no schema in OpenAPI 3.1.
        let schema = json!({"type": "string", "format": "binary"});
        return json!({"description": "The bytes, under their own content type.", "content": {"*/*": {"schema": schema}}});
    }
    let schema = match &binding.response_body {
        Some(field) => schemas.field(field),
        None => schemas.message(&binding.output),
    };
    let comment = schemas.comments.get(&binding.output.parent_file(), binding.output.path());
    let description = comment.map_or_else(|| binding.output.name().to_owned(), first_sentence);
    if binding.method.is_server_streaming() {
        let description = format!("Server-sent events; the data of each is JSON. {description}");
        return json!({"description": description, "content": {"text/event-stream": {"schema": schema}}});
    }
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

/// A description stands at the parameter or body and not in its schema as well.
fn take_description(schema: &mut Value) -> String {
    match schema.as_object_mut().and_then(|members| members.remove("description")) {
        Some(Value::String(description)) => description,
        _ => String::new(),
    }
}
