//! Values that stand in the body.

use crate::support::{call, call_bytes, json, refused};
use serde_json::{Value, json};

fn thing(body: &str) -> Value {
    json(&call("POST", "/v1/things", body).unwrap_or_else(|error| panic!("{body}: {error:?}")))
}

fn refused_thing(body: &str) -> Vec<String> {
    refused("POST", "/v1/things", body)
}

#[test]
fn every_kind_of_field() {
    // Too many members for `json!`.
    let whole: Value = serde_json::from_str(
        r#"{
        "id": "a", "name": "كي", "flag": true, "int32": -1, "int64": "-2", "uint32": 3, "uint64": "4", "sint32": -5, "sint64": "-6",
        "fixed32": 7, "fixed64": "8", "sfixed32": -9, "sfixed64": "-10", "float": 1.5, "double": -2.25, "bytes": "AP8=", "color": "COLOR_BLUE",
        "owner": {"id": "o", "parent": {"id": "p", "parent": {}}}, "tags": ["x", "y"], "numbers": [1, 2], "colors": ["COLOR_RED", "COLOR_BELOW"],
        "parts": [{"id": "b"}, {"parts": [{"id": "c"}]}], "labels": {"k": "v", "k.k": ""}, "numbered": {"-1": {"id": "n"}}, "painted": {"true": "COLOR_RED"},
        "blobs": {"18446744073709551615": "AA=="}, "nickname": "", "rank": 0, "text": "", "createTime": "2026-01-02T03:04:05.123456789Z",
        "duration": "-0.500s", "mask": "displayName,owner.id", "data": {"a": [1.0, "b", null, {"c": true}]}, "value": [null], "list": [1.0, [2.0]],
        "any": {"@type": "type.googleapis.com/everything.v1.Owner", "id": "z"}, "empty": {}, "maybeBool": false, "maybeString": "", "maybeInt64": "0",
        "maybeDouble": 0.0, "maybeBytes": "", "maybeUint32": 0, "values": [null, 1.0], "times": ["1970-01-01T00:00:00Z"], "secret": "s"
    }"#,
    )
    .expect("is JSON");
    assert_eq!(thing(&whole.to_string()), whole);
}

#[test]
fn other_spellings_of_the_same() {
    for (body, same) in [
        (
            r#"{"int64": 5, "uint64": 6, "int32": "7", "sint32": 8.0, "fixed64": 1e3}"#,
            json!({"int64": "5", "uint64": "6", "int32": 7, "sint32": 8, "fixed64": "1000"}),
        ),
        (
            r#"{"uint64": 18446744073709551615, "int64": "-9223372036854775808"}"#,
            json!({"uint64": "18446744073709551615", "int64": "-9223372036854775808"}),
        ),
        (r#"{"float": "1.5", "double": 2}"#, json!({"float": 1.5, "double": 2.0})),
        (r#"{"float": "NaN", "double": "-Infinity"}"#, json!({"float": "NaN", "double": "-Infinity"})),
        (
            r#"{"color": 1, "colors": ["COLOR_RED", 2, -3]}"#,
            json!({"color": "COLOR_RED", "colors": ["COLOR_RED", "COLOR_BLUE", "COLOR_BELOW"]}),
        ),
        (r#"{"bytes": "-_8"}"#, json!({"bytes": "+/8="})),
        (r#"{"bytes": "+/8="}"#, json!({"bytes": "+/8="})),
        (r#"{"bytes": "+/8"}"#, json!({"bytes": "+/8="})),
        (r#"{"create_time": "2026-01-02T03:04:05+01:00"}"#, json!({"createTime": "2026-01-02T02:04:05Z"})),
        (r#"{"title": "a"}"#, json!({"name": "a"})),
        (r#"{"parts": [{"owner": {"parent": {"label": "a"}}}]}"#, json!({"parts": [{"owner": {"parent": {"displayName": "a"}}}]})),
        (r#"{"numbered": {"1": {"thingTitle": "a"}}}"#, json!({"numbered": {"1": {"name": "a"}}})),
        (r#"{"mask": "display_name, owner.id"}"#, json!({"mask": "displayName,owner.id"})),
        (
            r#"{"id": null, "owner": null, "tags": null, "labels": null, "text": null, "number": 1, "maybeBool": null}"#,
            json!({"number": 1}),
        ),
        (r#"{"value": null}"#, json!({"value": null})),
        (r#"{"nothing": null}"#, json!({"nothing": null})),
        (r#"{"duration": "3s"}"#, json!({"duration": "3s"})),
        (r#"{"n\u0061me": "\u0643"}"#, json!({"name": "ك"})),
        (" {} \n", json!({})),
        ("", json!({})),
        (" \t", json!({})),
    ] {
        assert_eq!(thing(body), same, "{body}");
    }
}

#[test]
fn wrong_types_say_where_and_what() {
    for (body, problem) in [
        (r#"{"id": 1}"#, "id: expected a string, found a number"),
        (r#"{"parts": [{}, {}, {}, {"owner": {"display_name": []}}]}"#, "parts[3].owner.displayName: expected a string, found a list"),
        (r#"{"parts": {}}"#, "parts: expected a list, found an object"),
        (r#"{"parts": [null]}"#, "parts[0]: expected an object, found null"),
        (r#"{"tags": ["a", null]}"#, "tags[1]: expected a string, found null"),
        (r#"{"owner": "x"}"#, "owner: expected an object, found a string"),
        (r#"{"flag": "true"}"#, "flag: expected true or false, found a string"),
        (r#"{"flag": 1}"#, "flag: expected true or false, found a number"),
        (r#"{"int32": 2147483648}"#, "int32: expected a whole number from -2147483648 to 2147483647, found 2147483648"),
        (r#"{"int32": 1.5}"#, "int32: expected a whole number from -2147483648 to 2147483647, found 1.5"),
        (r#"{"int32": "x"}"#, "int32: expected a whole number from -2147483648 to 2147483647, found \"x\""),
        (r#"{"int32": true}"#, "int32: expected a whole number from -2147483648 to 2147483647, found true"),
        (r#"{"uint32": -1}"#, "uint32: expected a whole number from 0 to 4294967295, found -1"),
        (
            r#"{"int64": 9223372036854775808}"#,
            "int64: expected a whole number from -9223372036854775808 to 9223372036854775807, found 9223372036854775808",
        ),
        (
            r#"{"uint64": "18446744073709551616"}"#,
            "uint64: expected a whole number from 0 to 18446744073709551615, found 18446744073709551616",
        ),
        (r#"{"uint64": 1e300}"#, "uint64: expected a whole number from 0 to 18446744073709551615, found 1"),
        (r#"{"float": 1e39}"#, "float: expected a number that fits 32 bits, found 1"),
        (r#"{"double": "nan"}"#, "double: expected a number, found \"nan\""),
        (r#"{"double": "1e999"}"#, "double: expected a number, found \"1e999\""),
        (r#"{"double": false}"#, "double: expected a number, found false"),
        (r#"{"bytes": "a*"}"#, "bytes: expected base64, found \"a*\""),
        (r#"{"bytes": "+_8="}"#, "bytes: expected base64, found \"+_8=\""),
        (r#"{"bytes": [1]}"#, "bytes: expected a string in base64, found a list"),
        (r#"{"color": "RED"}"#, "color: expected one of `COLOR_BELOW`, `COLOR_UNSPECIFIED`, `COLOR_RED`, `COLOR_BLUE`, found \"RED\""),
        (r#"{"color": "color_red"}"#, "color: unknown value \"color_red\"; did you mean `COLOR_RED`?"),
        (r#"{"color": 9}"#, "color: expected one of `COLOR_BELOW`, `COLOR_UNSPECIFIED`, `COLOR_RED`, `COLOR_BLUE`, found 9"),
        (r#"{"color": {}}"#, "color: expected one of `COLOR_BELOW`, `COLOR_UNSPECIFIED`, `COLOR_RED`, `COLOR_BLUE`, found an object"),
        (r#"{"labels": []}"#, "labels: expected an object, found a list"),
        (r#"{"labels": {"a": 1}}"#, "labels.a: expected a string, found a number"),
        (r#"{"labels": {"a.b c": 1}}"#, "labels[\"a.b c\"]: expected a string, found a number"),
        (
            r#"{"numbered": {"x": {}}}"#,
            "numbered.x: has a key that does not fit: expected a whole number from -2147483648 to 2147483647, found \"x\"",
        ),
        (r#"{"painted": {"yes": 1}}"#, "painted.yes: has a key that does not fit: expected true or false, found \"yes\""),
        (r#"{"createTime": 5}"#, "createTime: expected a string, found a number"),
        (
            r#"{"createTime": "0000-01-01T00:00:00Z"}"#,
            "createTime: expected a time from the years 1 to 9999, found \"0000-01-01T00:00:00Z\"",
        ),
        (r#"{"duration": "315576000000.1s"}"#, "duration: expected a duration in seconds such as 1.5s, found \"315576000000.1s\""),
        (r#"{"data": []}"#, "data: expected an object, found a list"),
        (r#"{"list": {}}"#, "list: expected a list, found an object"),
        (r#"{"maybeInt64": {}}"#, "maybeInt64: expected a whole number from -9223372036854775808 to 9223372036854775807, found an object"),
        (r#"{"empty": {"x": 1}}"#, "empty.x: unknown field; there are none here"),
        (r#"{"any": {"id": "x"}}"#, "any: expected a member `@type` that names the type"),
        (r#"{"any": {"@type": 5}}"#, "any.@type: expected a string, found a number"),
        (r#"{"any": {"@type": "type.googleapis.com/a.B"}}"#, "any.@type: unknown type \"a.B\""),
        (r#"{"any": {"@type": "x/everything.v1.Owner", "idd": 1}}"#, "any.idd: unknown field; did you mean `id`?"),
        (r#"{"any": {"@type": "x/google.protobuf.Duration", "value": 1}}"#, "any.value: expected a string, found a number"),
        (r#"{"any": {"@type": "x/google.protobuf.Duration", "valu": "1s"}}"#, "any: expected `@type` and `value`, and nothing else"),
        ("[]", "expected an object, found a list"),
        ("null", "expected an object, found null"),
    ] {
        let found = refused_thing(body);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        // Large floats are told in full, which no table needs to show.
        assert!(found[0].starts_with(problem), "{body}: {} is not {problem}", found[0]);
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    assert_eq!(
        refused_thing(r#"{"id": 1, "nane": "x", "parts": [{"flag": 3}, {}, {"color": "x"}], "uint32": -1}"#),
        [
            "id: expected a string, found a number",
            "nane: unknown field; did you mean `name`?",
            "parts[0].flag: expected true or false, found a number",
            "parts[2].color: expected one of `COLOR_BELOW`, `COLOR_UNSPECIFIED`, `COLOR_RED`, `COLOR_BLUE`, found \"x\"",
            "uint32: expected a whole number from 0 to 4294967295, found -1",
        ]
    );
    let many = format!("{{\"tags\": [{}]}}", vec!["1"; 1000].join(","));
    assert_eq!(refused_thing(&many).len(), 32);
}

#[test]
fn given_twice() {
    for (body, problem) in [
        (r#"{"id": "a", "id": "a"}"#, "id: is given twice"),
        (r#"{"id": null, "id": "a"}"#, "id: is given twice"),
        (r#"{"name": "a", "title": "b"}"#, "name: is given twice, as `name` and as `title`"),
        (r#"{"create_time": null, "createTime": null}"#, "createTime: is given twice, as `create_time` and as `createTime`"),
        (r#"{"owner": {"label": "a", "displayName": "b"}}"#, "owner.displayName: is given twice, as `label` and as `displayName`"),
        (r#"{"labels": {"a": "1", "a": "1"}}"#, "labels.a: is given twice"),
        (r#"{"data": {"a": 1, "a": 1}}"#, "data.a: is given twice"),
        (r#"{"text": "", "number": 0}"#, "number: cannot be given together with `text`"),
        (r#"{"text": "", "nothing": null}"#, "nothing: cannot be given together with `text`"),
    ] {
        assert_eq!(refused_thing(body), [problem], "{body}");
    }
}

#[test]
fn unknown_names() {
    assert_eq!(refused_thing(r#"{"titel": 1}"#), ["titel: unknown field; did you mean `title`?"]);
    assert_eq!(refused_thing(r#"{"owner": {"colour": 1}}"#), ["owner.colour: unknown field; known are `id`, `displayName`, `parent`"]);
    let found = refused_thing(&format!(r#"{{"{}": 1}}"#, "x".repeat(5000)));
    assert!(found[0].len() < 600, "{}", found[0].len());
}

#[test]
fn not_json() {
    for (body, problem) in [
        ("{", "the body is not JSON: EOF while parsing an object at line 1 column 1"),
        ("{} x", "the body has something behind its JSON value: trailing characters at line 1 column 4"),
        ("{}{}", "the body has something behind its JSON value: trailing characters at line 1 column 3"),
        (r#"{"id": nope}"#, "the body is not JSON: expected ident at line 1 column 9"),
        (r#"{"double": NaN}"#, "the body is not JSON: expected value at line 1 column 12"),
        (r#"{"double": 1e999}"#, "the body is not JSON: number out of range at line 1 column 16"),
        (r#"{"id": "\ud800"}"#, "the body is not JSON: "),
        ("id=1", "the body is not JSON: expected value at line 1 column 1"),
    ] {
        let found = refused_thing(body);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(problem), "{body}: {found:?}");
    }
    let invalid = call_bytes("POST", "/v1/things", b"{\"id\": \"\xff\"}").expect_err("is not UTF-8");
    assert!(invalid[0].description.starts_with("the body is not JSON: invalid unicode"), "{invalid:?}");
}

#[test]
fn nesting_is_bounded() {
    let nested = |open: &str, close: &str, times: usize| format!("{}{}", open.repeat(times), close.repeat(times));
    let lists = |times| format!(r#"{{"value": {}}}"#, nested("[", "]", times));
    assert_eq!(refused_thing(&lists(64)), ["the body is nested more than 64 deep at line 1 column 75"]);
    assert_eq!(refused_thing(&lists(100_000)).len(), 1);
    // What is taken can be decoded: `call` does.
    thing(&lists(40));
    assert_eq!(refused_thing(&lists(41))[0].split(": ").nth(1), Some("is nested too deeply"));
    let objects = |times: usize| format!(r#"{{"data": {}1{}}}"#, r#"{"a": "#.repeat(times), "}".repeat(times));
    thing(&objects(26));
    assert!(refused_thing(&objects(27))[0].ends_with("is nested too deeply"));
    thing(&format!("{}{}", r#"{"parts": [{}, "#.repeat(31), "{}".to_owned() + &"]}".repeat(31)));
    let any = format!("{}{}{}", r#"{"any": {"@type": "x/everything.v1.Thing", "any": "#.repeat(20), "null", "}}".repeat(20));
    assert!(!refused_thing(&any).is_empty());
}

#[test]
fn a_body_of_one_field() {
    let message = call("POST", "/v1/things:bulk", r#"[{"id": "a"}, {"title": "b"}]"#).expect("fits");
    assert_eq!(json(&message), json!({"things": [{"id": "a"}, {"name": "b"}]}));
    for (body, problem) in [
        (r#"[{}, {"id": 1}]"#, "things[1].id: expected a string, found a number"),
        ("[5]", "things[0]: expected an object, found a number"),
        (r#"{"things": []}"#, "things: expected a list, found an object"),
    ] {
        assert_eq!(refused("POST", "/v1/things:bulk", body), [problem]);
    }
    assert_eq!(refused("PATCH", "/v1/shelves/s/things/t", r#"{"x": 1}"#).len(), 1);
    assert_eq!(refused("PATCH", "/v1/shelves/s/things/t", r#"{"idd": 1}"#), ["thing.idd: unknown field; did you mean `id`?"]);
    for nothing in ["", "null"] {
        let message = call("POST", "/v1/things:bulk?shelf=s", nothing).expect("fits");
        assert_eq!(json(&message), json!({"shelf": "s"}));
    }
}

#[test]
fn no_body() {
    assert!(call("DELETE", "/v1/things/t", "").is_ok());
    assert!(call("DELETE", "/v1/things/t", " { } ").is_ok());
    for body in [r#"{"id": "t"}"#, "[]", "null", "x"] {
        assert_eq!(refused("DELETE", "/v1/things/t", body), ["this call takes no body"]);
    }
}

#[test]
fn an_any_is_encoded() {
    let message =
        call("POST", "/v1/things", r#"{"any": {"value": "1.5s", "@type": "type.googleapis.com/google.protobuf.Duration"}}"#).expect("fits");
    assert_eq!(json(&message), json!({"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"}}));
}
