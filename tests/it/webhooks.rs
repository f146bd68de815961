//! Meta's side of the door.

use anyhow::Result;
use e2e::Stack;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

async fn stored(stack: &Stack) -> Result<String> {
    let database = stack.servers.database.as_ref().expect("a database");
    database.execute(&["SELECT count(*) FROM session_pool.webhook_inbox", "SELECT count(*) FROM queue.windows"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_app_signed_for_its_numbers_is_stored() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let http = reqwest::Client::new();
    let url = format!("http://{}/webhooks/meta/main", stack.gateway);

    let challenge = |token: &str| http.get(format!("{url}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=31415")).send();
    let verified = challenge("token-of-the-meta-app").await?;
    assert_eq!((verified.status().as_u16(), verified.text().await?.as_str()), (200, "31415"));
    assert_eq!(challenge("guess").await?.status(), 403);

    let webhook = |number: &str| {
        json!({"object": "whatsapp_business_account", "entry": [{"id": "waba", "changes": [{"field": "messages", "value": {
            "messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": number},
            "contacts": [{"profile": {"name": "Mona"}, "wa_id": "201000000001"}],
            "messages": [{"from": "201000000001", "id": "wamid.x", "timestamp": "1700000000", "type": "text", "text": {"body": "hi"}}],
        }}]}]})
        .to_string()
    };
    let before = stored(&stack).await?;
    let post = |url: String, body: String, signature: String| http.post(url).header("X-Hub-Signature-256", signature).body(body).send();
    let ours = webhook(&laundry.number);
    for (url, body, signature) in [
        (url.clone(), ours.clone(), signature("another-secret", &ours)),
        (url.clone(), ours.clone(), signature("secret-of-the-meta-app", "another body")),
        (url.clone(), ours.clone(), String::new()),
        (format!("http://{}/webhooks/meta/unknown", stack.gateway), ours.clone(), signature("secret-of-the-meta-app", &ours)),
    ] {
        assert_eq!(post(url, body, signature).await?.status(), 401);
    }
    let foreign = webhook("999");
    assert_eq!(post(url.clone(), foreign.clone(), signature("secret-of-the-meta-app", &foreign)).await?.status(), 200);
    assert_eq!(stored(&stack).await?, before, "nothing was stored");

    assert_eq!(post(url, ours.clone(), signature("secret-of-the-meta-app", &ours)).await?.status(), 200);
    barid_testkit::eventually(std::time::Duration::from_secs(10), || async {
        let contact = laundry.api.get("/v1/contacts/201000000001").await?;
        anyhow::ensure!(contact["lastInboundTime"] == "2023-11-14T22:13:20Z", "{contact}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_answered_503_so_that_meta_repeats_it() -> Result<()> {
    let mut stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    stack.stop_service("session_pool").await?;
    let message = json!({"to": laundry.number, "text": "are you open?"});
    laundry.simulator.post("/sim/phones/201000000002/messages", &message).await?;
    let body = json!({"object": "whatsapp_business_account", "entry": []}).to_string();
    let answer = reqwest::Client::new()
        .post(format!("http://{}/webhooks/meta/main", stack.gateway))
        .header("X-Hub-Signature-256", signature("secret-of-the-meta-app", &body))
        .body(body)
        .send()
        .await?;
    assert_eq!(answer.status(), 503);
    stack.start_service("session_pool").await?;
    barid_testkit::eventually(std::time::Duration::from_secs(30), || async { laundry.api.get("/v1/contacts/201000000002").await.map(drop) })
        .await
}
