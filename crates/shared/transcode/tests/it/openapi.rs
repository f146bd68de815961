//! The OpenAPI document of `everything.proto`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use barid_transcode::{Info, Transcoder};
use serde_json::{Value, json};

use crate::support::{THINGS, build, compile, protos, repository};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| THINGS.openapi(&info()));

pub fn info() -> Info {
    Info { title: "Things".to_owned(), version: "1.2.3".to_owned(), description: "All about things.".to_owned() }
}

fn operation(path: &str, verb: &str) -> &'static Value {
    let operation = &DOCUMENT["paths"][path][verb];
    assert!(
        operation.is_object(),
        "no {verb} {path} among {:?}",
        DOCUMENT["paths"].as_object().map(|paths| paths.keys().collect::<Vec<_>>())
    );
    operation
}

fn parameter<'d>(operation: &'d Value, name: &str) -> &'d Value {
    let parameters = operation["parameters"].as_array().expect("there are parameters");
    let found = parameters.iter().find(|parameter| parameter["name"] == name);
    found.unwrap_or_else(|| panic!("no parameter {name} among {parameters:#?}"))
}

fn names(operation: &Value) -> Vec<&str> {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect()
}

/// Every rule of OpenAPI that this crate could break.
pub fn check(document: &Value) {
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    collect_references(document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        assert!(document.pointer(pointer).is_some_and(Value::is_object), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    let mut shapes = BTreeSet::new();
    let tags: BTreeSet<&str> = document["tags"].as_array().expect("tags").iter().filter_map(|tag| tag["name"].as_str()).collect();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let in_path: BTreeSet<&str> = path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let shape: String = path.split('{').map(|part| part.split_once('}').map_or(part, |(_, tail)| tail)).collect::<Vec<_>>().join("{}");
        assert!(shapes.insert(shape), "{path} is there twice");
        for (verb, operation) in item.as_object().expect("path items are objects") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id), "{id} is there twice");
            assert!(operation["tags"].as_array().expect("tags").iter().all(|tag| tags.contains(tag.as_str().expect("text"))));
            let mut seen = BTreeSet::new();
            let mut declared = BTreeSet::new();
            for parameter in operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default() {
                let (name, place) = (parameter["name"].as_str().expect("a name"), parameter["in"].as_str().expect("a place"));
                assert!(seen.insert((name, place)), "{id} has {name} twice");
                assert!(parameter["schema"].is_object(), "{id}: {name} has no schema");
                if place == "path" {
                    assert_eq!(parameter["required"], true);
                    declared.insert(name);
                }
            }
            assert_eq!(declared, in_path, "{verb} {path}");
            assert!(operation["responses"]["default"].is_object());
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let described = response["description"].is_string() || response["$ref"].is_string();
                assert!(described, "{id} {status} has no description");
            }
            assert!(verb != "get" || operation.get("requestBody").is_none());
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(schema.is_object(), "{name} is empty");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
        for required in schema["required"].as_array().map(Vec::as_slice).unwrap_or_default() {
            assert!(schema["properties"][required.as_str().expect("text")].is_object(), "{name} requires {required}");
        }
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.push(reference.clone());
            }
            members.values().for_each(|member| collect_references(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
        _ => {}
    }
}

#[test]
fn it_is_sound() {
    check(&DOCUMENT);
    assert_eq!(DOCUMENT["info"], json!({"title": "Things", "version": "1.2.3", "description": "All about things."}));
    assert_eq!(DOCUMENT["security"], json!([{"bearer": []}]));
    assert_eq!(DOCUMENT["components"]["securitySchemes"]["bearer"], json!({"type": "http", "scheme": "bearer"}));
    assert_eq!(DOCUMENT["tags"], json!([{"name": "ThingService", "description": "Things. They are kept on shelves."}]));
}

#[test]
fn operations() {
    let create = operation("/v1/things", "post");
    assert_eq!(create["operationId"], "ThingService_CreateThing");
    assert_eq!(create["summary"], "Makes a thing");
    assert_eq!(create["description"], "Makes a thing. It is\nmade at once.");
    assert_eq!(create["requestBody"]["required"], true);
    let thing = json!({"$ref": "#/components/schemas/everything.v1.Thing"});
    assert_eq!(create["requestBody"]["content"]["application/json"]["schema"], thing);
    assert_eq!(create["responses"]["201"]["content"]["application/json"]["schema"], thing);
    assert_eq!(create["responses"]["201"]["description"], "One thing");
    assert!(create["responses"].get("200").is_none());
    assert_eq!(create["responses"]["default"], json!({"$ref": "#/components/responses/Error"}));
    assert_eq!(
        DOCUMENT["components"]["responses"]["Error"]["content"]["application/json"]["schema"],
        json!({"$ref": "#/components/schemas/google.rpc.Status"})
    );
    let second = operation("/v1/things:create", "post");
    assert_eq!(second["operationId"], "ThingService_CreateThing_2");
    assert!(second["description"].as_str().is_some_and(|text| text.ends_with("The same as `POST /v1/things`.")));
    assert_eq!(operation("/v1/owners/{owner.id}/things/{id}", "put")["operationId"], "ThingService_CreateThing_3");
    assert_eq!(operation("/v1/things/{id}", "delete")["deprecated"], true);
    assert_eq!(operation("/v1/things/{id}", "head")["operationId"], "ThingService_ProbeThing");
    assert!(DOCUMENT["paths"].get("/v1/things:pour").is_none());
}

#[test]
fn streams_are_server_sent_events() {
    let watch = operation("/v1/things:watch", "get");
    assert_eq!(
        watch["responses"]["200"],
        json!({
            "description": "Server-sent events; the data of each is JSON. One thing",
            "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/everything.v1.Thing"}}},
        })
    );
}

#[test]
fn raw_bytes_are_binary() {
    let binary = json!({"*/*": {"schema": {"type": "string", "format": "binary"}}});
    assert_eq!(operation("/v1/things/{id}/picture.png", "get")["responses"]["200"]["content"], binary);
    assert_eq!(operation("/v1/things/{id}/drawing:raw", "get")["responses"]["200"]["content"], binary);
    let wrapped = &operation("/v1/things/{id}/drawing", "get")["responses"]["200"]["content"];
    assert_eq!(wrapped["application/json"]["schema"]["$ref"], "#/components/schemas/everything.v1.Drawing");
    assert_eq!(DOCUMENT["components"]["schemas"]["google.api.HttpBody"]["properties"]["data"]["contentEncoding"], "base64");
}

#[test]
fn bodies() {
    // What the path says is not asked for again.
    let stop = operation("/v1/things/{id}:stop", "post");
    let schema = &stop["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(
        schema["properties"].as_object().map(|all| all.keys().map(String::as_str).collect::<Vec<_>>()),
        Some(vec!["deep", "name", "path"])
    );
    assert!(schema.get("required").is_none());
    assert_eq!(stop["requestBody"]["required"], false);
    assert_eq!(stop["responses"]["200"]["content"]["application/json"]["schema"], json!({"type": "object", "additionalProperties": false}));
    let bulk = operation("/v1/things:bulk", "post");
    assert_eq!(
        bulk["requestBody"]["content"]["application/json"]["schema"],
        json!({"type": "array", "items": {"$ref": "#/components/schemas/everything.v1.Thing"}})
    );
    assert_eq!(names(bulk), ["shelf"]);
    let update = operation("/v1/shelves/{name_1}/things/{name_2}", "patch");
    assert_eq!(update["requestBody"]["required"], true);
    assert_eq!(names(update), ["name_1", "name_2", "updateMask"]);
    // Only what changes need be given.
    let partial = &update["requestBody"]["content"]["application/json"]["schema"];
    assert!(partial["properties"]["id"].is_object() && partial.get("required").is_none());
    assert!(operation("/v1/things", "get").get("requestBody").is_none());
    assert_eq!(operation("/v1/things:bare", "get")["responses"]["200"]["content"]["application/json"]["schema"]["type"], "array");
}

#[test]
fn path_parameters() {
    let get = operation("/v1/things/{id}", "get");
    assert_eq!(names(get), ["id", "name", "path", "deep"]);
    assert_eq!(parameter(get, "id")["in"], "path");
    // The first spelling of the path stays, also where another method calls the same segments otherwise.
    let deep = operation("/v1/shelves/{name_1}/things/{name_2}", "get");
    assert_eq!(names(deep), ["name_1", "name_2", "id", "path", "deep"]);
    assert_eq!(parameter(deep, "name_1")["description"], "Part of `name`, which is `shelves/*/things/*`.");
    assert!(operation("/v1/shelves/{name}/thing", "get").is_object());
    assert!(operation("/v1/shelves/{name}:open", "get").is_object());
    let files = operation("/v1/files/{path}", "get");
    assert_eq!(parameter(files, "path")["description"], "May hold slashes.");
    let at = operation("/v1/at/{time}/{color}/{flag}/{count}", "get");
    assert_eq!(parameter(at, "time")["schema"], json!({"type": "string", "format": "date-time"}));
    assert_eq!(parameter(at, "color")["schema"], json!({"$ref": "#/components/schemas/everything.v1.Color"}));
}

#[test]
fn query_parameters() {
    let list = operation("/v1/things", "get");
    assert_eq!(
        names(list),
        [
            "pageSize",
            "pageToken",
            "filter.colors",
            "filter.after",
            "filter.flag",
            "filter.owner.id",
            "filter.owner.displayName",
            "tags",
            "readMask",
            "maxAge",
            "exact",
            "cursor",
            "ratio",
            "ownerId",
            "shelfId",
            "serial",
            "numbers",
            "requiredThing",
        ]
    );
    let size = parameter(list, "pageSize");
    assert_eq!(size["schema"], json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 100}));
    assert_eq!(size["description"], "Also accepted as `limit`.");
    assert_eq!(size["required"], false);
    assert_eq!(parameter(list, "requiredThing")["required"], true);
    let colors = parameter(list, "filter.colors");
    assert_eq!(colors["schema"], json!({"type": "array", "items": {"$ref": "#/components/schemas/everything.v1.Color"}}));
    assert_eq!(colors["description"], "Only things of these colors.");
    assert_eq!(parameter(list, "shelfId")["description"], "At most one of `ownerId`, `shelfId` is set.");
}

#[test]
fn schemas() {
    let schemas = &DOCUMENT["components"]["schemas"];
    let thing = &schemas["everything.v1.Thing"];
    assert_eq!(thing["description"], "One thing.");
    assert_eq!(thing["required"], json!(["id"]));
    let property = |name: &str| thing["properties"][name].clone();
    assert_eq!(
        property("id"),
        json!({"type": "string", "description": "Its id.", "maxLength": 64, "format": "slug", "examples": ["thing-1"]})
    );
    assert_eq!(property("name")["description"], "Also accepted as `title`, `thingTitle`.");
    assert_eq!(property("int32"), json!({"type": "integer", "format": "int32", "minimum": -5, "maximum": 1000}));
    assert_eq!(property("int64"), json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}));
    assert_eq!(property("uint32"), json!({"type": "integer", "format": "uint32", "minimum": 0, "maximum": 4_294_967_295_u32}));
    assert_eq!(property("bytes"), json!({"type": "string", "contentEncoding": "base64", "maxLength": 44}));
    assert_eq!(property("createTime"), json!({"type": "string", "format": "date-time", "readOnly": true}));
    assert_eq!(property("secret"), json!({"type": "string", "writeOnly": true}));
    assert_eq!(property("tags"), json!({"type": "array", "maxItems": 7, "items": {"type": "string", "maxLength": 9}}));
    assert_eq!(
        property("labels"),
        json!({"type": "object", "maxProperties": 5, "additionalProperties": {"type": "string", "maxLength": 6}})
    );
    assert_eq!(property("numbered")["additionalProperties"], json!({"$ref": "#/components/schemas/everything.v1.Thing"}));
    assert_eq!(property("rank")["deprecated"], true);
    assert_eq!(property("data"), json!({"type": "object", "additionalProperties": true}));
    assert_eq!(property("value"), json!({}));
    assert_eq!(property("maybeBool"), json!({"type": "boolean"}));
    assert_eq!(property("nothing")["type"], "null");
    assert_eq!(property("any")["required"], json!(["@type"]));
    assert_eq!(
        schemas["everything.v1.Color"],
        json!({
            "type": "string",
            "enum": ["COLOR_BELOW", "COLOR_UNSPECIFIED", "COLOR_RED", "COLOR_BLUE"],
            "description": "What color a thing has.\n\n- `COLOR_RED`: Like blood.",
        })
    );
    assert_eq!(schemas["google.rpc.Status"]["properties"]["code"], json!({"type": "integer", "format": "int32"}));
    // What only hidden methods use is not told.
    assert!(schemas.get("everything.v1.Filter").is_none());
}

#[test]
fn services_of_the_same_name_are_told_apart() {
    let pool = compile(&[protos(), repository()], &["everything.proto", "other.proto"]);
    let transcoder = Transcoder::new(&pool, |_| true).expect("is sound");
    let document = transcoder.openapi(&info());
    check(&document);
    let other = &document["paths"]["/v2/things/{id}"]["get"];
    assert_eq!(other["operationId"], "other_v1_ThingService_GetThing");
    assert_eq!(other["tags"], json!(["other.v1.ThingService"]));
}

#[test]
fn a_pool_of_plain_descriptors_has_schemas_but_no_comments() {
    let transcoder = build(
        "service S { rpc Call(M) returns (M) { option (google.api.http) = {post: \"/x\" body: \"*\"}; } }
        message M { M m = 1; }",
    )
    .expect("is sound");
    let document = transcoder.openapi(&info());
    check(&document);
    assert_eq!(document["tags"], json!([{"name": "S"}]));
}

#[test]
fn without_comments_and_without_status() {
    let transcoder = build(
        "service S { rpc Call(M) returns (M) { option (google.api.http) = {get: \"/x/*\"}; } }
        message M { M m = 1; string a = 2; }",
    )
    .expect("is sound");
    let document = transcoder.openapi(&Info { title: "T".to_owned(), version: "0".to_owned(), description: String::new() });
    check(&document);
    assert_eq!(document["info"], json!({"title": "T", "version": "0"}));
    assert!(document["components"]["responses"]["Error"]["content"]["application/json"]["schema"]["properties"]["code"].is_object());
    let call = &document["paths"]["/x/{segment_1}"]["get"];
    assert!(call.get("summary").is_none());
    assert_eq!(names(call), ["segment_1", "a"]);
}
