//! What is refused when a transcoder is built.

use barid_transcode::{BuildError, RouteError};
use http::Method;

use crate::support::build;

/// A service with one method for each of the rules, all with the same messages.
fn service(rules: &[&str]) -> String {
    let methods: String = rules
        .iter()
        .enumerate()
        .map(|(i, rule)| format!("rpc Call{i}(In) returns (Out) {{ option (google.api.http) = {{{rule}}}; }}\n"))
        .collect();
    format!(
        "service Calls {{ {methods} }}
        message In {{ string id = 1; repeated string many = 2; Inner inner = 3; map<string, string> map = 4; google.protobuf.Timestamp time = 5; }}
        message Inner {{ string id = 1; repeated Inner more = 2; }}
        message Out {{ string id = 1; }}"
    )
}

fn error(rules: &[&str]) -> String {
    match build(&service(rules)) {
        Ok(_) => panic!("{rules:?} was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn malformed_templates() {
    for (template, problem) in [
        ("v1/x", "must begin with `/`"),
        ("/v1//x", "has an empty segment"),
        ("/", "has an empty segment"),
        ("/v1/x/", "has an empty segment"),
        ("/v1/{id", "has a `{` without its `}`"),
        ("/v1/id}", "has a `}` without its `{`"),
        ("/v1/{id={inner.id}}", "has a variable inside of a variable"),
        ("/v1/x{id}", "has a segment that is neither a literal nor a variable"),
        ("/v1/{id}x", "has a `{` without its `}`"),
        ("/v1/{}", "has a variable that is not a field path"),
        ("/v1/{id.}", "has a variable that is not a field path"),
        ("/v1/{id=}", "has an empty segment"),
        ("/v1/{id=**}/x", "has something behind `**`, which takes all there is"),
        ("/v1/{id}/{id}", "names a variable twice"),
        ("/v1/x:", "has a verb that is not a plain word"),
        ("/v1/x:a:b", "has a verb that is not a plain word"),
        ("/v1/x:a/b", "has a segment that is neither a literal nor a variable"),
        ("/v1/a b", "has a segment that is neither a literal nor a variable"),
        ("/v1/a%20b", "has a segment that is neither a literal nor a variable"),
    ] {
        let message = error(&[&format!("get: \"{template}\"")]);
        assert_eq!(message, format!("test.v1.Calls.Call0: `{template}` {problem}"));
    }
    assert_eq!(error(&[r#"body: "*""#]), "test.v1.Calls.Call0: `` names no path in google.api.http");
    assert_eq!(error(&[r#"custom: {kind: "*" path: "/x"}"#]), "test.v1.Calls.Call0: `*` is not an HTTP verb");
    assert_eq!(error(&[r#"get: "/x" body: "*""#]), "test.v1.Calls.Call0: `/x` has a body, which GET does not take");
}

#[test]
fn fields_that_are_not_there_or_do_not_fit() {
    for (rule, problem) in [
        (r#"get: "/x/{nope}""#, "message test.v1.In has no field `nope`"),
        (r#"get: "/x/{inner.nope}""#, "message test.v1.Inner has no field `nope`"),
        (r#"post: "/x" body: "nope""#, "message test.v1.In has no field `nope`"),
        (r#"get: "/x" response_body: "nope""#, "message test.v1.Out has no field `nope`"),
        (r#"get: "/x/{many}""#, "field `many` is repeated, which a path cannot tell"),
        (r#"get: "/x/{map}""#, "field `map` is repeated, which a path cannot tell"),
        (r#"get: "/x/{inner.more.id}""#, "field `inner.more.id` is repeated, which a path cannot tell"),
        (r#"get: "/x/{inner}""#, "field `inner` is a message, which a path cannot tell"),
        (r#"get: "/x/{id.x}""#, "field `id.x` reaches into something that is no message"),
        (r#"put: "/x/{id}" body: "id""#, "field `id` is both the body and a part of the path"),
    ] {
        assert_eq!(error(&[rule]), format!("test.v1.Calls.Call0: {problem}"));
    }
    assert!(build(&service(&[r#"get: "/x/{time}""#])).is_ok());
}

#[test]
fn conflicts_name_both_methods() {
    let message = error(&[r#"get: "/v1/{id}:go""#, r#"get: "/v1/{inner.id=*}:go""#]);
    assert_eq!(message, "test.v1.Calls.Call1: `GET /v1/{inner.id=*}:go` is already taken by test.v1.Calls.Call0 (GET /v1/{id}:go)");
    let same_method = error(&[r#"get: "/v1/x" additional_bindings {get: "/v1/x"}"#]);
    assert!(same_method.contains("already taken"), "{same_method}");
    let rest = error(&[r#"get: "/v1/{id=**}""#, r#"get: "/v1/**""#]);
    assert!(rest.contains("already taken"), "{rest}");
    let apart = [r#"get: "/v1/{id}""#, r#"post: "/v1/{id}""#, r#"get: "/v1/{id}:go""#, r#"get: "/v1/x""#, r#"get: "/v1/**""#];
    assert!(build(&service(&apart)).is_ok());
}

#[test]
fn raw_bytes_are_no_events() {
    let streamed = build(
        "service S { rpc Call(M) returns (stream google.api.HttpBody) { option (google.api.http) = {get: \"/x\"}; } }
        message M {}",
    );
    let problem = streamed.err().map(|error| error.to_string());
    assert_eq!(problem.as_deref(), Some("test.v1.S.Call: `/x` streams google.api.HttpBody, which server-sent events cannot tell"));
}

#[test]
fn statuses_are_of_success() {
    let body = |status: u32| {
        format!(
            "service S {{ rpc Call(M) returns (M) {{
                option (google.api.http) = {{get: \"/x\"}};
                option (transcode.v1.method) = {{success_status: {status}}};
            }} }}
            message M {{}}"
        )
    };
    for status in [199, 300, 404, 70_000, 200_000] {
        assert!(matches!(build(&body(status)), Err(BuildError::Malformed { .. })), "{status}");
    }
    let transcoder = build(&body(204)).expect("204 is a status of success");
    assert_eq!(transcoder.find(&Method::GET, "/x").map(|found| found.success_status().as_u16()), Ok(204));
}

#[test]
fn aliases_and_examples_are_checked() {
    let alias = build("message M { string a_b = 1; string c = 2 [(transcode.v1.field) = {aliases: \"aB\"}]; }");
    assert_eq!(alias.err().map(|error| error.to_string()).as_deref(), Some("test.v1.M.c: the alias `aB` is also a name of test.v1.M.a_b"));
    let twice = build(
        "message M { string a = 1 [(transcode.v1.field) = {aliases: \"x\"}]; string b = 2 [(transcode.v1.field) = {aliases: \"x\"}]; }",
    );
    assert!(matches!(twice, Err(BuildError::Alias { .. })));
    // Its own name once more harms nobody.
    assert!(build("message M { string a_b = 1 [(transcode.v1.field) = {aliases: \"aB\"}]; }").is_ok());
    let example = build(
        "service S { rpc Call(M) returns (M) { option (google.api.http) = {get: \"/x\"}; } }
        message M { M m = 1; string a = 2 [(transcode.v1.field) = {example: \"bare\"}]; }",
    );
    assert!(matches!(example, Err(BuildError::Example { field, .. }) if field == "test.v1.M.a"));
}

#[test]
fn a_pool_without_annotations_has_no_routes() {
    let pool = prost_reflect::DescriptorPool::global();
    let transcoder = barid_transcode::Transcoder::new(&pool, |_| true).expect("nothing can be wrong with it");
    assert_eq!(transcoder.find(&Method::GET, "/v1/x").err(), Some(RouteError::NotFound));
}
