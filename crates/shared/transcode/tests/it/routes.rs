//! Which method answers to a verb and path.

use barid_transcode::{RouteError, Transcoder};
use http::Method;
use proptest::prelude::*;

use crate::support::{THINGS, THINGS_POOL};

fn find(verb: Method, path: &str) -> Result<String, RouteError> {
    THINGS.find(&verb, path).map(|found| format!("{} {}", found.method().name(), found.template()))
}

fn found(verb: Method, path: &str) -> String {
    find(verb.clone(), path).unwrap_or_else(|error| panic!("{verb} {path}: {error}"))
}

#[test]
fn verbs_variables_and_bindings() {
    for (verb, path, expected) in [
        (Method::POST, "/v1/things", "CreateThing /v1/things"),
        (Method::POST, "/v1/things:create", "CreateThing /v1/things:create"),
        (Method::POST, "/v1/things:batch", "BatchThings /v1/things:batch"),
        (Method::POST, "/v1/things:bulk", "BatchThings /v1/things:bulk"),
        (Method::PUT, "/v1/owners/o/things/t", "CreateThing /v1/owners/{owner.id}/things/{id}"),
        (Method::GET, "/v1/things", "ListThings /v1/things"),
        (Method::GET, "/v1/things:watch", "WatchThings /v1/things:watch"),
        (Method::GET, "/v1/things/t", "GetThing /v1/things/{id}"),
        (Method::HEAD, "/v1/things/t", "ProbeThing /v1/things/{id}"),
        (Method::POST, "/v1/things/t:stop", "StopThing /v1/things/{id}:stop"),
        (Method::GET, "/v1/shelves/s/things/t", "GetThing /v1/{name=shelves/*/things/*}"),
        (Method::GET, "/v1/shelves/s/thing", "GetThing /v1/{name=shelves/*}/thing"),
        (Method::GET, "/v1/shelves/s:open", "GetThing /v1/{name=shelves/*}:open"),
        (Method::GET, "/v1/things/t/picture.png", "DrawThing /v1/things/{id}/picture.png"),
        (Method::GET, "/v1/things/t.png/picture.png", "DrawThing /v1/things/{id}/picture.png"),
        (Method::GET, "/v1/things/t/drawing", "WrapDrawing /v1/things/{id}/drawing"),
        (Method::GET, "/v1/things/t/drawing:raw", "WrapDrawing /v1/things/{id}/drawing:raw"),
        (Method::GET, "/v1/files", "GetThing /v1/files/{path=**}"),
        (Method::GET, "/v1/files/a", "GetThing /v1/files/{path=**}"),
        (Method::GET, "/v1/files/a/b/c:d", "GetThing /v1/files/{path=**}"),
    ] {
        assert_eq!(found(verb, path), expected, "{path}");
    }
}

#[test]
fn literals_go_before_variables() {
    assert_eq!(found(Method::GET, "/v1/things/special"), "GetSpecial /v1/things/special");
    assert_eq!(found(Method::GET, "/v1/things/s%70ecial"), "GetSpecial /v1/things/special");
    assert_eq!(found(Method::GET, "/v1/things/special2"), "GetThing /v1/things/{id}");
    // Nothing else answers to DELETE there, so the variable takes it.
    assert_eq!(found(Method::DELETE, "/v1/things/special"), "DeleteThing /v1/things/{id}");
}

#[test]
fn colons() {
    // No template has this verb: the colon belongs to the value.
    assert_eq!(found(Method::GET, "/v1/things/a:b"), "GetThing /v1/things/{id}");
    assert_eq!(found(Method::GET, "/v1/things/a:b:c"), "GetThing /v1/things/{id}");
    // An escaped colon parts nothing.
    assert_eq!(found(Method::GET, "/v1/things/a%3Astop"), "GetThing /v1/things/{id}");
    assert_eq!(found(Method::POST, "/v1/things/a:b:stop"), "StopThing /v1/things/{id}:stop");
    // A known verb is meant as one.
    assert_eq!(find(Method::GET, "/v1/things/a:stop"), Err(RouteError::MethodNotAllowed { allow: vec![Method::POST] }));
    // A mistyped one is not told to use GET.
    assert_eq!(find(Method::POST, "/v1/things/a:stopp"), Err(RouteError::NotFound));
    assert_eq!(find(Method::POST, "/v1/things/:stop"), Err(RouteError::NotFound));
}

#[test]
fn what_is_not_there() {
    for path in
        ["", "/", "v1/things", "/v1", "/v1/things/", "/v1//things", "/v1/things/a/b", "/V1/things", "/v1/shelves/s/things", "/v1/%ff"]
    {
        assert_eq!(find(Method::GET, path), Err(RouteError::NotFound), "{path}");
    }
    // No binding, or a stream from the client.
    assert_eq!(find(Method::POST, "/v1/things:pour"), Err(RouteError::NotFound));
    assert_eq!(find(Method::POST, "/everything.v1.ThingService/Hidden"), Err(RouteError::NotFound));
}

#[test]
fn other_verbs_are_listed() {
    let allow = |path| match find(Method::TRACE, path) {
        Err(RouteError::MethodNotAllowed { allow }) => allow,
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(allow("/v1/things"), [Method::GET, Method::POST]);
    assert_eq!(allow("/v1/things/special"), [Method::DELETE, Method::GET, Method::HEAD]);
    assert_eq!(allow("/v1/shelves/s/things/t"), [Method::GET, Method::PATCH]);
}

#[test]
fn a_match_knows_its_method() {
    let found = THINGS.find(&Method::POST, "/v1/things").expect("is there");
    assert_eq!(found.grpc_path(), "/everything.v1.ThingService/CreateThing");
    assert_eq!(found.success_status(), 201);
    assert!(found.takes_body());
    let found = THINGS.find(&Method::GET, "/v1/things:watch").expect("is there");
    assert_eq!(found.success_status(), 200);
    assert!(!found.takes_body());
    assert!(found.method().is_server_streaming());
    let found = THINGS.find(&Method::POST, "/v1/things:bulk").expect("is there");
    assert!(found.takes_body());
}

#[test]
fn debug_ends_although_messages_hold_themselves() {
    let found = THINGS.find(&Method::DELETE, "/v1/things/t").expect("is there");
    assert_eq!(format!("{found:?}"), "Match(\"everything.v1.ThingService.DeleteThing (DELETE /v1/things/{id})\")");
    assert!(format!("{:?}", *THINGS).contains("GET /v1/files/{path=**}"));
}

#[test]
fn only_what_is_kept() {
    let transcoder = Transcoder::new(&THINGS_POOL, |method| method.name() == "GetThing").expect("is sound");
    assert!(transcoder.find(&Method::GET, "/v1/things/special").is_ok_and(|found| found.method().name() == "GetThing"));
    assert_eq!(transcoder.find(&Method::GET, "/v1/things").err(), Some(RouteError::NotFound));
}

proptest! {
    /// Whatever comes in, it is found or not, and asking for its request does not panic.
    #[test]
    fn nothing_panics(path in "/?(v1/)?(things|shelves|files|owners|at|[a-z%:/.*{}]{0,12})([/:](stop|open|thing|%2[fF]|%|[^?]{0,8})){0,5}", query in "[a-z.%&=+_]{0,40}") {
        for verb in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            if let Ok(found) = THINGS.find(&verb, &path) {
                let _ = found.request(Some(&query), b"");
            }
        }
    }
}
