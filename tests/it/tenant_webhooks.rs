//! What happens to an invoice reaches its tenant's own endpoint: signed, in order, nothing lost when the service dies, nobody delayed by another.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::{Router, extract::State, http::HeaderMap};
use barid_testkit::eventually;
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::{Business, Stack};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

const PATIENCE: Duration = Duration::from_secs(90);

/// The way of a message that is read.
const WAY: [&str; 5] = ["message.queued", "message.sending", "message.sent", "message.delivered", "message.read"];

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<(HeaderMap, String)>>>);

/// A tenant's server on the port that the stack lets through.
struct Receiver {
    received: Received,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Takes everything; at `/slow` it never answers.
    fn start(stack: &Stack) -> Result<Self> {
        let received = Received::default();
        let take = |State(received): State<Received>, headers: HeaderMap, body: String| async move {
            received.0.lock().await.push((headers, body));
        };
        let router = Router::new()
            .route("/hook", axum::routing::post(take))
            .route("/slow", axum::routing::post(std::future::pending::<()>))
            .with_state(received.clone());
        let listener = TcpListener::from_std(stack.receiver.try_clone()?)?;
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Ok(Self { received, task })
    }

    /// The types that came for each message in the order of their coming, repetitions left out. Every request must be signed.
    async fn ways(&self, secret: &str) -> Result<BTreeMap<String, Vec<String>>> {
        let (mut ways, mut seen) = (BTreeMap::<String, Vec<String>>::new(), std::collections::HashSet::new());
        for (headers, body) in self.received.0.lock().await.iter() {
            let id = verify(secret, headers, body)?;
            if seen.insert(id) {
                let event: Value = serde_json::from_str(body)?;
                let message = event["data"]["entityId"].as_str().context("an entity")?;
                ways.entry(message.to_owned()).or_default().push(event["type"].as_str().context("a type")?.to_owned());
            }
        }
        Ok(ways)
    }

    /// Waits until all of these messages have come all of their way, and nothing else.
    async fn complete(&self, secret: &str, messages: &[String]) -> Result<()> {
        let expected: BTreeMap<String, Vec<String>> =
            messages.iter().map(|message| (message.clone(), WAY.map(str::to_owned).to_vec())).collect();
        eventually(PATIENCE, || async {
            let ways = self.ways(secret).await?;
            let wrong = expected.iter().find(|(message, way)| ways.get(*message) != Some(way));
            ensure!(wrong.is_none(), "{wrong:?} came as {:?}", wrong.and_then(|(message, _)| ways.get(message)));
            ensure!(ways.len() == expected.len(), "messages came that nobody sent");
            Ok(())
        })
        .await
    }
}

/// Verifies a request as the specification says, and gives back its id.
fn verify(secret: &str, headers: &HeaderMap, body: &str) -> Result<String> {
    let header = |name: &str| Ok::<_, anyhow::Error>(headers.get(name).with_context(|| format!("no {name}"))?.to_str()?.to_owned());
    let (id, timestamp, signature) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let key = STANDARD.decode(secret.strip_prefix("whsec_").context("a secret")?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let given = STANDARD.decode(signature.strip_prefix("v1,").context("a signature of this version")?)?;
    mac.verify_slice(&given).context("the signature is another's")?;
    let age = barid_domain::Clock::now(&barid_domain::SystemClock).timestamp() - timestamp.parse::<i64>()?;
    ensure!((0..300).contains(&age), "signed {age} s ago");
    Ok(id)
}

/// The receiver as it is named in an endpoint.
fn url(stack: &Stack, path: &str) -> Result<String> {
    Ok(format!("http://{}{path}", stack.receiver.local_addr()?))
}

async fn send(laundry: &Business, recipients: impl IntoIterator<Item = String>) -> Result<Vec<String>> {
    let media = "https://storage.example.com/invoices/inv-001.pdf";
    let invoice = |recipient| json!({"recipient": recipient, "template": "invoice", "variables": crate::invoice(), "mediaUrl": media});
    let messages: Vec<Value> = recipients.into_iter().map(invoice).collect();
    let answer = laundry.api.post("/v1/messages:batchSend", &json!({"messages": messages})).await?;
    let outcomes = answer["outcomes"].as_array().context("outcomes")?.iter();
    outcomes.map(|outcome| Ok(outcome["accepted"]["id"].as_str().with_context(|| format!("{outcome}"))?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoices_way_reaches_the_tenants_endpoint() -> Result<()> {
    let stack = Stack::start().await?;
    let receiver = Receiver::start(&stack)?;
    let laundry = stack.business("Blue Nile").await?;
    let other = stack.business("White Nile").await?;
    // The paths of the specification.
    let api = &laundry.api;
    let endpoint = json!({"url": url(&stack, "/hook?token=secret")?, "eventTypes": ["message.*"], "displayName": "Till"});
    let created = api.post("/webhooks", &endpoint).await?;
    let (id, secret) = (created["id"].as_str().context("an id")?, created["secret"].as_str().context("a secret")?);
    assert_eq!(api.get("/webhooks").await?["webhooks"], Value::Null);
    assert_eq!(api.get("/webhooks").await?["endpoints"][0]["id"], id);
    let renamed = api.put(&format!("/webhooks/{id}"), &json!({"displayName": "Counter"})).await?;
    assert_eq!(
        (&renamed["displayName"], &renamed["eventTypes"], &renamed["secret"]),
        (&json!("Counter"), &json!(["message.*"]), &json!(""))
    );
    assert_eq!(api.get(&format!("/webhooks/{id}")).await?, renamed);
    let tested = api.post(&format!("/webhooks/{id}/test"), &json!({})).await?;
    assert_eq!((&tested["delivered"], &tested["delivery"]["lastStatus"]), (&json!(true), &json!(200)), "{tested}");
    let tests = std::mem::take(&mut *receiver.received.0.lock().await);
    verify(secret, &tests[0].0, &tests[0].1)?;

    let ahmed = laundry.knows_ahmed().await?;
    let sent = send(&laundry, [ahmed.to_owned()]).await?;
    receiver.complete(secret, &sent).await?;
    let path = format!("/v1/webhooks/{id}/deliveries?entityId={}", sent[0]);
    let log = eventually(PATIENCE, || async {
        let log = api.get(&path).await?;
        let deliveries = log["deliveries"].as_array().context("deliveries")?.clone();
        ensure!(deliveries.len() == 5 && deliveries.iter().all(|one| one["state"] == "DELIVERY_STATE_DELIVERED"), "{log}");
        Ok(deliveries)
    })
    .await?;
    // The log has request and response, and the body is the event as everyone is told it.
    let delivery = api.get(&format!("/v1/webhookDeliveries/{}", log[0]["id"].as_str().context("an id")?)).await?;
    assert_eq!((&delivery["eventType"], &delivery["attempts"][0]["status"]), (&json!("message.read"), &json!(200)));
    assert_eq!(delivery["attempts"][0]["requestHeaders"]["webhook-id"], delivery["eventId"]);
    let body: Value = serde_json::from_str(delivery["body"].as_str().context("a body")?)?;
    let events = api.get("/v1/events?pageSize=1000").await?;
    let told = events["events"].as_array().context("events")?.iter().find(|event| event["id"] == delivery["eventId"]);
    assert_eq!(Some(&body["data"]), told);

    // Delivered again, by its id, it is the same event.
    let again = json!({"deliveryIds": [delivery["id"]]});
    assert_eq!(api.post(&format!("/v1/webhooks/{id}:redeliver"), &again).await?["redelivered"], 1);
    eventually(PATIENCE, || async {
        let received = receiver.received.0.lock().await;
        let same = received.iter().filter(|(headers, _)| headers["webhook-id"].to_str().ok() == delivery["eventId"].as_str());
        ensure!(same.count() == 2, "not again yet");
        Ok(())
    })
    .await?;

    // To another tenant none of it exists.
    for path in [format!("/webhooks/{id}"), format!("/v1/webhookDeliveries/{}", delivery["id"].as_str().context("an id")?)] {
        assert_eq!(other.api.call(reqwest::Method::GET, &path, None).await?.status, 404);
    }
    let refused = api.call(reqwest::Method::POST, "/webhooks", Some(&json!({"url": "http://169.254.169.254/latest"}))).await?;
    assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["endpoint.url"]));
    api.delete(&format!("/webhooks/{id}")).await?;
    assert_eq!(api.call(reqwest::Method::GET, &format!("/webhooks/{id}"), None).await?.status, 404);

    let openapi = api.get("/openapi.json").await?;
    for path in
        ["/webhooks", "/webhooks/{id}", "/webhooks/{id}/test", "/v1/webhooks/{id}:rotateSecret", "/v1/webhooks/{endpoint_id}:redeliver"]
    {
        let described = openapi["paths"][path].is_object() || openapi["paths"][path.replace("endpoint_id", "endpointId")].is_object();
        ensure!(described, "{path} is not described");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_loses_nothing_and_a_slow_endpoint_delays_nobody() -> Result<()> {
    let mut stack = Stack::start().await?;
    let receiver = Receiver::start(&stack)?;
    let laundry = stack.business("Blue Nile").await?;
    let slow = json!({"url": url(&stack, "/slow")?, "eventTypes": ["message.*"]});
    laundry.api.post("/v1/webhooks", &slow).await?;
    let endpoint = json!({"url": url(&stack, "/hook")?, "eventTypes": ["message.*"]});
    let created = laundry.api.post("/v1/webhooks", &endpoint).await?;
    let secret = created["secret"].as_str().context("a secret")?;
    // The stack's own replica makes way for one that can die.
    stack.stop_service("webhook").await?;
    let mut replica = stack.webhook_replica().await?;
    let mut sent = Vec::new();
    for round in 0..3 {
        sent.extend(send(&laundry, (0..20).map(|index| format!("2010{round}00{index:05}"))).await?);
        // In the middle of its work.
        eventually(PATIENCE, || async {
            let come = receiver.received.0.lock().await.len();
            ensure!(come > round * 100 + 20, "{come} have come");
            Ok(())
        })
        .await?;
        replica.kill();
        replica = stack.webhook_replica().await?;
    }
    receiver.complete(secret, &sent).await?;
    eventually(PATIENCE, || async {
        let taken = laundry.api.get("/v1/webhookDeliveries?state=DELIVERY_STATE_DELIVERED&pageSize=1000").await?;
        let taken = taken["deliveries"].as_array().map(Vec::len);
        ensure!(taken == Some(300), "{taken:?} are delivered: all of the one endpoint's, none of the slow one's");
        Ok(())
    })
    .await?;
    Ok(())
}
