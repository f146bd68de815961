//! The invoice of the specification reaches the phone character for character, whichever way it was handed over.

use anyhow::{Context, Result, ensure};
use barid_proto::queue::v1::{SendMessageRequest, message_service_client::MessageServiceClient};
use barid_testkit::eventually;
use e2e::{SEED_CALL, SEED_TEXT, Stack};
use serde_json::{Value, json};
use std::time::Duration;
use tonic::{Request, metadata::MetadataValue, transport::Endpoint};

/// The seed's call for a tenant.
fn seed_call(tenant: &str) -> Value {
    let mut call: Value = serde_json::from_str(SEED_CALL).expect("the seed's call is JSON");
    call["laundryId"] = json!(tenant);
    call
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_call_shows_the_seeds_text_and_is_read() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;

    // As printed in the specification, on its own path, with an organisation's key: laundryId names the tenant.
    let seed = stack.api.post("/api/messages/send", &seed_call(&laundry.tenant)).await?;
    ensure!(seed["state"] == "MESSAGE_STATE_QUEUED", "{seed}");
    // The same over the canonical path, with the tenant's own key.
    let mut canonical = seed_call(&laundry.tenant);
    canonical.as_object_mut().context("an object")?.remove("laundryId");
    let rest = laundry.api.post("/v1/messages:send", &canonical).await?;
    let grpc = send_over_grpc(&stack, &laundry.api.key).await?;

    for id in [seed["id"].as_str(), rest["id"].as_str(), Some(grpc.as_str())] {
        let id = id.context("an id")?;
        let message = laundry.reaches(id, "READ").await?;
        assert_eq!(message["text"].as_str(), Some(SEED_TEXT.trim_end()), "the history holds the text");
        let states: Vec<&str> =
            message["history"].as_array().context("a history")?.iter().filter_map(|entry| entry["state"].as_str()).collect();
        let expected = ["QUEUED", "SENDING", "SENT", "DELIVERED", "READ"].map(|state| format!("MESSAGE_STATE_{state}"));
        assert_eq!(states, expected);
    }
    let shown = laundry.shown(ahmed).await?;
    assert_eq!(shown.len(), 3);
    for message in shown {
        assert_eq!(message["text"].as_str(), Some(SEED_TEXT.trim_end()));
        assert_eq!(message["received"], 1, "shown once");
    }
    eventually(Duration::from_secs(10), || async {
        let figures = laundry.api.get("/v1/analytics/dashboard").await?;
        let totals = &figures["totals"];
        ensure!(totals["accepted"] == "3" && totals["read"] == "3" && totals["failed"] == "0", "{totals}");
        ensure!(figures["templates"][0]["template"] == "invoice", "{figures}");
        Ok(())
    })
    .await
}

async fn send_over_grpc(stack: &Stack, key: &str) -> Result<String> {
    let channel = Endpoint::from_shared(format!("http://{}", stack.gateway))?.connect().await?;
    let variables: prost_types_json::Struct = prost_types_json::from(crate::invoice());
    let request = SendMessageRequest {
        recipient: "+20 123 456 7890".to_owned(),
        template: "invoice".to_owned(),
        variables: Some(variables),
        media_url: "https://storage.example.com/invoices/inv-001.pdf".to_owned(),
        ..SendMessageRequest::default()
    };
    let mut request = Request::new(request);
    request.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {key}"))?);
    Ok(MessageServiceClient::new(channel).send_message(request).await?.into_inner().id)
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_window_the_invoice_goes_as_metas_template() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    // Nobody ever wrote from this number.
    let mut call = seed_call(&laundry.tenant);
    call["recipient"] = json!("201234567891");
    let sent = laundry.api.post("/v1/messages:send", &call).await?;
    laundry.reaches(sent["id"].as_str().context("an id")?, "READ").await?;
    let shown = laundry.shown("201234567891").await?;
    assert_eq!(shown.len(), 1);
    let text = shown[0]["text"].as_str().context("a text")?;
    assert!(text.starts_with("فاتورة Ahmed Mohamed رقم INV-2024-001 بمبلغ 50.00 جنيه"), "{text}");

    // A text of one's own has no template to fall back to: it ends with a reason, not in silence.
    let text = laundry.api.post("/v1/messages:send", &json!({"recipient": "201234567892", "text": "hello"})).await?;
    let failed = laundry.reaches(text["id"].as_str().context("an id")?, "FAILED").await?;
    assert_eq!((failed["reason"].as_str(), failed["deadLetter"].as_bool()), (Some("window_closed"), Some(true)));
    assert!(failed["reasonText"].as_str().context("a sentence")?.contains("24 hours"));
    Ok(())
}

/// JSON as protobuf's own JSON.
mod prost_types_json {
    pub use prost_types::Struct;
    use prost_types::{ListValue, Value, value::Kind};

    pub fn from(json: serde_json::Value) -> Struct {
        match value(json).kind {
            Some(Kind::StructValue(object)) => object,
            _ => Struct::default(),
        }
    }

    fn value(json: serde_json::Value) -> Value {
        let kind = match json {
            serde_json::Value::Null => Kind::NullValue(0),
            serde_json::Value::Bool(flag) => Kind::BoolValue(flag),
            serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
            serde_json::Value::String(text) => Kind::StringValue(text),
            serde_json::Value::Array(items) => Kind::ListValue(ListValue { values: items.into_iter().map(value).collect() }),
            serde_json::Value::Object(fields) => {
                Kind::StructValue(Struct { fields: fields.into_iter().map(|(name, field)| (name, value(field))).collect() })
            }
        };
        Value { kind: Some(kind) }
    }
}
