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
