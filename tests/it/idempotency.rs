//! The same key and content is the same message; the same key with other content is an error.

use anyhow::{Context, Result};
use e2e::Stack;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_repetitions_make_one_message() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    let call = json!({"recipient": ahmed, "text": "once", "idempotencyKey": "order-1"});
    let calls = (0..200).map(|index| {
        let (api, mut call) = (laundry.api.clone(), call.clone());
        // The same number in another spelling is the same content.
        if index % 2 == 1 {
            call["recipient"] = json!("+20 123 456 7890");
        }
        tokio::spawn(async move { api.post("/v1/messages:send", &call).await })
    });
    let mut ids = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        ids.push(call.await??["id"].as_str().context("an id")?.to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    laundry.reaches(&ids[0], "READ").await?;
    assert_eq!(laundry.shown(ahmed).await?.len(), 1);

    let other = json!({"recipient": ahmed, "text": "twice", "idempotencyKey": "order-1"});
    let answer = laundry.api.call(Method::POST, "/v1/messages:send", Some(&other)).await?;
    assert_eq!((answer.status, answer.reason()), (StatusCode::CONFLICT, "IDEMPOTENCY_KEY_REUSED"));
    // Another tenant's keys are its own.
    let neighbour = stack.business("Neighbour").await?;
    let theirs = neighbour.api.post("/v1/messages:send", &other).await?;
    assert_ne!(theirs["id"].as_str(), Some(ids[0].as_str()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_does_what_the_field_does() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let send = async |path: &str, key: &str, body: serde_json::Value| -> Result<(StatusCode, serde_json::Value)> {
        let request = reqwest::Client::new().post(format!("{}{path}", laundry.api.url)).bearer_auth(&laundry.api.key);
        let answer = request.header("Idempotency-Key", key).json(&body).send().await?;
        Ok((answer.status(), answer.json().await?))
    };
    let text = json!({"recipient": "201234567890", "text": "once"});
    let (first, again) = (send("/v1/messages:send", "h", text.clone()).await?, send("/v1/messages:send", "h", text.clone()).await?);
    assert_eq!((first.0, first.1["id"].as_str()), (StatusCode::ACCEPTED, again.1["id"].as_str()));
    let bulk = json!([text, {"recipient": "201234567891", "text": "once"}]);
    let (first, again) = (send("/api/messages/bulk", "b", bulk.clone()).await?, send("/api/messages/bulk", "b", bulk).await?);
    for index in 0..2 {
        let id = |answer: &serde_json::Value| answer["outcomes"][index]["accepted"]["id"].as_str().map(str::to_owned);
        assert!(id(&first.1).is_some() && id(&first.1) == id(&again.1), "{} {}", first.1, again.1);
    }
    let mut differs = text.clone();
    differs["idempotencyKey"] = json!("other");
    assert_eq!(send("/v1/messages:send", "h", differs).await?.0, StatusCode::BAD_REQUEST);
    Ok(())
}
