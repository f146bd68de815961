use std::{collections::BTreeSet, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::support::{NUMBER, PHONE, SECRET, Simulator, eventually, swift};

#[tokio::test]
async fn posts_are_signed_over_their_escaped_bytes() {
    let sim = Simulator::start().await;
    let written = sim.customer_writes("أين طلبي؟ 🧺").await;
    eventually("the post", async || sim.callback.posts().pop()).await;
    let (signature, body) = sim.callback.posts().remove(0);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(&body);
    assert_eq!(signature, format!("sha256={}", hex::encode(mac.finalize().into_bytes())));
    assert!(body.is_ascii(), "non-ASCII is escaped as Meta does");
    let message = sim.callback.messages().remove(0);
    assert_eq!((&message["from"], &message["type"], &message["id"]), (&json!(PHONE), &json!("text"), &written["id"]));
    assert_eq!(message["text"]["body"], "أين طلبي؟ 🧺");
    let post: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(post["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"], NUMBER);
}

#[tokio::test]
async fn a_refused_post_is_repeated() {
    let sim = Simulator::start().await;
    sim.callback.refuse(3);
    sim.customer_writes("hi").await;
    eventually("the message", async || sim.callback.messages().pop()).await;
    let stats = eventually("the count", async || Some(sim.get("/sim/stats").await).filter(|stats| stats["webhooks_sent"] == 1)).await;
    assert_eq!(stats["webhooks_failed"], 3);
}

#[tokio::test]
async fn a_post_is_given_up_after_its_attempts() {
    let mut config = swift();
    config.webhooks.attempts = 2;
    let sim = Simulator::with(config).await;
    sim.callback.refuse(2);
    sim.customer_writes("hi").await;
    let stats = eventually("the count", async || Some(sim.get("/sim/stats").await).filter(|stats| stats["webhook_items_lost"] == 1)).await;
    assert_eq!((&stats["webhooks_failed"], &stats["webhooks_sent"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn statuses_are_batched() {
    let mut config = swift();
    config.webhooks.batch_wait = Duration::from_millis(300);
    let sim = Simulator::with(config).await;
    sim.customer_writes("hi").await;
    for index in 0..20 {
        sim.send_text("hello", &format!("msg_{index}")).await;
    }
    sim.callback.statuses_come(60).await;
    assert!(sim.callback.posts().len() < 20, "{} posts", sim.callback.posts().len());
}

#[tokio::test]
async fn reordering_loses_nothing() {
    let mut config = swift();
    config.webhooks.reorder = true;
    config.webhooks.reorder_spread = Duration::from_millis(100);
    let sim = Simulator::with(config).await;
    sim.customer_writes("hi").await;
    for index in 0..30 {
        sim.send_text("hello", &format!("msg_{index}")).await;
    }
    let statuses = sim.callback.statuses_come(90).await;
    assert_eq!(statuses.iter().collect::<BTreeSet<_>>().len(), 90);
    let place = |status: &str, index: usize| {
        let sought = (status.to_owned(), format!("msg_{index}"));
        statuses.iter().position(|status| *status == sought).unwrap()
    };
    assert!((0..30).any(|index| place("read", index) < place("sent", index)), "nothing came out of order");
}

#[tokio::test]
async fn the_handshake_tells_whether_the_callback_knows_the_token() {
    let sim = Simulator::start().await;
    assert_eq!(sim.ok("POST", "/sim/apps/barid/verify", json!({})).await["verified"], true);
    let stranger = json!({"app_secret": "s", "verify_token": "other", "callback_url": sim.callback.url});
    sim.ok("PUT", "/sim/apps/stranger", stranger).await;
    let outcome = sim.ok("POST", "/sim/apps/stranger/verify", json!({})).await;
    assert_eq!((&outcome["verified"], &outcome["http_status"]), (&json!(false), &json!(403)));
    assert_eq!(sim.call("POST", "/sim/apps/nobody/verify", json!({})).await.0, 404);
}

#[tokio::test]
async fn an_app_may_be_moved_while_its_posts_wait() {
    let sim = Simulator::start().await;
    let good = sim.callback.url.clone();
    let app = |url: &str| json!({"app_secret": SECRET, "verify_token": "x", "callback_url": url});
    sim.ok("PUT", "/sim/apps/barid", app("http://127.0.0.1:1/")).await;
    sim.customer_writes("hi").await;
    eventually("a failure", async || Some(sim.get("/sim/stats").await).filter(|stats| stats["webhooks_failed"].as_u64() > Some(0))).await;
    sim.ok("PUT", "/sim/apps/barid", app(&good)).await;
    eventually("the message", async || sim.callback.messages().pop()).await;
}
