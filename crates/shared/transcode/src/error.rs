//! What can go wrong, one enum for each of the crate's four questions.

use std::fmt;

use http::Method;

/// Why the annotations of a pool make no table of routes. All of them are mistakes in the protos, so a service that
/// builds its transcoder at start fails there and not at a customer's call.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A path template, HTTP verb or status that cannot be read.
    #[error("{method}: `{text}` {problem}")]
    Malformed { method: String, text: String, problem: &'static str },
    /// Two bindings answer to the same verb and path.
    #[error("{second}: `{verb} {template}` is already taken by {first}")]
    Conflict { verb: Method, template: String, first: String, second: String },
    /// A path, `body` or `response_body` names a field that the message does not have.
    #[error("{method}: message {message} has no field `{field}`")]
    UnknownField { method: String, message: String, field: String },
    /// A field exists but cannot stand where the annotation puts it.
    #[error("{method}: field `{field}` {problem}")]
    UnfitField { method: String, field: String, problem: &'static str },
    /// An alias is also a name of another field of its message.
    #[error("{field}: the alias `{alias}` is also a name of {other}")]
    Alias { field: String, alias: String, other: String },
    /// An example is not JSON.
    #[error("{field}: the example is not JSON: {source}")]
    Example { field: String, source: serde_json::Error },
}

/// Why no method answers to a verb and path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No method has such a path.
    #[error("no such path")]
    NotFound,
    /// The path exists, but not for this verb. `allow` is sorted, and what the header `Allow` must list.
    #[error("this path answers to other verbs only")]
    MethodNotAllowed { allow: Vec<Method> },
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field from the request message in JSON names, such as `messages[3].recipient`. Empty when it is the
    /// body as a whole.
    pub field: String,
    /// What was expected and what was found, as a phrase that reads on after `field: `.
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.description) } else { write!(f, "{}: {}", self.field, self.description) }
    }
}

/// A request that does not make the message its method takes; an INVALID_ARGUMENT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestError {
    /// All that was found, in the order body, path, query: at least one, and at most [`RequestError::LIMIT`].
    pub violations: Vec<Violation>,
}

impl RequestError {
    /// Most violations that are told of one request. Whoever has more has one mistake many times.
    pub const LIMIT: usize = 32;
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.violations.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for RequestError {}

/// A response message that cannot be told in JSON; the fault of the service that sent it.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// The bytes are not a message of the method's response type.
    #[error("the response cannot be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A value has no JSON form, such as a timestamp in the year 10000.
    #[error("the response cannot be written as JSON: {0}")]
    Write(#[from] serde_json::Error),
    /// The content type of a google.api.HttpBody is none that a header can carry.
    #[error("the response has a content type that is no header value")]
    ContentType,
}
