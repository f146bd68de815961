//! What WhatsApp does not deliver takes another way.

use anyhow::{Context, Result};
use e2e::Stack;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn whom_whatsapp_does_not_reach_gets_an_email_or_an_sms() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let tenant = format!("/v1/tenants/{}", laundry.tenant);
    let wrong = json!({"fallback": {"channels": ["FALLBACK_CHANNEL_SMS", "FALLBACK_CHANNEL_SMS"]}});
    let refused = laundry.api.call(Method::PATCH, &tenant, Some(&wrong)).await?;
    assert_eq!((refused.status, refused.fields()), (StatusCode::BAD_REQUEST, vec!["tenant.fallback.channels"]));
    let both = json!({"fallback": {"channels": ["FALLBACK_CHANNEL_EMAIL", "FALLBACK_CHANNEL_SMS"]}});
    let changed = laundry.api.call(Method::PATCH, &tenant, Some(&both)).await?;
    assert_eq!(changed.body["fallback"]["channels"], both["fallback"]["channels"], "{}", changed.body);

    // Neither has written, so that free text does not reach them.
    let send = async |customer: &str, email: Option<&str>| {
        let message = json!({"recipient": customer, "text": "Your order is ready.", "fallbackEmail": email});
        let sent = laundry.api.post("/v1/messages:send", &message).await?;
        laundry.reaches(sent["id"].as_str().context("an id")?, "SENT").await
    };
    let by_email = send("201009998877", Some("amira@example.com")).await?;
    assert_eq!((by_email["channel"].as_str(), by_email["attempt"].as_u64()), (Some("CHANNEL_EMAIL"), Some(2)));
    let by_sms = send("201009998866", None).await?;
    assert_eq!(by_sms["channel"], "CHANNEL_SMS");
    let failed = by_sms["history"].as_array().context("a history")?.iter().find(|step| step["state"] == "MESSAGE_STATE_FAILED");
    assert_eq!(failed.context("it failed first")?["reason"], "window_closed");

    let letters = stack.simulator.get("/sim/mail").await?["letters"].as_array().cloned().context("letters")?;
    assert_eq!((letters.len(), &letters[0]["to"]), (1, &json!(["amira@example.com"])));
    let sms = stack.simulator.get("/sim/sms").await?["messages"].as_array().cloned().context("messages")?;
    assert_eq!((sms.len(), &sms[0]["to"], &sms[0]["text"]), (1, &json!("+201009998866"), &json!("Your order is ready.")));
    assert!(laundry.shown("201009998877").await?.is_empty(), "the phone was shown nothing");
    Ok(())
}
