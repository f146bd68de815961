//! Values that stand in the query.

use crate::support::{call, json, refused};
use serde_json::{Value, json};

fn query(query: &str) -> Value {
    let target = format!("/v1/things?{query}");
    json(&call("GET", &target, "").unwrap_or_else(|error| panic!("{query}: {error:?}")))
}

fn refused_query(query: &str) -> Vec<String> {
    refused("GET", &format!("/v1/things?{query}"), "")
}

#[test]
fn names() {
    assert_eq!(query("pageSize=5"), json!({"pageSize": 5}));
    assert_eq!(query("page_size=5"), json!({"pageSize": 5}));
    assert_eq!(query("limit=5"), json!({"pageSize": 5}));
    assert_eq!(query("p%61ge_size=5"), json!({"pageSize": 5}));
    assert_eq!(
        query("filter.owner.label=a&filter.owner.parent.display_name=b"),
        json!({"filter": {"owner": {"displayName": "a", "parent": {"displayName": "b"}}}})
    );
    assert_eq!(query(""), json!({}));
    assert_eq!(query("&&pageToken=x&"), json!({"pageToken": "x"}));
    assert_eq!(query("pageToken"), json!({}));
}

#[test]
fn values() {
    assert_eq!(query("tags=a&tags=b&tags=a"), json!({"tags": ["a", "b", "a"]}));
    assert_eq!(query("numbers=1&pageToken=x&numbers=-2"), json!({"numbers": [1, -2], "pageToken": "x"}));
    assert_eq!(
        query("filter.colors=COLOR_RED&filter.colors=2&filter.colors=-3"),
        json!({"filter": {"colors": ["COLOR_RED", "COLOR_BLUE", "COLOR_BELOW"]}})
    );
    assert_eq!(query("filter.after=2026-01-02T03:04:05.5Z"), json!({"filter": {"after": "2026-01-02T03:04:05.500Z"}}));
    assert_eq!(query("filter.after=2026-01-02T03:04:05%2B02:00"), json!({"filter": {"after": "2026-01-02T01:04:05Z"}}));
    assert_eq!(query("readMask=pageSize,filter.display_name"), json!({"readMask": "pageSize,filter.displayName"}));
    assert_eq!(query("maxAge=1.5s"), json!({"maxAge": "1.500s"}));
    assert_eq!(query("exact="), json!({"exact": ""}));
    assert_eq!(query("pageToken=a+b%2Bc%26d=e"), json!({"pageToken": "a b+c&d=e"}));
    assert_eq!(query("cursor=-_8&ratio=1e3"), json!({"cursor": "+/8=", "ratio": 1000.0}));
    assert_eq!(query("serial=18446744073709551615"), json!({"serial": "18446744073709551615"}));
    assert_eq!(query("filter.flag=false"), json!({"filter": {}}));
}

#[test]
fn unknown_names_are_told_what_was_meant() {
    assert_eq!(refused_query("pagesize=5"), ["pagesize: unknown query parameter; did you mean `pageSize`?"]);
    assert_eq!(refused_query("filter.colours=1"), ["filter.colours: unknown query parameter; did you mean `colors`?"]);
    assert_eq!(refused_query("filter.zzzzzz=1"), ["filter.zzzzzz: unknown query parameter; known are `colors`, `after`, `flag`, `owner`"]);
    assert_eq!(refused_query("=5").len(), 1);
    assert_eq!(refused("GET", "/v1/things/special?x=1", ""), ["x: unknown query parameter; there are none here"]);
}

#[test]
fn given_twice() {
    assert_eq!(refused_query("pageSize=5&pageSize=5"), ["pageSize: is given twice"]);
    assert_eq!(refused_query("pageSize=5&page_size=5"), ["pageSize: is given twice, as `pageSize` and as `page_size`"]);
    assert_eq!(refused_query("limit=5&pageSize=5"), ["pageSize: is given twice, as `limit` and as `pageSize`"]);
    assert_eq!(refused_query("filter.flag=false&filter.flag=true"), ["filter.flag: is given twice"]);
    assert_eq!(refused_query("ownerId=a&shelfId=b"), ["shelfId: cannot be given together with `ownerId`"]);
}

#[test]
fn values_that_do_not_fit() {
    for (query, problem) in [
        ("pageSize=", "pageSize: expected a whole number from -2147483648 to 2147483647, found \"\""),
        ("pageSize=2147483648", "pageSize: expected a whole number from -2147483648 to 2147483647, found 2147483648"),
        ("pageSize=1.0", "pageSize: expected a whole number from -2147483648 to 2147483647, found \"1.0\""),
        ("pageSize=%2B1", "pageSize: expected a whole number from -2147483648 to 2147483647, found \"+1\""),
        ("serial=-1", "serial: expected a whole number from 0 to 18446744073709551615, found -1"),
        ("filter.flag=1", "filter.flag: expected true or false, found \"1\""),
        ("filter.colors=7", "filter.colors: expected one of `COLOR_BELOW`, `COLOR_UNSPECIFIED`, `COLOR_RED`, `COLOR_BLUE`, found 7"),
        ("filter.after=2026-01-02", "filter.after: expected a time such as 2026-11-21T09:30:00Z, found \"2026-01-02\""),
        (
            "filter.after=2026-01-02T03:04:05+02:00",
            "filter.after: expected a time such as 2026-11-21T09:30:00Z, found \"2026-01-02T03:04:05 02:00\" (in a query, `+` is written %2B)",
        ),
        ("maxAge=1", "maxAge: expected a duration in seconds such as 1.5s, found \"1\""),
        ("readMask=a/b", "readMask: expected names of fields such as `name,dailyQuota`, found \"a/b\""),
        ("ratio=inf", "ratio: expected a number, found \"inf\""),
        ("ratio=1e999", "ratio: expected a number, found \"1e999\""),
        ("cursor=***", "cursor: expected base64, found \"***\""),
        ("filter=x", "filter: cannot be told in a query parameter"),
        ("labels=x", "labels: cannot be told in a query parameter"),
        ("labels.a=x", "labels.a: `labels` is repeated, and its parts cannot be told in a query"),
        ("owners.id=x", "owners.id: `owners` is repeated, and its parts cannot be told in a query"),
        ("pageToken.x=1", "pageToken.x: `pageToken` has no fields of its own"),
        ("data=%7B%7D", "data: cannot be told in a query parameter"),
        ("pageToken=%f", "pageToken: has a `%` that two hexadecimal digits do not follow"),
        ("pageToken=%ff", "pageToken: is not UTF-8 when decoded"),
        ("%ff=1", "the name of the query parameter \"%ff\" is not UTF-8 when decoded"),
    ] {
        assert_eq!(refused_query(query), [problem], "{query}");
    }
}

#[test]
fn the_body_takes_the_rest() {
    assert_eq!(refused("POST", "/v1/things?id=x", "{}"), ["id: belongs in the body: this call takes no query parameters"]);
    assert_eq!(refused("POST", "/v1/things:bulk?things=x", "[]"), ["things: belongs in the body"]);
    let message = call("POST", "/v1/things:bulk?rack=s", r#"[{"id": "a"}]"#).expect("fits");
    assert_eq!(json(&message), json!({"shelf": "s", "things": [{"id": "a"}]}));
}

#[test]
fn there_is_an_end_to_complaints() {
    let query: Vec<String> = (0..1000).map(|i| format!("unknownNumber{i}=1")).collect();
    assert_eq!(refused_query(&query.join("&")).len(), 32);
}
