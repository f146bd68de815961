//! Bad input gets an error that names the field, the rule and the remedy.

use anyhow::Result;
use e2e::Stack;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_named() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let good = json!({"recipient": "201234567890", "template": "invoice", "variables": crate::invoice()});
    let with = |changes: Value| {
        let mut call = good.clone();
        for (name, value) in changes.as_object().cloned().unwrap_or_default() {
            call[name] = value;
        }
        call
    };
    let mut missing = good.clone();
    missing["variables"].as_object_mut().map(|variables| variables.remove("totalAmount"));
    let cases = [
        (with(json!({"recipient": "12"})), "recipient", "number"),
        (with(json!({"recipient": ""})), "recipient", "required"),
        (missing, "variables.totalAmount", "totalAmount"),
        (with(json!({"template": "no_such_template"})), "template", "no_such_template"),
        (with(json!({"template": "", "variables": null, "text": "x".repeat(4097)})), "text", "4096"),
        (
            with(json!({"template": "", "variables": null, "text": "x".repeat(1025), "mediaUrl": "https://example.com/a.pdf"})),
            "text",
            "1024",
        ),
        (with(json!({"scheduleTime": "2020-01-01T00:00:00Z"})), "scheduleTime", "past"),
        (with(json!({"scheduleTime": "tomorrow"})), "scheduleTime", ""),
        (with(json!({"mediaUrl": "http://example.com/a.pdf"})), "mediaUrl", "https"),
        (with(json!({"supersedeRank": 2000})), "supersedeRank", "1000"),
        (with(json!({"clientReference": "a\0b"})), "clientReference", "NUL"),
        (with(json!({"supersedeKey": "\0"})), "supersedeKey", "NUL"),
        (with(json!({"expireTime": "9999-01-01T00:00:00Z"})), "expireTime", "90 days"),
        (with(json!({"recipent": "201234567890"})), "recipent", ""),
        (with(json!({"idempotencyKey": "k".repeat(129)})), "idempotencyKey", "128"),
        (with(json!({"sessionId": "nonsense"})), "sessionId", "ses_"),
        (with(json!({"lane": "LANE_EXPRESS"})), "lane", ""),
    ];
    for (call, field, says) in cases {
        let answer = laundry.api.call(Method::POST, "/v1/messages:send", Some(&call)).await?;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}: {}", answer.body);
        assert_eq!(answer.body["code"], 3, "{}", answer.body);
        assert!(answer.fields().contains(&field), "{field}: {}", answer.body);
        assert!(answer.body["message"].as_str().unwrap_or_default().contains(says), "{says}: {}", answer.body);
    }
    let unknown = laundry.api.call(Method::GET, "/v1/nothing/here", None).await?;
    assert_eq!((unknown.status, unknown.reason()), (StatusCode::NOT_FOUND, "NO_SUCH_PATH"));
    let wrong_verb = laundry.api.call(Method::PATCH, "/v1/messages", None).await?;
    assert_eq!(wrong_verb.status, StatusCode::METHOD_NOT_ALLOWED);
    // Nothing of all this was kept.
    let listed = laundry.api.get("/v1/messages").await?;
    assert_eq!(listed["messages"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_over_grpc_has_typed_details() -> Result<()> {
    use barid_proto::queue::v1::{SendMessageRequest, message_service_client::MessageServiceClient};
    use tonic_types::StatusExt;
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", stack.gateway))?.connect().await?;
    let mut client = MessageServiceClient::new(channel);
    let call = SendMessageRequest { recipient: "12".into(), text: "hello".into(), ..SendMessageRequest::default() };
    let mut request = tonic::Request::new(call.clone());
    request.metadata_mut().insert("authorization", format!("Bearer {}", laundry.api.key).parse()?);
    let status = client.send_message(request).await.expect_err("a bad number");
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let details = status.get_details_bad_request().expect("typed details");
    assert_eq!(details.field_violations[0].field, "recipient");
    let status = client.send_message(tonic::Request::new(call)).await.expect_err("no key");
    assert_eq!(
        (status.code(), status.get_details_error_info().map(|info| info.reason).as_deref()),
        (tonic::Code::Unauthenticated, Some("KEY_MISSING"))
    );
    Ok(())
}
