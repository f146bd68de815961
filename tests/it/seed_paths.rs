//! Every path that the specification lists answers.

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn profiles_messages_and_queue_answer_on_the_specifications_paths() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    let api = &laundry.api;

    // Profiles are sessions.
    let profile = json!({"displayName": "Second number", "phoneNumber": "+201007770001", "inactive": true, "cloud": {
        "phoneNumberId": "555", "app": "main", "accessToken": "secret-token-of-meta",
    }});
    let created = api.post("/api/profiles", &profile).await?;
    let id = created["id"].as_str().context("an id")?;
    assert_eq!(created["state"], "SESSION_STATE_INACTIVE");
    ensure!(!created.to_string().contains("secret-token-of-meta"), "a token is never given back");
    assert_eq!(api.get("/api/profiles").await?["sessions"].as_array().context("sessions")?.len(), 2);
    let renamed = api.put(&format!("/api/profiles/{id}"), &json!({"displayName": "Renamed"})).await?;
    assert_eq!((renamed["displayName"].as_str(), renamed["phoneNumber"].as_str()), (Some("Renamed"), Some("+201007770001")));
    let active = api.post(&format!("/api/profiles/{id}/activate"), &json!({})).await?;
    ensure!(active["state"] != "SESSION_STATE_INACTIVE", "{active}");
    let inactive = api.post(&format!("/api/profiles/{id}/deactivate"), &json!({})).await?;
    assert_eq!(inactive["state"], "SESSION_STATE_INACTIVE");
    assert_eq!(api.get(&format!("/api/profiles/{id}")).await?["id"].as_str(), Some(id));
    api.delete(&format!("/api/profiles/{id}")).await?;
    assert_eq!(api.call(Method::GET, &format!("/api/profiles/{id}"), None).await?.status, 404);

    // Messages.
    let text = |text: &str| json!({"recipient": ahmed, "text": text});
    let sent = api.call(Method::POST, "/api/messages/send", Some(&text("now"))).await?;
    assert_eq!(sent.status, 202);
    let id = sent.body["id"].as_str().context("an id")?;
    laundry.reaches(id, "READ").await?;
    assert_eq!(api.get(&format!("/api/messages/status/{id}")).await?["state"], "MESSAGE_STATE_READ");
    let bulk = api.call(Method::POST, "/api/messages/bulk", Some(&json!([text("a"), text("b")]))).await?;
    assert_eq!((bulk.status.as_u16(), bulk.body["outcomes"].as_array().map(Vec::len)), (202, Some(2)));
    let mut later = text("later");
    later["scheduleTime"] = json!(crate::in_seconds(3600));
    let scheduled = api.post("/api/messages/schedule", &later).await?;
    let history = api.get(&format!("/api/messages/history?recipient={ahmed}&pageSize=2")).await?;
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(2));
    let next = history["nextPageToken"].as_str().context("a token")?;
    let rest = api.get(&format!("/api/messages/history?recipient={ahmed}&pageSize=2&pageToken={next}")).await?;
    assert_eq!((rest["messages"].as_array().map(Vec::len), rest["nextPageToken"].as_str()), (Some(2), Some("")));

    // The queue.
    let status = api.get("/api/queue/status").await?;
    assert_eq!(status["scheduled"], "1");
    let id = scheduled["id"].as_str().context("an id")?;
    assert_eq!(api.call(Method::POST, &format!("/api/queue/retry/{id}"), Some(&json!({}))).await?.reason(), "WRONG_STATE");
    assert_eq!(api.delete(&format!("/api/queue/cancel/{id}")).await?["state"], "MESSAGE_STATE_CANCELLED");

    // All of them are described.
    let openapi: Value = api.get("/openapi.json").await?;
    assert_eq!(openapi["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    for path in [
        "/api/profiles",
        "/api/profiles/{id}/activate",
        "/api/messages/send",
        "/api/messages/bulk",
        "/api/messages/status/{id}",
        "/api/messages/schedule",
        "/api/messages/history",
        "/api/queue/status",
        "/api/queue/retry/{id}",
        "/api/queue/cancel/{id}",
    ] {
        ensure!(openapi["paths"][path].is_object(), "{path} is not described");
    }
    Ok(())
}
