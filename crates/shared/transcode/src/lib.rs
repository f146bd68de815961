//! REST over gRPC, from the annotations in the protos.
//!
//! A [`Transcoder`] reads `google.api.http` of the methods in a descriptor pool. It finds the method for a verb and path,
//! makes the encoded request message of path, query and JSON body, writes the encoded response as JSON, and describes it
//! all as an OpenAPI 3.1 document. It does no I/O: how the bytes reach the method is the caller's business.
//!
//! ```
//! use barid_transcode::{RouteError, Transcoder};
//! use http::Method;
//! use prost_reflect::DescriptorPool;
//!
//! fn answer(pool: &DescriptorPool) -> Result<(), Box<dyn std::error::Error>> {
//!     let transcoder = Transcoder::new(pool, |method| !method.is_client_streaming())?;
//!     let found = match transcoder.find(&Method::POST, "/v1/books:add") {
//!         Ok(found) => found,
//!         Err(RouteError::NotFound) => return Ok(()),          // 404
//!         Err(RouteError::MethodNotAllowed { .. }) => return Ok(()), // 405, with the header Allow
//!     };
//!     let request = found.request(None, br#"{"title": "The Canterbury Tales"}"#)?;
//!     # let call = |_path: &str, request: bytes::Bytes| request;
//!     let response = call(found.grpc_path(), request);
//!     let json = found.response(&response)?; // with found.success_status()
//!     # let _ = json;
//!     Ok(())
//! }
//! # answer(&DescriptorPool::global()).unwrap();
//! ```
//!
//! # What a request may look like
//! * Path variables: `{id}`, `{book.id}`, `{name=shelves/*/books/*}`, `{path=**}`, and a verb behind (`:cancel`). A segment
//!   is percent-decoded, so `%2F` in it is a slash of the value; over several segments `%2F` stays as it is.
//! * Body: with `body: "*"` a JSON object of all fields that are not in the path, with `body: "field"` the JSON of that field, such
//!   as a bare list. An empty body is no fields. A field of the path may stand in the body too, if it says the same.
//! * Query: the fields that neither path nor body takes. `a.b=` reaches into messages, repeated fields are repeated parameters,
//!   enums go by name or number, times are RFC 3339, field masks `a,b`.
//! * Names: the JSON name, the proto name, and `aliases` of `(transcode.v1.field)`.
//! * JSON is [proto3's](https://protobuf.dev/programming-guides/json/). What that leaves open is refused: unknown names, a
//!   field given twice (also under two names), two members of a oneof, numbers that do not fit, enum values that do not exist, anything behind
//!   the value, more than 64 levels of nesting, more than 80 messages inside of each other (one object in a
//!   `google.protobuf.Struct` is three, and decoders of protobuf stop at 100).
//!
//! # What an answer is
//! JSON of the response message, or of its field that `response_body` names. A `google.api.HttpBody` in its place is told as the
//! bytes that it holds, under its own content type: [`Match::answer`] gives either.
//!
//! Requests with map fields encode their entries in no particular order; who compares requests compares messages.

mod annotations;
mod binding;
mod error;
mod http_body;
mod json;
mod names;
mod openapi;
mod percent;
mod query;
mod request;
mod routes;
mod scalar;
mod status;
mod template;
mod transcoder;
mod well_known;

pub use error::{BuildError, RequestError, ResponseError, RouteError, Violation};
pub use http_body::Answer;
pub use openapi::Info;
pub use status::http_status;
pub use transcoder::{Match, Transcoder, json};
