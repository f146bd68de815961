//! Values that stand in the path.

use crate::support::{call, json, refused};
use serde_json::json;

#[test]
fn segments_are_decoded() {
    let id = |path: &str| {
        let message = call("GET", path, "").unwrap_or_else(|error| panic!("{path}: {error:?}"));
        json(&message)["id"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(id("/v1/things/plain"), "plain");
    assert_eq!(id("/v1/things/a%2Fb"), "a/b");
    assert_eq!(id("/v1/things/a%2fb%3F%25"), "a/b?%");
    assert_eq!(id("/v1/things/%2B20+1"), "+20+1");
    assert_eq!(id("/v1/things/%D9%83%D9%8A"), "كي");
    assert_eq!(id("/v1/things/كي"), "كي");
    assert_eq!(id("/v1/things/a:b"), "a:b");
    assert_eq!(id("/v1/things/%61:b"), "a:b");
}

#[test]
fn several_segments_keep_their_escaped_slashes() {
    let message = call("GET", "/v1/shelves/a%2Fb%20c/things/t%2ft", "").expect("fits");
    assert_eq!(json(&message), json!({"name": "shelves/a%2Fb c/things/t%2ft"}));
    let message = call("GET", "/v1/shelves/s/thing", "").expect("fits");
    assert_eq!(json(&message), json!({"name": "shelves/s"}));
    let message = call("GET", "/v1/shelves/s:open", "").expect("fits");
    assert_eq!(json(&message), json!({"name": "shelves/s"}));
    for (path, value) in [("/v1/files/a/b%2Fc/d:e", "a/b%2Fc/d:e"), ("/v1/files/a", "a"), ("/v1/files/", ""), ("/v1/files", "")] {
        let message = call("GET", path, "").expect("fits");
        assert_eq!(message.get_field_by_name("path").and_then(|path| path.as_str().map(str::to_owned)).as_deref(), Some(value));
    }
}

#[test]
fn broken_escapes() {
    for path in ["%", "a%2", "%zz", "%2g", "%+1"] {
        assert_eq!(refused("GET", &format!("/v1/things/{path}"), ""), ["id: has a `%` that two hexadecimal digits do not follow"]);
    }
    assert_eq!(refused("GET", "/v1/things/%ff", ""), ["id: is not UTF-8 when decoded"]);
    assert_eq!(refused("GET", "/v1/shelves/%ff/thing", ""), ["name: is not UTF-8 when decoded"]);
}

#[test]
fn typed_values() {
    let message = call("GET", "/v1/at/2026-01-02T03:04:05+02:00/COLOR_RED/true/7", "").expect("fits");
    assert_eq!(json(&message), json!({"time": "2026-01-02T01:04:05Z", "color": "COLOR_RED", "flag": true, "count": 7}));
    assert_eq!(
        refused("GET", "/v1/at/noon/COLOR_RDE/yes/-1", ""),
        [
            "time: expected a time such as 2026-11-21T09:30:00Z, found \"noon\"",
            "color: unknown value \"COLOR_RDE\"; did you mean `COLOR_RED`?",
            "flag: expected true or false, found \"yes\"",
            "count: expected a whole number from 0 to 4294967295, found -1",
        ]
    );
}

#[test]
fn path_and_body() {
    let message = call("PUT", "/v1/owners/o/things/t", r#"{"name": "n", "owner": {"label": "l"}}"#).expect("fits");
    assert_eq!(json(&message), json!({"id": "t", "name": "n", "owner": {"id": "o", "displayName": "l"}}));
    let same = call("PUT", "/v1/owners/o/things/t", r#"{"id": "t", "owner": {"id": "o"}}"#).expect("fits");
    assert_eq!(json(&same), json!({"id": "t", "owner": {"id": "o"}}));
    assert_eq!(
        refused("PUT", "/v1/owners/o/things/t", r#"{"id": "u", "owner": {"id": "p"}}"#),
        ["owner.id: is one thing in the path and another in the body", "id: is one thing in the path and another in the body",]
    );
    let inside = call("PATCH", "/v1/shelves/s/things/t?updateMask=flag", r#"{"flag": true}"#).expect("fits");
    assert_eq!(json(&inside), json!({"thing": {"name": "shelves/s/things/t", "flag": true}, "updateMask": "flag"}));
}

#[test]
fn path_and_query() {
    assert_eq!(refused("GET", "/v1/things/t?id=t", ""), ["id: is given in the path already"]);
    assert_eq!(
        refused("PATCH", "/v1/shelves/s/things/t?thing.name=x", "{}"),
        ["thing: belongs in the body"].map(|text| text.replace("thing:", "thing.name:"))
    );
}
