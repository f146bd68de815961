//! Errors: gRPC codes as HTTP statuses, and google.rpc.Status as JSON.

use http::StatusCode;
use prost::Message;
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

use crate::json::any;

/// The HTTP status for a code of google.rpc.Code, as its documentation maps them. Codes that it does not know are 500.
pub fn http_status(code: i32) -> StatusCode {
    match code {
        0 => StatusCode::OK,
        // The client has gone; a number that nginx coined and that http does not name.
        1 => StatusCode::from_u16(499).expect("499 is in the range of statuses"),
        // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        5 => StatusCode::NOT_FOUND,
        // ALREADY_EXISTS, ABORTED
        6 | 10 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
        // UNKNOWN, INTERNAL, DATA_LOSS and whatever is added
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// google.rpc.Status
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

pub(crate) fn json(pool: &DescriptorPool, code: i32, message: &str, details: &[u8]) -> Value {
    // Details that cannot be decoded are no reason to withhold the error itself.
    let status = Status::decode(details).unwrap_or_default();
    let message = if message.is_empty() { &status.message } else { message };
    let details: Vec<Value> = status
        .details
        .into_iter()
        .map(|detail| {
            let mut members = any::members(pool, &detail.type_url, &detail.value, any::MAX_DEPTH);
            members.insert("@type".to_owned(), detail.type_url.into());
            Value::Object(members)
        })
        .collect();
    json!({"code": code, "message": message, "details": details})
}
