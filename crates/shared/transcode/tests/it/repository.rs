//! The protos of this repository, as the gateway will serve them.

use std::path::Path;
use std::sync::LazyLock;

use barid_transcode::{Info, Transcoder};
use http::Method;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

use crate::support::{compile, json, repository};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let root = repository();
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    compile(&[root], &names)
});

static TRANSCODER: LazyLock<Transcoder> =
    LazyLock::new(|| Transcoder::new(&POOL, |_| true).expect("the annotations of the protos are sound"));

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            let name = path.strip_prefix(root).expect("stands below the root");
            files.push(name.to_str().expect("is UTF-8").replace('\\', "/"));
        }
    }
}

fn request(verb: Method, target: &str, body: &str) -> Result<(String, Value), String> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let found = TRANSCODER.find(&verb, path).map_err(|error| error.to_string())?;
    let bytes = found.request(query, body.as_bytes()).map_err(|error| error.to_string())?;
    let message = DynamicMessage::decode(found.method().input(), bytes).map_err(|error| error.to_string())?;
    Ok((found.method().name().to_owned(), json(&message)))
}

#[test]
fn every_path_of_every_method_finds_its_method() {
    let mut seen = 0;
    for (path, item) in TRANSCODER.openapi(&info())["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("operations") {
            let verb = Method::from_bytes(verb.to_uppercase().as_bytes()).expect("a verb");
            let concrete: String = path.replace('{', "x").replace('}', "y");
            let found = TRANSCODER.find(&verb, &concrete).unwrap_or_else(|error| panic!("{verb} {concrete}: {error}"));
            let id = operation["operationId"].as_str().expect("an id");
            assert!(id.contains(found.method().name()), "{verb} {concrete} found {} and not {id}", found.grpc_path());
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn messages() {
    let body = r#"{"laundryId": "ten_1", "recipient": "201234567890", "template": "invoice", "variables": {"total": 12.5, "items": ["a"]}, "lane": "LANE_BATCH"}"#;
    let expected = json!({"tenantId": "ten_1", "recipient": "201234567890", "template": "invoice", "variables": {"total": 12.5, "items": ["a"]}, "lane": "LANE_BATCH"});
    for path in ["/v1/messages:send", "/v1/messages", "/api/messages/send"] {
        assert_eq!(request(Method::POST, path, body), Ok(("SendMessage".to_owned(), expected.clone())));
    }
    assert_eq!(
        request(Method::POST, "/api/messages/bulk?laundryId=ten_1", r#"[{"recipient": "1"}]"#),
        Ok(("BatchSendMessages".to_owned(), json!({"tenantId": "ten_1", "messages": [{"recipient": "1"}]})))
    );
    assert_eq!(
        request(Method::POST, "/v1/messages:batchSend", r#"{"messages": [{}, {}, {}, {"recipient": 2}]}"#),
        Err("messages[3].recipient: expected a string, found a number".to_owned())
    );
    assert_eq!(request(Method::GET, "/v1/messages/msg_1", ""), Ok(("GetMessage".to_owned(), json!({"id": "msg_1"}))));
    assert_eq!(
        request(Method::GET, "/v1/messages?states=MESSAGE_STATE_SENT&states=5&page_size=2", ""),
        Ok(("ListMessages".to_owned(), json!({"states": ["MESSAGE_STATE_SENT", "MESSAGE_STATE_SENT"], "pageSize": 2})))
    );
    assert_eq!(request(Method::POST, "/v1/messages/msg_1:cancel", ""), Ok(("CancelMessage".to_owned(), json!({"id": "msg_1"}))));
    assert_eq!(request(Method::DELETE, "/api/queue/cancel/msg_1", ""), Ok(("CancelMessage".to_owned(), json!({"id": "msg_1"}))));
    assert_eq!(request(Method::GET, "/v1/events:subscribe?after=evt_1", ""), Ok(("SubscribeEvents".to_owned(), json!({"after": "evt_1"}))));
    assert_eq!(request(Method::GET, "/v1/events?after=evt_1", ""), Ok(("ListEvents".to_owned(), json!({"after": "evt_1"}))));
    assert_eq!(
        request(Method::PATCH, "/v1/tenants/ten_1?updateMask=dailyQuota,peak_windows", r#"{"dailyQuota": 5}"#),
        Ok(("UpdateTenant".to_owned(), json!({"tenantId": "ten_1", "tenant": {"dailyQuota": 5}, "updateMask": "dailyQuota,peakWindows"})))
    );
    let found = TRANSCODER.find(&Method::POST, "/v1/messages:send").expect("is there");
    assert_eq!((found.grpc_path(), found.success_status().as_u16()), ("/barid.queue.v1.MessageService/SendMessage", 202));
}

#[test]
fn pairing() {
    let find = |verb, target| request(verb, target, "").map(|(method, _)| method);
    let id = json!({"id": "ses_1"});
    for (target, method) in [
        ("/v1/sessions/ses_1/pairing", "GetPairing"),
        ("/v1/sessions/ses_1/pairing:watch", "WatchPairing"),
        ("/v1/sessions/ses_1/pairing.png", "GetPairingPicture"),
        ("/v1/sessions/ses_1", "GetSession"),
    ] {
        assert_eq!(request(Method::GET, target, ""), Ok((method.to_owned(), id.clone())), "{target}");
    }
    assert_eq!(find(Method::DELETE, "/v1/sessions/ses_1/pairing"), Ok("CancelPairing".to_owned()));
    assert_eq!(find(Method::POST, "/v1/sessions/ses_1/pairing:answerPasskey"), Ok("AnswerPasskey".to_owned()));
    assert_eq!(find(Method::POST, "/v1/sessions/ses_1:logout"), Ok("LogoutSession".to_owned()));
    assert_eq!(find(Method::GET, "/v1/sessions/ses_1/pairing.gif"), Err("no such path".to_owned()));
    assert_eq!(
        request(Method::GET, "/v1/sessions/ses_1/pairing:watch?afterRevision=7&tenantId=ten_1", ""),
        Ok(("WatchPairing".to_owned(), json!({"id": "ses_1", "tenantId": "ten_1", "afterRevision": "7"})))
    );
    let document = TRANSCODER.openapi(&info());
    let picture = &document["paths"]["/v1/sessions/{id}/pairing.png"]["get"]["responses"]["200"]["content"];
    assert_eq!(*picture, json!({"*/*": {"schema": {"type": "string", "format": "binary"}}}));
    let watch = &document["paths"]["/v1/sessions/{id}/pairing:watch"]["get"]["responses"]["200"]["content"];
    assert!(watch["text/event-stream"].is_object(), "{watch}");
}

fn info() -> Info {
    Info { title: "Barid".to_owned(), version: "1".to_owned(), description: String::new() }
}

#[test]
fn openapi_is_sound() {
    let document = TRANSCODER.openapi(&info());
    crate::openapi::check(&document);
    let send = &document["paths"]["/v1/messages:send"]["post"];
    assert_eq!(send["operationId"], "MessageService_SendMessage");
    assert!(send["responses"]["202"].is_object());
    // For those who want to read it or give it to another validator.
    if let Some(file) = std::env::var_os("OPENAPI_OUT") {
        std::fs::write(file, document.to_string()).expect("can be written");
    }
}
