//! What Meta gets wrong costs no message, and shows none twice.

use anyhow::{Context, Result, ensure};
use e2e::{Business, Stack};
use serde_json::{Value, json};

async fn arm(laundry: &Business, fault: Value) -> Result<()> {
    laundry.simulator.post("/sim/faults", &fault).await?;
    Ok(())
}

async fn send(laundry: &Business, text: &str) -> Result<String> {
    let sent = laundry.api.post("/v1/messages:send", &json!({"recipient": "201234567890", "text": text})).await?;
    Ok(sent["id"].as_str().context("an id")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_uncertain_until_the_webhook_tells_and_shows_once() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    arm(&laundry, json!({"kind": "timeout_after_accept", "count": 1})).await?;
    let message = laundry.reaches(&send(&laundry, "lost answer").await?, "READ").await?;
    let attempts = message["attempt"].as_u64();
    assert_eq!(attempts, Some(1), "it was not sent again");
    let shown = laundry.shown(ahmed).await?;
    assert_eq!((shown.len(), shown[0]["received"].as_u64()), (1, Some(1)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_meta_costs_no_attempt_and_no_message() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    arm(&laundry, json!({"kind": "error_code", "code": 131000, "count": 3})).await?;
    let message = laundry.reaches(&send(&laundry, "outage").await?, "READ").await?;
    let failures =
        message["history"].as_array().context("a history")?.iter().filter(|entry| entry["state"] == "MESSAGE_STATE_FAILED").count();
    assert_eq!((failures, laundry.shown(ahmed).await?.len()), (0, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_is_a_dead_letter_with_its_reason() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    laundry.knows_ahmed().await?;
    arm(&laundry, json!({"kind": "error_code", "code": 131026, "count": 1})).await?;
    let message = laundry.reaches(&send(&laundry, "nobody there").await?, "FAILED").await?;
    ensure!(message["reason"] == "undeliverable" && message["deadLetter"] == true, "{message}");
    // Also when Meta takes it first and says so later.
    arm(&laundry, json!({"kind": "error_code", "code": 131026, "count": 1, "status": "failed"})).await?;
    let message = laundry.reaches(&send(&laundry, "nobody there either").await?, "FAILED").await?;
    ensure!(message["reason"] == "undeliverable", "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_stops_the_session_until_someone_sees_to_it() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    arm(&laundry, json!({"kind": "error_code", "code": 190, "count": 1})).await?;
    let id = send(&laundry, "after the token").await?;
    barid_testkit::eventually(std::time::Duration::from_secs(10), || async {
        let session = laundry.api.get(&format!("/v1/sessions/{}", laundry.session)).await?;
        ensure!(
            session["state"] == "SESSION_STATE_STOPPED" && session["stateReason"].as_str().is_some_and(|text| text.contains("token")),
            "{session}"
        );
        Ok(())
    })
    .await?;
    laundry.reaches(&id, "QUEUED").await?;
    laundry.api.post(&format!("/v1/sessions/{}:activate", laundry.session), &json!({})).await?;
    laundry.reaches(&id, "READ").await?;
    assert_eq!(laundry.shown(ahmed).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_come_twice_and_in_disorder_change_nothing() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    laundry.knows_ahmed().await?;
    arm(&laundry, json!({"kind": "duplicate_webhook", "count": 20})).await?;
    arm(&laundry, json!({"kind": "reorder_webhooks", "count": 20})).await?;
    for index in 0..10 {
        let message = laundry.reaches(&send(&laundry, &format!("note {index}")).await?, "READ").await?;
        let mut states: Vec<String> =
            message["history"].as_array().context("a history")?.iter().map(|entry| entry["state"].to_string()).collect();
        let told = states.len();
        states.dedup();
        assert_eq!((told, states.len()), (5, 5), "each step once: {states:?}");
    }
    Ok(())
}
