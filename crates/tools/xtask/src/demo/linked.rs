//! The part of the demo on WhatsApp Web: a number is linked by scanning its code, and sends beside those on the Cloud API.

use super::api::text;
use super::cast;
use super::stage::Stage;
use anyhow::{Context, Result, ensure};
use barid_testkit::eventually;
use serde_json::{Value, json};
use std::time::Duration;

/// How long linking and reading may take, restarts of servers included.
const LIMIT: Duration = Duration::from_secs(120);

const NAME: &str = "Delta Laundry";
const NUMBER: &str = "+201009998877";
const CUSTOMER: &str = "201234567892";

/// What there is to look at.
#[derive(Clone, Debug)]
pub struct Linked {
    pub session: String,
    /// Whether it was linked just now, and not in an earlier run.
    pub is_new: bool,
}

/// Links the laundry's number where it is not linked, and sends an invoice that is read.
pub async fn invoice(stage: &Stage, run: &str) -> Result<Linked> {
    let tenant = tenant(stage).await?;
    let session = session(stage, &tenant).await?;
    let is_new = link(stage, &tenant, &session).await?;
    let call = json!({
        "tenantId": tenant,
        "sessionId": session,
        "recipient": CUSTOMER,
        "template": "invoice",
        "variables": cast::invoice(cast::Place::Cairo, 7),
    });
    let id = text(&stage.api.send("/v1/messages:send", &format!("{run}-web"), &call).await?, "id")?;
    let query = [("tenantId", tenant.as_str())];
    let message = eventually(LIMIT, || async {
        let message = stage.api.get(&format!("/v1/messages/{id}"), &query).await?;
        ensure!(message["state"] == "MESSAGE_STATE_READ", "{id} is {}: {}", message["state"], message["reasonText"]);
        Ok(message)
    })
    .await?;
    let wire_id = text(&message, "providerId")?;
    let times = stage.phones.shown(CUSTOMER, NUMBER.trim_start_matches('+'), &wire_id).await?;
    ensure!(times == 1, "the message {wire_id} is on the phone {times} times");
    Ok(Linked { session, is_new })
}

async fn tenant(stage: &Stage) -> Result<String> {
    let tenants = stage.api.list("/v1/tenants", &[("pageSize", "1000")], "tenants").await?;
    if let Some(known) = tenants.iter().find(|tenant| tenant["name"] == NAME) {
        return text(known, "id");
    }
    let role = cast::Role { name: NAME.into(), business_name: "مغسلة الدلتا".into(), number: NUMBER.into(), ..cast::extra(0) };
    text(&stage.api.post("/v1/tenants", &[], &json!({"tenant": role.tenant()})).await?, "id")
}

async fn session(stage: &Stage, tenant: &str) -> Result<String> {
    let sessions = stage.api.list("/v1/sessions", &[("tenantId", tenant)], "sessions").await?;
    if let Some(known) = sessions.iter().find(|session| session["web"].is_object()) {
        return text(known, "id");
    }
    // As fast as a simulated number can; a real one keeps the default of 20 a minute.
    let session = json!({"displayName": NAME, "phoneNumber": NUMBER, "messagesPerMinute": 600, "web": {"deviceName": "Barid demo"}});
    text(&stage.api.post("/v1/sessions", &[("tenantId", tenant)], &session).await?, "id")
}

/// Says whether it had to be linked.
async fn link(stage: &Stage, tenant: &str, session: &str) -> Result<bool> {
    let query = [("tenantId", tenant)];
    let known = stage.api.get(&format!("/v1/sessions/{session}"), &query).await?;
    if known["web"]["linkTime"].is_string() {
        return Ok(false);
    }
    let path = format!("/v1/sessions/{session}/pairing");
    let pairing = stage.api.post(&path, &[], &json!({"tenantId": tenant})).await.context("starting to pair")?;
    let code = pairing["qr"].as_str().with_context(|| format!("no code to scan in {pairing}"))?;
    stage.phones.scan(NUMBER.trim_start_matches('+'), code).await.context("scanning the code")?;
    eventually(LIMIT, || async {
        let pairing: Value = stage.api.get(&path, &query).await?;
        ensure!(pairing["state"] == "PAIRING_STATE_PAIRED", "the pairing is {}: {}", pairing["state"], pairing["reasonText"]);
        Ok(())
    })
    .await?;
    Ok(true)
}
