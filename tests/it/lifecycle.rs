//! Scheduled, called back, retried, superseded.

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_waits_and_can_be_called_back() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    let schedule = |seconds: u64, text: &str| json!({"recipient": ahmed, "text": text, "scheduleTime": crate::in_seconds(seconds)});

    let soon = laundry.api.post("/api/messages/schedule", &schedule(3, "soon")).await?;
    let late = laundry.api.post("/v1/messages:schedule", &schedule(3600, "late")).await?;
    assert_eq!((soon["state"].as_str(), late["state"].as_str()), (Some("MESSAGE_STATE_SCHEDULED"), Some("MESSAGE_STATE_SCHEDULED")));
    assert_eq!(laundry.api.get("/v1/queue").await?["scheduled"], "2");
    let missing = laundry.api.call(Method::POST, "/v1/messages:schedule", Some(&json!({"recipient": ahmed, "text": "when?"}))).await?;
    assert_eq!((missing.status, missing.fields()), (StatusCode::BAD_REQUEST, vec!["scheduleTime"]));

    let late = late["id"].as_str().context("an id")?;
    let cancelled = laundry.api.delete(&format!("/api/queue/cancel/{late}")).await?;
    assert_eq!(cancelled["state"], "MESSAGE_STATE_CANCELLED");
    let again = laundry.api.call(Method::POST, &format!("/v1/messages/{late}:cancel"), Some(&json!({}))).await?;
    assert_eq!((again.status, again.reason()), (StatusCode::BAD_REQUEST, "WRONG_STATE"));

    let soon = soon["id"].as_str().context("an id")?;
    let read = laundry.reaches(soon, "READ").await?;
    let (due, sent) = (read["dueTime"].as_str().context("due")?, read["sentTime"].as_str().context("sent")?);
    ensure!(sent > due, "sent {sent} before it was due {due}");
    let too_late = laundry.api.call(Method::POST, &format!("/v1/messages/{soon}:cancel"), Some(&json!({}))).await?;
    ensure!(too_late.body["message"].as_str().is_some_and(|says| says.contains("READ")), "it says what it found: {}", too_late.body);
    assert_eq!(laundry.shown(ahmed).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_and_sent_again() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let stranger = "201009998877";
    let sent = laundry.api.post("/v1/messages:send", &json!({"recipient": stranger, "text": "hello"})).await?;
    let id = sent["id"].as_str().context("an id")?;
    laundry.reaches(id, "FAILED").await?;
    let dead = laundry.api.get("/v1/messages?deadLetters=true").await?;
    assert_eq!(dead["messages"][0]["id"].as_str(), Some(id));
    assert_eq!(laundry.api.get("/v1/queue").await?["deadLetters"], "1");

    laundry.hears_from(stranger).await?;
    let again = laundry.api.post(&format!("/api/queue/retry/{id}"), &json!({})).await?;
    assert_eq!(again["state"], "MESSAGE_STATE_QUEUED");
    let read = laundry.reaches(id, "READ").await?;
    assert_eq!((read["attempt"].as_u64(), read["deadLetter"].as_bool()), (Some(2), Some(false)));
    assert_eq!(laundry.shown(stranger).await?.len(), 1);
    let twice = laundry.api.call(Method::POST, &format!("/v1/messages/{id}:retry"), Some(&json!({}))).await?;
    assert_eq!(twice.reason(), "WRONG_STATE");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_stage_retires_an_earlier_one_that_still_waits() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    let stage = |text: &str, rank: u32, seconds: u64| json!({"recipient": ahmed, "text": text, "supersedeKey": "order-7", "supersedeRank": rank, "scheduleTime": crate::in_seconds(seconds)});
    let preparing = laundry.api.post("/v1/messages:schedule", &stage("preparing", 1, 3600)).await?;
    let ready = laundry.api.post("/v1/messages:schedule", &stage("ready", 2, 2)).await?;
    let retired = laundry.reaches(preparing["id"].as_str().context("an id")?, "CANCELLED").await?;
    assert_eq!(retired["reason"], "superseded");
    // The other way round: an early stage that comes late is accepted and never sent.
    let late = laundry.api.post("/v1/messages:send", &stage("paid", 0, 0)).await?;
    laundry.reaches(late["id"].as_str().context("an id")?, "CANCELLED").await?;
    laundry.reaches(ready["id"].as_str().context("an id")?, "READ").await?;
    let shown: Vec<_> = laundry.shown(ahmed).await?.into_iter().map(|message| message["text"].clone()).collect();
    assert_eq!(shown, ["ready"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_deleted_session_ends_with_that_reason() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    laundry.api.post(&format!("/api/profiles/{}/deactivate", laundry.session), &json!({})).await?;
    let call = json!({"recipient": "201234567890", "text": "waits", "sessionId": laundry.session});
    let waiting = laundry.api.post("/v1/messages:send", &call).await?;
    laundry.api.delete(&format!("/api/profiles/{}", laundry.session)).await?;
    let ended = laundry.reaches(waiting["id"].as_str().context("an id")?, "FAILED").await?;
    assert_eq!(ended["reason"], "session_deleted");
    Ok(())
}
