//! The table of routes and what can be asked of it.

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use http::{Method, StatusCode};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};

use crate::annotations::Annotations;
use crate::binding::{Binding, Body};
use crate::http_body::{Answer, HttpBody};
use crate::json::any::MAX_DEPTH;
use crate::json::{FieldJson, MessageJson};
use crate::names::Names;
use crate::routes::Routes;
use crate::{BuildError, Info, RequestError, ResponseError, RouteError, openapi, request, status};

/// REST for the methods of a descriptor pool. Built once at start, then shared: it never changes.
pub struct Transcoder {
    pub(crate) pool: DescriptorPool,
    pub(crate) annotations: Annotations,
    names: Names,
    /// In the order of the protos; the bindings of one method stand together, the main one first.
    pub(crate) bindings: Vec<Binding>,
    routes: Routes,
}

impl Transcoder {
    /// Reads `google.api.http` of every method for which `keep` is true.
    ///
    /// Methods without the annotation have no path, and neither have those that stream from the client, which REST
    /// cannot tell. Methods that stream to the client are routed; the caller answers them as server-sent events.
    ///
    /// # Errors
    /// Everything in [`BuildError`]: templates that cannot be read or conflict, fields that do not exist.
    pub fn new(pool: &DescriptorPool, keep: impl Fn(&MethodDescriptor) -> bool) -> Result<Self, BuildError> {
        let annotations = Annotations::new(pool);
        let names = Names::new(pool, &annotations)?;
        let mut bindings: Vec<Binding> = Vec::new();
        let mut routes = Routes::default();
        for service in pool.services() {
            for method in service.methods().filter(|method| !method.is_client_streaming() && keep(method)) {
                let Some(mut rule) = annotations.http(&method) else {
                    continue;
                };
                let success_status = annotations.success_status(&method);
                let additional = std::mem::take(&mut rule.additional_bindings);
                for rule in std::iter::once(rule).chain(additional) {
                    let binding = Binding::new(&method, &rule, success_status)?;
                    routes.insert(&binding.verb, &binding.template, bindings.len()).map_err(|first| BuildError::Conflict {
                        verb: binding.verb.clone(),
                        template: binding.text.clone(),
                        first: bindings[first].describe(),
                        second: method.full_name().to_owned(),
                    })?;
                    bindings.push(binding);
                }
            }
        }
        let transcoder = Self { pool: pool.clone(), annotations, names, bindings, routes };
        transcoder.check_examples()?;
        Ok(transcoder)
    }

    /// Finds the method that answers to a verb and path. The path is what stands in the request line before the `?`,
    /// percent-encoded as it came.
    ///
    /// A literal segment goes before a variable and a `:verb` before a colon that belongs to a value, whatever the order
    /// in the protos. HEAD is a verb like the others here.
    ///
    /// # Errors
    /// [`RouteError::NotFound`], or [`RouteError::MethodNotAllowed`] with the verbs that the path does answer to.
    pub fn find<'a>(&'a self, method: &Method, path: &'a str) -> Result<Match<'a>, RouteError> {
        let found = self.routes.find(method, path)?;
        Ok(Match { transcoder: self, binding: &self.bindings[found.binding], path: found.path })
    }

    /// The OpenAPI 3.1 document of every path. Descriptions are the comments of the protos, which are there when the pool
    /// was built with source info.
    pub fn openapi(&self, info: &Info) -> serde_json::Value {
        openapi::document(self, info)
    }

    /// google.rpc.Status as JSON: `{"code": 3, "message": "...", "details": [{"@type": "...", ...}]}`.
    ///
    /// `details` is the encoded google.rpc.Status of the header `grpc-status-details-bin` (after base64), or empty; an
    /// empty `message` is taken from there. Details whose type the pool knows are expanded, others are
    /// `{"@type": ..., "value": <base64>}`. Never fails: what cannot be decoded is left out.
    pub fn status_json(&self, code: i32, message: &str, details: &[u8]) -> serde_json::Value {
        status::json(&self.pool, code, message, details)
    }

    /// Examples end up in the OpenAPI document, where nobody would look for a slip in a proto.
    fn check_examples(&self) -> Result<(), BuildError> {
        let mut seen = HashSet::new();
        let mut waiting: Vec<_> = self.bindings.iter().flat_map(|binding| [binding.input.clone(), binding.output.clone()]).collect();
        while let Some(message) = waiting.pop() {
            if !seen.insert(message.full_name().to_owned()) {
                continue;
            }
            for field in message.fields() {
                let example = self.annotations.rules(&field).example;
                if !example.is_empty() {
                    serde_json::from_str::<serde_json::Value>(&example)
                        .map_err(|source| BuildError::Example { field: field.full_name().to_owned(), source })?;
                }
                waiting.extend(field.kind().as_message().cloned());
            }
        }
        Ok(())
    }
}

/// A method that was found, with the path that found it.
#[derive(Clone, Copy)]
pub struct Match<'a> {
    transcoder: &'a Transcoder,
    binding: &'a Binding,
    path: &'a str,
}

impl<'a> Match<'a> {
    /// The method; `is_server_streaming()` tells whether its answer is a stream.
    pub fn method(&self) -> &'a MethodDescriptor {
        &self.binding.method
    }

    /// The path of the method in gRPC, such as `/library.v1.Library/GetBook`.
    pub fn grpc_path(&self) -> &'a str {
        &self.binding.grpc_path
    }

    /// The template that matched, such as `/v1/books/{id}`: a label of few values for metrics and logs.
    pub fn template(&self) -> &'a str {
        &self.binding.text
    }

    /// `success_status` of `(transcode.v1.method)`, 200 when it does not say.
    pub fn success_status(&self) -> StatusCode {
        self.binding.success_status
    }

    /// Whether a body is read; when not, anything but an empty one is refused by [`Match::request`].
    pub fn takes_body(&self) -> bool {
        !matches!(self.binding.body, Body::None)
    }

    /// The encoded request message, without gRPC's frame. `body` is JSON and may be empty, which is as good as `{}`.
    ///
    /// # Errors
    /// [`RequestError`] lists everything in body, path and query that does not fit the message.
    pub fn request(&self, query: Option<&str>, body: &[u8]) -> Result<Bytes, RequestError> {
        request::build(self.binding, &self.transcoder.names, self.path, query, body)
    }

    /// What the call answers with: JSON as [`Match::response`] writes it, or the bytes of a google.api.HttpBody.
    ///
    /// # Errors
    /// [`ResponseError`], when the service sent something else than it should have.
    pub fn answer(&self, message: &Bytes) -> Result<Answer, ResponseError> {
        if !self.binding.raw {
            return Ok(Answer::Json(self.response(message)?));
        }
        let Some(field) = &self.binding.response_body else {
            return HttpBody::decode(message.clone())?.answer();
        };
        let message = DynamicMessage::decode(self.binding.output.clone(), message.clone())?;
        let body = message.get_field(field).as_message().map(DynamicMessage::encode_to_vec).unwrap_or_default();
        HttpBody::decode(body.as_slice())?.answer()
    }

    /// JSON of an encoded response message (of one message when the method streams), or of its field that
    /// `response_body` names.
    ///
    /// Members are in camelCase, enums by name, 64-bit integers strings. Fields that cannot be missing are written also
    /// when they hold their default; messages, `optional` fields and members of a oneof only when they are set.
    ///
    /// # Errors
    /// [`ResponseError`], when the service sent something else than it should have.
    pub fn response(&self, message: &[u8]) -> Result<Vec<u8>, ResponseError> {
        let message = DynamicMessage::decode(self.binding.output.clone(), message)?;
        let any = MAX_DEPTH;
        Ok(match &self.binding.response_body {
            Some(field) if field.supports_presence() && !message.has_field(field) => b"null".to_vec(),
            Some(field) => serde_json::to_vec(&FieldJson { field, value: &message.get_field(field), any })?,
            None => serde_json::to_vec(&MessageJson { message: &message, any })?,
        })
    }
}

/// JSON of a message, as [`Match::response`] writes it.
///
/// # Errors
/// [`ResponseError`], when it holds what JSON cannot tell.
pub fn json(message: &DynamicMessage) -> Result<Vec<u8>, ResponseError> {
    Ok(serde_json::to_vec(&MessageJson { message, any: MAX_DEPTH })?)
}

// Not derived: the `Debug` of a descriptor shows the descriptors it refers to, which does not end when a message holds
// itself, as google.protobuf.Value does.
impl fmt::Debug for Transcoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.bindings.iter().map(Binding::describe)).finish()
    }
}

impl fmt::Debug for Match<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Match").field(&self.binding.describe()).finish()
    }
}
