use std::path::Path;

use serde_json::{Value, json};
use whatsapp_rust::types::{events::Event, presence::ReceiptType};

use crate::{
    support::{Simulator, swift},
    web_support::{BUSINESS, CUSTOMER, Device},
};

async fn kept_in(directory: &Path) -> Simulator {
    let mut config = swift();
    config.web.state_dir = directory.to_owned();
    Simulator::with(config).await
}

async fn login(sim: &Simulator) -> Value {
    sim.get(&format!("/sim/web/accounts/{BUSINESS}")).await["devices"][0].clone()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let sim = kept_in(directory.path()).await;
    sim.ok("PUT", &format!("/sim/phones/{CUSTOMER}"), json!({"name": "سارة"})).await;
    let device = Device::paired(&sim).await;
    device.send(CUSTOMER, "3EB05A0000000001", "before").await;
    device.receipt("3EB05A0000000001", ReceiptType::Read).await;
    let backend = device.stop().await;
    let waiting = sim.ok("POST", &format!("/sim/phones/{CUSTOMER}/messages"), json!({"to": BUSINESS, "text": "anybody there?"})).await;
    sim.end().await;

    let sim = kept_in(directory.path()).await;
    let device = Device::start(&sim, backend).await;
    let came = device.inbound(waiting["id"].as_str().unwrap()).await;
    assert_eq!(came.conversation.as_deref(), Some("anybody there?"));
    assert_eq!(login(&sim).await["handshake"], "ik", "the server's key is the same");
    device.send(CUSTOMER, "3EB05A0000000001", "before").await;
    device.acknowledged("3EB05A0000000001").await;
    device.send(CUSTOMER, "3EB05A0000000002", "after").await;
    device.receipt("3EB05A0000000002", ReceiptType::Read).await;
    let shown = sim.screen(CUSTOMER).await;
    let texts: Vec<&str> = shown.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["before", "anybody there?", "after"]);
    assert_eq!((&shown[0]["received"], &shown[0]["state"]), (&json!(2), &json!("read")));
    assert_eq!(sim.get(&format!("/sim/phones/{CUSTOMER}")).await["name"], "سارة");
    assert_eq!(sim.get("/sim/stats").await["unopened"], 0, "the phone kept its Signal sessions");
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn a_client_that_knows_an_older_key_falls_back() {
    let directory = tempfile::tempdir().unwrap();
    let sim = kept_in(directory.path()).await;
    let backend = Device::paired(&sim).await.stop().await;
    sim.end().await;
    let path = directory.path().join("server.json");
    let mut keys: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    keys["noise"] = keys["root"].clone();
    std::fs::write(&path, keys.to_string()).unwrap();

    let sim = kept_in(directory.path()).await;
    let device = Device::start(&sim, backend).await;
    device.connected().await;
    assert_eq!(login(&sim).await["handshake"], "fallback");
    let backend = device.stop().await;
    let device = Device::start(&sim, backend).await;
    device.connected().await;
    assert_eq!(login(&sim).await["handshake"], "ik", "the client has learnt the new key");
}

#[tokio::test]
async fn a_business_that_changes_its_name_tells_its_devices() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    sim.ok("PUT", &format!("/sim/web/accounts/{BUSINESS}"), json!({"name": "مغسلة القمر"})).await;
    let named = device.event("name", |event| match event {
        Event::SelfPushNameUpdated(update) => (update.new_name == "مغسلة القمر").then_some(()),
        _ => None,
    });
    named.await;
    sim.nothing_unknown().await;
}
