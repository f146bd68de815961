//! One way to reach a method over REST, checked against its messages.

use http::{Method, StatusCode};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::BuildError;
use crate::annotations::{HttpRule, Pattern};
use crate::http_body;
use crate::template::{Template, Variable};
use crate::well_known;

pub(crate) struct Binding {
    pub method: MethodDescriptor,
    pub grpc_path: String,
    pub input: MessageDescriptor,
    pub output: MessageDescriptor,
    pub verb: Method,
    /// The template as it was written.
    pub text: String,
    pub template: Template,
    pub variables: Vec<BoundVariable>,
    pub body: Body,
    pub response_body: Option<FieldDescriptor>,
    /// Whether the answer is a google.api.HttpBody, which is told as the bytes that it holds.
    pub raw: bool,
    pub success_status: StatusCode,
}

/// A variable and the chain of fields it fills, the last of them one that can be told in a path.
pub(crate) struct BoundVariable {
    pub variable: Variable,
    pub fields: Vec<FieldDescriptor>,
}

/// What a request's body is.
pub(crate) enum Body {
    None,
    Whole,
    Field(FieldDescriptor),
}

impl Binding {
    pub fn new(method: &MethodDescriptor, rule: &HttpRule, success_status: u32) -> Result<Self, BuildError> {
        let malformed =
            |text: &str, problem| BuildError::Malformed { method: method.full_name().to_owned(), text: text.to_owned(), problem };
        let (verb, text) = verb_and_path(rule).map_err(|(text, problem)| malformed(&text, problem))?;
        let template = Template::parse(text).map_err(|problem| malformed(text, problem))?;
        let success_status = match success_status {
            0 => StatusCode::OK,
            status => u16::try_from(status)
                .ok()
                .and_then(|status| StatusCode::from_u16(status).ok())
                .filter(StatusCode::is_success)
                .ok_or_else(|| malformed(&status.to_string(), "is not an HTTP status of success"))?,
        };
        let (input, output) = (method.input(), method.output());
        let variables = template.variables.iter().map(|variable| bind(method, &input, variable)).collect::<Result<Vec<_>, _>>()?;
        let body = body(method, &input, &rule.body, &variables)?;
        if verb == Method::GET && !matches!(body, Body::None) {
            return Err(malformed(text, "has a body, which GET does not take"));
        }
        let response_body = match rule.response_body.as_str() {
            "" => None,
            name => Some(field(method, &output, name)?),
        };
        let raw = match &response_body {
            Some(field) => !field.is_list() && !field.is_map() && field.kind().as_message().is_some_and(http_body::is),
            None => http_body::is(&output),
        };
        if raw && method.is_server_streaming() {
            return Err(malformed(text, "streams google.api.HttpBody, which server-sent events cannot tell"));
        }
        Ok(Self {
            method: method.clone(),
            grpc_path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
            input,
            output,
            verb,
            text: text.to_owned(),
            template,
            variables,
            body,
            response_body,
            raw,
            success_status,
        })
    }

    /// `barid.queue.v1.MessageService.GetMessage (GET /v1/messages/{id})`
    pub fn describe(&self) -> String {
        format!("{} ({} {})", self.method.full_name(), self.verb, self.text)
    }
}

fn verb_and_path(rule: &HttpRule) -> Result<(Method, &str), (String, &'static str)> {
    Ok(match &rule.pattern {
        Some(Pattern::Get(path)) => (Method::GET, path),
        Some(Pattern::Put(path)) => (Method::PUT, path),
        Some(Pattern::Post(path)) => (Method::POST, path),
        Some(Pattern::Delete(path)) => (Method::DELETE, path),
        Some(Pattern::Patch(path)) => (Method::PATCH, path),
        Some(Pattern::Custom(custom)) => {
            let verb = Method::from_bytes(custom.kind.as_bytes())
                .ok()
                .filter(|verb| verb.as_str().bytes().all(|byte| byte.is_ascii_alphabetic()))
                .ok_or_else(|| (custom.kind.clone(), "is not an HTTP verb"))?;
            (verb, &custom.path)
        }
        None => return Err((String::new(), "names no path in google.api.http")),
    })
}

fn bind(method: &MethodDescriptor, input: &MessageDescriptor, variable: &Variable) -> Result<BoundVariable, BuildError> {
    let unfit = |problem| BuildError::UnfitField { method: method.full_name().to_owned(), field: variable.path.join("."), problem };
    let mut fields: Vec<FieldDescriptor> = Vec::with_capacity(variable.path.len());
    let mut message = Some(input.clone());
    for name in &variable.path {
        let parent = message.ok_or_else(|| unfit("reaches into something that is no message"))?;
        let found = field(method, &parent, name)?;
        if found.is_list() || found.is_map() {
            return Err(unfit("is repeated, which a path cannot tell"));
        }
        message = found.kind().as_message().cloned();
        fields.push(found);
    }
    if message.is_some_and(|message| !well_known::has_text_form(&message)) {
        return Err(unfit("is a message, which a path cannot tell"));
    }
    Ok(BoundVariable { variable: variable.clone(), fields })
}

fn body(method: &MethodDescriptor, input: &MessageDescriptor, name: &str, variables: &[BoundVariable]) -> Result<Body, BuildError> {
    match name {
        "" => Ok(Body::None),
        "*" => Ok(Body::Whole),
        name => {
            let found = field(method, input, name)?;
            if variables.iter().any(|bound| bound.fields == [found.clone()]) {
                return Err(BuildError::UnfitField {
                    method: method.full_name().to_owned(),
                    field: name.to_owned(),
                    problem: "is both the body and a part of the path",
                });
            }
            Ok(Body::Field(found))
        }
    }
}

fn field(method: &MethodDescriptor, message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, BuildError> {
    message.get_field_by_name(name).ok_or_else(|| BuildError::UnknownField {
        method: method.full_name().to_owned(),
        message: message.full_name().to_owned(),
        field: name.to_owned(),
    })
}

/// Whether a query parameter can tell the field, alone or repeated.
pub(crate) fn fits_query(field: &FieldDescriptor) -> bool {
    !field.is_map()
        && match field.kind() {
            Kind::Message(message) => well_known::has_text_form(&message),
            _ => true,
        }
}
