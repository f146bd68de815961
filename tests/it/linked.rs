//! WhatsApp Web: numbers that are linked as devices, beside those on the Cloud API.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use barid_testkit::eventually;
use e2e::{Business, Stack};
use serde_json::{Value, json};

const CUSTOMER: &str = "201112223334";
const PATIENCE: Duration = Duration::from_secs(30);

/// A number of a business, linked by scanning.
struct Linked {
    business: Business,
    session: String,
    /// Digits.
    number: String,
}

impl Linked {
    async fn link(business: Business, number: &str) -> Result<Self> {
        let session = json!({"displayName": "Shop", "phoneNumber": format!("+{number}"), "messagesPerMinute": 6000, "web": {}});
        let session = business.api.post("/v1/sessions", &session).await?;
        ensure!(session["state"] == "SESSION_STATE_LOGGED_OUT", "{session}");
        let linked = Self { session: session["id"].as_str().context("an id")?.to_owned(), business, number: number.to_owned() };
        linked.pair().await?;
        Ok(linked)
    }

    async fn pair(&self) -> Result<()> {
        let path = format!("/v1/sessions/{}/pairing", self.session);
        let pairing = self.business.api.post(&path, &json!({})).await?;
        let scan = json!({"code": pairing["qr"].as_str().with_context(|| format!("no code in {pairing}"))?});
        self.business.simulator.post(&format!("/sim/web/accounts/{}/scan", self.number), &scan).await?;
        eventually(PATIENCE, || async {
            let pairing = self.business.api.get(&path).await?;
            ensure!(pairing["state"] == "PAIRING_STATE_PAIRED", "{pairing}");
            Ok(())
        })
        .await
    }

    async fn send(&self, text: &str) -> Result<String> {
        let message = json!({"recipient": CUSTOMER, "text": text, "sessionId": self.session});
        let message = self.business.api.post("/v1/messages:send", &message).await?;
        Ok(message["id"].as_str().context("an id")?.to_owned())
    }

    async fn shown(&self) -> Result<Vec<Value>> {
        let phone = self.business.simulator.get(&format!("/sim/phones/{CUSTOMER}?number={}", self.number)).await?;
        let conversations = phone["conversations"].as_array().cloned().unwrap_or_default();
        let messages = conversations.iter().filter_map(|conversation| conversation["messages"].as_array()).flatten();
        Ok(messages.filter(|message| message["from"] == "business").cloned().collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_number_sends_beside_one_on_the_cloud_api_and_hears_its_customers() -> Result<()> {
    let stack = Stack::start().await?;
    let business = stack.business("Nile").await?;
    let ahmed = business.knows_ahmed().await?;
    let cloud = business.api.post("/v1/messages:send", &json!({"recipient": ahmed, "text": "over the cloud"})).await?;
    let linked = Linked::link(business.clone(), "201000000001").await?;
    let id = linked.send("over the web").await?;
    let read = business.reaches(&id, "READ").await?;
    business.reaches(cloud["id"].as_str().context("an id")?, "READ").await?;
    let shown = linked.shown().await?;
    ensure!(shown.len() == 1 && shown[0]["text"] == "over the web" && shown[0]["wamid"] == read["providerId"], "{shown:?} {read}");

    let letter = json!({"to": linked.number, "text": "شكراً"});
    business.simulator.post(&format!("/sim/phones/{CUSTOMER}/messages"), &letter).await?;
    let heard = eventually(PATIENCE, || async {
        let inbound = business.api.get("/v1/inbound").await?;
        let heard = inbound["messages"].as_array().into_iter().flatten().find(|message| message["sessionId"] == linked.session.as_str());
        heard.cloned().with_context(|| format!("not heard: {inbound}"))
    })
    .await?;
    ensure!(heard["content"]["text"]["text"] == "شكراً" && heard["from"] == format!("+{CUSTOMER}"), "{heard}");

    // Replicas say how they stand with every heartbeat.
    eventually(PATIENCE, || async {
        let status = stack.platform().get("/v1/pool").await?;
        let holder = &status["replicas"][0]["holders"][0];
        ensure!(holder["sessionId"] == linked.session.as_str() && holder["state"] == "warm" && holder["why"].is_string(), "{status}");
        Ok(())
    })
    .await?;
    let unknown = business.simulator.get("/sim/web/unknown").await?;
    ensure!(unknown["total"] == 0, "{unknown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_in_the_middle_of_a_send_leaves_one_message_on_the_phone() -> Result<()> {
    let mut stack = Stack::start().await?;
    let linked = Linked::link(stack.business("Nile").await?, "201000000002").await?;
    stack.stop_service("session_pool").await?;
    let dies = stack.pool_replica().await?;
    // WhatsApp takes the message and shows it, and its answer never comes.
    stack.simulator.post("/sim/faults", &json!({"kind": "web_no_ack", "count": 1, "number": linked.number})).await?;
    let id = linked.send("once").await?;
    let before = eventually(PATIENCE, || async {
        let shown = linked.shown().await?;
        ensure!(shown.len() == 1, "not on the phone yet");
        Ok(shown[0].clone())
    })
    .await?;
    dies.kill();
    let _heir = stack.pool_replica().await?;
    let message = linked.business.reaches(&id, "READ").await?;
    let shown = linked.shown().await?;
    ensure!(shown.len() == 1, "it shows {} times", shown.len());
    ensure!(shown[0]["wamid"] == before["wamid"] && shown[0]["wamid"] == message["providerId"], "{shown:?}");
    // The heir heard of it from the phone's receipt, or sent it again; or the owner had told of the receipt before it died. The heir has the
    // session now.
    let next = linked.send("and on").await?;
    linked.business.reaches(&next, "READ").await?;
    ensure!(linked.shown().await?.len() == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_removed_on_the_phone_needs_linking_and_its_messages_wait() -> Result<()> {
    let stack = Stack::start().await?;
    let linked = Linked::link(stack.business("Nile").await?, "201000000003").await?;
    let first = linked.send("before").await?;
    linked.business.reaches(&first, "READ").await?;
    let removed = json!({"kind": "web_removed", "at": "now", "count": 1, "number": linked.number});
    linked.business.simulator.post("/sim/faults", &removed).await?;
    let path = format!("/v1/sessions/{}", linked.session);
    eventually(PATIENCE, || async {
        let session = linked.business.api.get(&path).await?;
        let reason = session["stateReason"].as_str().unwrap_or_default();
        ensure!(session["state"] == "SESSION_STATE_LOGGED_OUT" && !reason.is_empty(), "{session}");
        Ok(())
    })
    .await?;
    let waits = linked.send("after").await?;
    linked.pair().await?;
    linked.business.reaches(&waits, "READ").await?;
    ensure!(linked.shown().await?.len() == 2);
    Ok(())
}
