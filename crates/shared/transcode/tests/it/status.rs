//! Errors as HTTP statuses and as JSON.

use barid_transcode::http_status;
use prost::Message;
use prost_reflect::DynamicMessage;
use serde_json::json;

use crate::support::{THINGS, THINGS_POOL};

#[test]
fn codes() {
    let statuses: Vec<u16> = (0..=17).map(|code| http_status(code).as_u16()).collect();
    assert_eq!(statuses, [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401, 500]);
    assert_eq!(http_status(-1), 500);
}

/// An encoded google.rpc.Status with these details.
fn status(message: &str, details: &[(&str, &[u8])]) -> Vec<u8> {
    #[derive(Clone, PartialEq, Message)]
    struct Any {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        value: Vec<u8>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
    }
    let details = details.iter().map(|(type_url, value)| Any { type_url: (*type_url).to_owned(), value: value.to_vec() });
    Status { code: 3, message: message.to_owned(), details: details.collect() }.encode_to_vec()
}

#[test]
fn details_are_expanded() {
    let bad_request = THINGS_POOL.get_message_by_name("google.rpc.BadRequest").expect("is there");
    let violations = json!({"fieldViolations": [{"field": "id", "description": "is missing", "reason": "REQUIRED"}]});
    let bad_request = DynamicMessage::deserialize(bad_request, &violations).expect("fits").encode_to_vec();
    let retry = THINGS_POOL.get_message_by_name("google.rpc.RetryInfo").expect("is there");
    let retry = DynamicMessage::deserialize(retry, json!({"retryDelay": "1.5s"})).expect("fits").encode_to_vec();
    let encoded = status(
        "inner",
        &[
            ("type.googleapis.com/google.rpc.BadRequest", &bad_request),
            ("type.googleapis.com/google.rpc.RetryInfo", &retry),
            ("type.googleapis.com/un.Known", b"\x00\x01"),
            ("type.googleapis.com/google.rpc.BadRequest", b"\xff"),
        ],
    );
    assert_eq!(
        THINGS.status_json(3, "outer", &encoded),
        json!({
            "code": 3,
            "message": "outer",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations["fieldViolations"]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"},
                {"@type": "type.googleapis.com/un.Known", "value": "AAE="},
                {"@type": "type.googleapis.com/google.rpc.BadRequest", "value": "/w=="},
            ],
        })
    );
}

#[test]
fn it_never_fails() {
    assert_eq!(THINGS.status_json(5, "gone", b""), json!({"code": 5, "message": "gone", "details": []}));
    assert_eq!(THINGS.status_json(5, "gone", b"\xff\xff"), json!({"code": 5, "message": "gone", "details": []}));
    assert_eq!(THINGS.status_json(3, "", &status("inner", &[]))["message"], "inner");
}
