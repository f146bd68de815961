//! A service that is missing is told at once, and what was accepted goes on when it is back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::Stack;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_service_is_503_at_once_and_accepted_work_continues() -> Result<()> {
    let mut stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    let call = json!({"recipient": ahmed, "template": "invoice", "variables": crate::invoice()});
    // Once, so that nothing has to be looked up while services are away.
    let first = laundry.api.post("/v1/messages:send", &call).await?;
    laundry.reaches(first["id"].as_str().context("an id")?, "READ").await?;

    stack.stop_service("template").await?;
    let started = Instant::now();
    let answer = laundry.api.call(Method::POST, "/v1/messages:send", Some(&call)).await?;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
    assert!(started.elapsed() < Duration::from_secs(1), "at once, not after a time-out");
    stack.start_service("template").await?;

    stack.stop_service("session_pool").await?;
    let waiting = laundry.api.post("/v1/messages:send", &call).await?;
    stack.stop_service("queue").await?;
    assert_eq!(laundry.api.call(Method::GET, "/v1/messages", None).await?.status, StatusCode::SERVICE_UNAVAILABLE);
    stack.start_service("queue").await?;
    stack.start_service("session_pool").await?;
    laundry.reaches(waiting["id"].as_str().context("an id")?, "READ").await?;
    assert_eq!(laundry.shown(ahmed).await?.len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_pool_that_crashes_is_taken_over() -> Result<()> {
    let mut stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    let send = async |text: &str| -> Result<String> {
        let sent = laundry.api.post("/v1/messages:send", &json!({"recipient": ahmed, "text": text})).await?;
        Ok(sent["id"].as_str().context("an id")?.to_owned())
    };
    let before = send("before").await?;
    laundry.reaches(&before, "READ").await?;
    stack.abort_service("session_pool");
    let during = send("during").await?;
    stack.start_service("session_pool").await?;
    laundry.reaches(&during, "READ").await?;
    assert_eq!(laundry.shown(ahmed).await?.len(), 2);
    Ok(())
}
