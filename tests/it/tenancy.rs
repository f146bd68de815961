//! Keys open what is theirs, and nothing tells whether the rest exists.

use anyhow::{Context, Result, ensure};
use barid_testkit::eventually;
use e2e::Stack;
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_revoked_keys_are_refused() -> Result<()> {
    let stack = Stack::start().await?;
    for (key, reason) in [("", "KEY_MISSING"), ("barid_nonsense", "KEY_REFUSED")] {
        let answer = stack.api.with_key(key).call(Method::GET, "/v1/tenants", None).await?;
        assert_eq!((answer.status, answer.reason()), (StatusCode::UNAUTHORIZED, reason));
    }
    let key = stack.api.post("/v1/apiKeys", &json!({"displayName": "short-lived"})).await?;
    let api = stack.api.with_key(key["secret"].as_str().context("a secret")?);
    api.get("/v1/tenants").await?;
    stack.api.delete(&format!("/v1/apiKeys/{}", key["id"].as_str().context("an id")?)).await?;
    eventually(Duration::from_secs(5), || async {
        let answer = api.call(Method::GET, "/v1/tenants", None).await?;
        ensure!(answer.status == StatusCode::UNAUTHORIZED, "still {}", answer.status);
        Ok(())
    })
    .await?;
    let listed = stack.api.get("/v1/apiKeys").await?;
    ensure!(!listed.to_string().contains("barid_"), "a list shows no secrets: {listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_tenant_is_not_found_like_what_does_not_exist() -> Result<()> {
    let stack = Stack::start().await?;
    let ours = stack.business("Ours").await?;
    let theirs = stack.business("Theirs").await?;
    let ahmed = theirs.knows_ahmed().await?;
    let message = theirs.api.post("/v1/messages:send", &json!({"recipient": ahmed, "text": "hello"})).await?;
    let id = message["id"].as_str().context("an id")?;
    let none = "msg_01h455vb4pex5vsknk084sn02q";
    for (method, path) in [
        (Method::GET, "/v1/messages/{}"),
        (Method::POST, "/v1/messages/{}:cancel"),
        (Method::POST, "/v1/messages/{}:retry"),
        (Method::GET, "/api/messages/status/{}"),
        (Method::DELETE, "/api/queue/cancel/{}"),
    ] {
        let body = (method == Method::POST).then(|| json!({}));
        let foreign = ours.api.call(method.clone(), &path.replace("{}", id), body.as_ref()).await?;
        let missing = ours.api.call(method.clone(), &path.replace("{}", none), body.as_ref()).await?;
        assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{method} {path}: {}", foreign.body);
        let without_id = |answer: &e2e::Answer, id: &str| answer.body.to_string().replace(id, "");
        assert_eq!(without_id(&foreign, id), without_id(&missing, none), "{method} {path}");
    }
    for path in [
        format!("/v1/sessions/{}", theirs.session),
        format!("/v1/tenants/{}", theirs.tenant),
        format!("/v1/messages?tenantId={}", theirs.tenant),
    ] {
        let answer = ours.api.call(Method::GET, &path, None).await?;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.body);
    }
    let sending = ours
        .api
        .call(Method::POST, "/v1/messages:send", Some(&json!({"recipient": ahmed, "text": "x", "sessionId": theirs.session})))
        .await?;
    assert_eq!(sending.status, StatusCode::NOT_FOUND, "{}", sending.body);

    // The same between organisations.
    let stranger = stack.api.with_key(&stack.organisation("Strangers").await?);
    let answer = stranger.call(Method::GET, &format!("/v1/messages/{id}?tenantId={}", theirs.tenant), None).await?;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.body);
    let answer = stranger.call(Method::POST, &format!("/v1/tenants/{}:suspend", theirs.tenant), Some(&json!({}))).await?;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_refused_and_its_messages_wait() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let tenant = &laundry.tenant;
    let ahmed = laundry.knows_ahmed().await?;
    let later = json!({"recipient": ahmed, "text": "later", "scheduleTime": crate::in_seconds(3)});
    let scheduled = laundry.api.post("/v1/messages:schedule", &later).await?;
    stack.api.post(&format!("/v1/tenants/{tenant}:suspend"), &json!({})).await?;
    eventually(Duration::from_secs(5), || async {
        let answer = laundry.api.call(Method::GET, "/v1/messages", None).await?;
        ensure!((answer.status, answer.reason()) == (StatusCode::FORBIDDEN, "TENANT_SUSPENDED"), "{}", answer.body);
        Ok(())
    })
    .await?;
    stack.api.post(&format!("/v1/tenants/{tenant}:resume"), &json!({})).await?;
    laundry.reaches(scheduled["id"].as_str().context("an id")?, "READ").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_calls_too_often_waits() -> Result<()> {
    let stack = Stack::start().await?;
    let nobody = stack.api.with_key("barid_wrong");
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(nobody.call(Method::GET, "/v1/tenants", None).await?);
    }
    let limited = statuses.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).count();
    assert!(limited >= 15, "{limited} of 40 wrong keys were told to wait");
    Ok(())
}
