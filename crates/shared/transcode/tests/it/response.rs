//! Responses as JSON.

use barid_transcode::Answer;
use bytes::Bytes;
use http::{HeaderValue, Method};
use prost::Message;
use prost_reflect::{DynamicMessage, Value as Proto};
use serde_json::{Value, json};

use crate::support::{THINGS, THINGS_POOL};

fn message(name: &str, json: Value) -> DynamicMessage {
    let descriptor = THINGS_POOL.get_message_by_name(name).expect("is there");
    DynamicMessage::deserialize(descriptor, json).expect("fits")
}

fn respond(path: &str, response: &DynamicMessage) -> Result<Value, String> {
    let found = THINGS.find(&Method::GET, path).expect("is there");
    let text = found.response(&response.encode_to_vec()).map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&text).expect("is JSON"))
}

fn thing(json: Value) -> Value {
    respond("/v1/things/t", &message("everything.v1.Thing", json)).expect("can be written")
}

#[test]
fn defaults_are_written_and_what_is_missing_is_not() {
    assert_eq!(
        thing(json!({})),
        json!({
            "id": "", "name": "", "flag": false, "int32": 0, "int64": "0", "uint32": 0, "uint64": "0", "sint32": 0, "sint64": "0",
            "fixed32": 0, "fixed64": "0", "sfixed32": 0, "sfixed64": "0", "float": 0.0, "double": 0.0, "bytes": "", "color": "COLOR_UNSPECIFIED",
            "tags": [], "numbers": [], "colors": [], "parts": [], "labels": {}, "numbered": {}, "painted": {}, "blobs": {}, "values": [], "times": [], "secret": "",
        })
    );
    let set = json!({
        "owner": {}, "nickname": "", "rank": 0, "number": 0, "empty": {}, "maybeBool": false, "maybeString": "", "maybeInt64": "0",
        "maybeDouble": 0.0, "maybeBytes": "", "maybeUint32": 0, "value": null, "data": {}, "list": [], "duration": "0s", "createTime": "1970-01-01T00:00:00Z", "mask": "",
    });
    let written = thing(set.clone());
    for (name, value) in set.as_object().expect("an object") {
        let expected = if name == "owner" { json!({"id": "", "displayName": ""}) } else { value.clone() };
        assert_eq!(written[name], expected, "{name}");
    }
}

#[test]
fn values() {
    let written = thing(json!({
        "int64": "-9223372036854775808", "uint64": "18446744073709551615", "bytes": "+/8=", "float": "NaN", "double": "-Infinity", "color": 77, "colors": [2, -3],
        "numbered": {"10": {"id": "b"}, "-1": {"id": "a"}}, "painted": {"false": 1}, "createTime": "2026-01-02T03:04:05.120Z", "duration": "-1.000001s",
        "mask": "displayName,owner.parent", "data": {"b": 1.5, "a": [null, true, "x"]}, "nothing": null, "times": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"],
    }));
    for (name, value) in [
        ("int64", json!("-9223372036854775808")),
        ("uint64", json!("18446744073709551615")),
        ("bytes", json!("+/8=")),
        ("float", json!("NaN")),
        ("double", json!("-Infinity")),
        ("color", json!(77)),
        ("colors", json!(["COLOR_BLUE", "COLOR_BELOW"])),
        ("painted", json!({"false": "COLOR_RED"})),
        ("createTime", json!("2026-01-02T03:04:05.120Z")),
        ("duration", json!("-1.000001s")),
        ("mask", json!("displayName,owner.parent")),
        ("data", json!({"a": [null, true, "x"], "b": 1.5})),
        ("nothing", json!(null)),
        ("times", json!(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"])),
    ] {
        assert_eq!(written[name], value, "{name}");
    }
    assert_eq!(written["numbered"]["-1"]["id"], "a");
}

#[test]
fn the_same_message_is_always_the_same_text() {
    let labels: serde_json::Map<String, Value> = (0..50).map(|i| (format!("k{i}"), json!("v"))).collect();
    let found = THINGS.find(&Method::GET, "/v1/things/t").expect("is there");
    let write = || found.response(&message("everything.v1.Thing", json!({"labels": labels})).encode_to_vec()).expect("can be written");
    let first = write();
    for _ in 0..5 {
        assert_eq!(write(), first);
    }
}

#[test]
fn response_body_is_one_field() {
    let list = message("everything.v1.ListThingsResponse", json!({"things": [{"id": "a"}], "nextPageToken": "x", "total": 3}));
    let bare = respond("/v1/things:bare", &list).expect("can be written");
    assert_eq!(bare.as_array().map(|things| things.len()), Some(1));
    assert_eq!(bare[0]["id"], "a");
    assert_eq!(respond("/v1/things:total", &list), Ok(json!(3)));
    let none = message("everything.v1.ListThingsResponse", json!({}));
    assert_eq!(respond("/v1/things:bare", &none), Ok(json!([])));
    assert_eq!(respond("/v1/things:total", &none), Ok(Value::Null));
    assert_eq!(respond("/v1/things", &list).map(|whole| whole["nextPageToken"].clone()), Ok(json!("x")));
}

#[test]
fn an_any_is_expanded_when_it_can_be() {
    let any = |type_url: &str, value: &[u8]| {
        let mut any = DynamicMessage::new(THINGS_POOL.get_message_by_name("google.protobuf.Any").expect("is there"));
        any.set_field_by_name("type_url", Proto::String(type_url.to_owned()));
        any.set_field_by_name("value", Proto::Bytes(value.to_vec().into()));
        any
    };
    let write = |any: DynamicMessage| {
        let mut thing = message("everything.v1.Thing", json!({}));
        thing.set_field_by_name("any", Proto::Message(any));
        respond("/v1/things/t", &thing).expect("can be written")["any"].clone()
    };
    let owner = message("everything.v1.Owner", json!({"id": "o"})).encode_to_vec();
    assert_eq!(write(any("x/everything.v1.Owner", &owner)), json!({"@type": "x/everything.v1.Owner", "id": "o", "displayName": ""}));
    let duration = message("google.protobuf.Duration", json!("2s")).encode_to_vec();
    assert_eq!(write(any("x/google.protobuf.Duration", &duration)), json!({"@type": "x/google.protobuf.Duration", "value": "2s"}));
    assert_eq!(write(any("x/a.B", b"\x00\xff")), json!({"@type": "x/a.B", "value": "AP8="}));
    assert_eq!(write(any("x/everything.v1.Owner", b"\xff")), json!({"@type": "x/everything.v1.Owner", "value": "/w=="}));
    assert_eq!(write(any("", b"")), json!({"@type": "", "value": ""}));
    // Each expands the next; the end of it is bytes.
    let mut nested = any("x/a.B", b"");
    for _ in 0..1000 {
        nested = any("x/google.protobuf.Any", &nested.encode_to_vec());
    }
    assert!(write(nested).is_object());
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let found = THINGS.find(&Method::GET, "/v1/things/t").expect("is there");
    assert!(found.response(b"\xff").is_err());
    let mut thing = message("everything.v1.Thing", json!({"createTime": "2026-01-02T03:04:05Z", "duration": "1s", "value": 1}));
    let mut set = |field: &str, number, value| {
        let inner = thing.get_field_by_name_mut(field).and_then(|field| field.as_message_mut()).expect("is set");
        inner.set_field_by_number(number, value);
        let error = respond("/v1/things/t", &thing).expect_err("cannot be written");
        thing.clear_field_by_name(field);
        error
    };
    assert!(set("create_time", 1, Proto::I64(i64::MAX)).contains("timestamp"));
    assert!(set("duration", 2, Proto::I32(-1)).contains("duration"));
    assert!(set("value", 2, Proto::F64(f64::NAN)).contains("google.protobuf.Value"));
}

/// What a call to `path` answers with, when the service sends these bytes.
fn answer(path: &str, message: &[u8]) -> Result<Answer, String> {
    let found = THINGS.find(&Method::GET, path).expect("is there");
    found.answer(&Bytes::copy_from_slice(message)).map_err(|error| error.to_string())
}

fn raw(content_type: &'static str, data: &'static [u8]) -> Answer {
    Answer::Raw { content_type: HeaderValue::from_static(content_type), data: Bytes::from_static(data) }
}

#[test]
fn an_http_body_is_told_as_its_bytes() {
    let picture = json!({"contentType": "image/png", "data": "iVBORwD/", "extensions": []});
    let body = message("google.api.HttpBody", picture.clone()).encode_to_vec();
    assert_eq!(answer("/v1/things/t/picture.png", &body), Ok(raw("image/png", b"\x89PNG\0\xff")));
    let drawing = message("everything.v1.Drawing", json!({"body": picture.clone(), "bodies": [picture.clone()]})).encode_to_vec();
    assert_eq!(answer("/v1/things/t/drawing:raw", &drawing), Ok(raw("image/png", b"\x89PNG\0\xff")));

    assert_eq!(answer("/v1/things/t/picture.png", b""), Ok(raw("application/octet-stream", b"")));
    assert_eq!(answer("/v1/things/t/drawing:raw", b""), Ok(raw("application/octet-stream", b"")));
    let split = message("google.api.HttpBody", json!({"contentType": "a\r\nSet-Cookie: b"})).encode_to_vec();
    assert_eq!(answer("/v1/things/t/picture.png", &split), Err("the response has a content type that is no header value".to_owned()));
    assert!(answer("/v1/things/t/picture.png", b"\xff").is_err());

    // Inside of another message, or many of them, it is JSON.
    for (path, expected) in [
        ("/v1/things/t/drawing", json!({"body": picture.clone(), "bodies": [picture.clone()]})),
        ("/v1/things/t/drawings", json!([picture])),
    ] {
        let Ok(Answer::Json(text)) = answer(path, &drawing) else { panic!("{path} is JSON") };
        assert_eq!(serde_json::from_slice::<Value>(&text).expect("is JSON"), expected, "{path}");
    }
    let thing = message("everything.v1.Thing", json!({"id": "t", "bytes": "iVBORwD/"})).encode_to_vec();
    let Ok(Answer::Json(text)) = answer("/v1/things/t", &thing) else { panic!("a message is JSON") };
    assert_eq!(serde_json::from_slice::<Value>(&text).expect("is JSON")["bytes"], "iVBORwD/");
}
