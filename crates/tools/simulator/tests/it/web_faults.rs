use std::time::Duration;

use serde_json::{Value, json};
use whatsapp_rust::types::{
    events::{Event, TempBanReason},
    presence::ReceiptType,
};

use crate::{
    support::{Simulator, eventually, swift},
    web_support::{BUSINESS, CUSTOMER, Device},
};

const ID: &str = "3EB0FA0000000001";

async fn paired(fault: Value) -> (Simulator, Device) {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    sim.arm(fault).await;
    (sim, device)
}

async fn devices(sim: &Simulator) -> Vec<Value> {
    sim.get(&format!("/sim/web/accounts/{BUSINESS}")).await["devices"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_message_that_is_never_acknowledged_is_shown() {
    let (sim, device) = paired(json!({"kind": "web_no_ack", "count": 1, "number": BUSINESS})).await;
    device.send(CUSTOMER, ID, "hello").await;
    device.receipt(ID, ReceiptType::Delivered).await;
    assert_eq!(device.count(|event| matches!(event, Event::ServerAck(ack) if ack.id == ID)), 0);
    device.send(CUSTOMER, ID, "hello").await;
    assert_eq!(device.acknowledged(ID).await, None, "the fault was armed for one message");
    let shown = sim.screen(CUSTOMER).await;
    assert_eq!((shown.len(), &shown[0]["received"]), (1, &json!(2)));
}

#[tokio::test]
async fn a_refused_message_is_not_shown() {
    let (sim, device) = paired(json!({"kind": "web_nack", "code": 463, "count": 1, "recipient": CUSTOMER})).await;
    device.send(CUSTOMER, ID, "hello").await;
    assert_eq!(device.acknowledged(ID).await.as_deref(), Some("463"));
    assert!(sim.screen(CUSTOMER).await.is_empty());
}

#[tokio::test]
async fn an_acknowledgement_may_come_after_the_receipt() {
    let (_sim, device) = paired(json!({"kind": "web_delay", "delay_ms": 300, "count": 1})).await;
    device.send(CUSTOMER, ID, "hello").await;
    device.receipt(ID, ReceiptType::Delivered).await;
    assert_eq!(device.count(|event| matches!(event, Event::ServerAck(ack) if ack.id == ID)), 0);
    assert_eq!(device.acknowledged(ID).await, None);
}

#[tokio::test]
async fn a_lost_receipt_is_not_told() {
    let (sim, device) = paired(json!({"kind": "web_drop", "status": "delivered", "count": 1})).await;
    device.send(CUSTOMER, ID, "hello").await;
    device.receipt(ID, ReceiptType::Read).await;
    assert_eq!(device.count(|event| matches!(event, Event::Receipt(receipt) if receipt.r#type == ReceiptType::Delivered)), 0);
    assert_eq!(sim.get("/sim/stats").await["faults"]["web_drop"], 1);
}

#[tokio::test]
async fn a_read_receipt_may_overtake_the_delivery() {
    let (_sim, device) = paired(json!({"kind": "web_delay", "status": "delivered", "delay_ms": 300, "count": 1})).await;
    device.send(CUSTOMER, ID, "hello").await;
    device.receipt(ID, ReceiptType::Read).await;
    assert_eq!(device.count(|event| matches!(event, Event::Receipt(receipt) if receipt.r#type == ReceiptType::Delivered)), 0);
    device.receipt(ID, ReceiptType::Delivered).await;
}

#[tokio::test]
async fn a_connection_that_ends_before_the_message_was_taken_leaves_nothing() {
    let (sim, device) = paired(json!({"kind": "web_close", "at": "message", "count": 1})).await;
    device.forget();
    device.send(CUSTOMER, ID, "hello").await;
    device.connected().await;
    assert!(sim.screen(CUSTOMER).await.is_empty());
    device.send(CUSTOMER, ID, "hello").await;
    device.acknowledged(ID).await;
    assert_eq!(sim.screen(CUSTOMER).await.len(), 1);
}

#[tokio::test]
async fn a_connection_that_ends_after_the_message_was_taken_leaves_it_shown_once() {
    let (sim, device) = paired(json!({"kind": "web_close", "at": "accepted", "count": 1})).await;
    device.forget();
    device.send(CUSTOMER, ID, "hello").await;
    device.connected().await;
    device.receipt(ID, ReceiptType::Delivered).await;
    device.send(CUSTOMER, ID, "hello").await;
    device.acknowledged(ID).await;
    let shown = sim.screen(CUSTOMER).await;
    assert_eq!((shown.len(), &shown[0]["received"]), (1, &json!(2)));
}

#[tokio::test]
async fn stream_errors_end_in_a_new_login() {
    for code in [503, 515] {
        let sim = Simulator::start().await;
        let device = Device::paired(&sim).await;
        device.forget();
        let fault = sim.ok("POST", "/sim/faults", json!({"kind": "web_stream_error", "code": code, "number": BUSINESS})).await;
        assert_eq!(fault["fired"], 1);
        device.connected().await;
        assert_eq!(devices(&sim).await[0]["logins"], 2, "{code}");
    }
}

#[tokio::test]
async fn a_frame_that_no_key_opens_is_survived() {
    let (sim, device) = paired(json!({"kind": "web_garbage", "number": BUSINESS})).await;
    let id = sim.ok("POST", &format!("/sim/phones/{CUSTOMER}/messages"), json!({"to": BUSINESS, "text": "still there?"})).await;
    let came = device.event("anything", |event| match event {
        Event::Connected(_) => Some(()),
        other => other.messages().find(|inbound| id["id"] == *inbound.info.id).map(|_| ()),
    });
    came.await;
}

#[tokio::test]
async fn a_replaced_device_is_told_so() {
    let (sim, device) = paired(json!({"kind": "web_replaced", "number": BUSINESS})).await;
    device.event("replacement", |event| matches!(event, Event::StreamReplaced(_)).then_some(())).await;
    assert_eq!(devices(&sim).await.len(), 1, "it stays linked");
}

#[tokio::test]
async fn a_second_connection_replaces_the_first() {
    let sim = Simulator::start().await;
    let first = Device::paired(&sim).await;
    let second = Device::start(&sim, std::sync::Arc::clone(&first.backend)).await;
    second.connected().await;
    first.event("replacement", |event| matches!(event, Event::StreamReplaced(_)).then_some(())).await;
}

#[tokio::test]
async fn a_removed_device_is_logged_out() {
    let (sim, device) = paired(json!({"kind": "web_removed", "number": BUSINESS})).await;
    device.event("logout", |event| matches!(event, Event::LoggedOut(_)).then_some(())).await;
    assert!(devices(&sim).await.is_empty());
}

#[tokio::test]
async fn the_phone_unlinks_a_device_that_is_away() {
    let sim = Simulator::start().await;
    let backend = Device::paired(&sim).await.stop().await;
    sim.ok("DELETE", &format!("/sim/web/accounts/{BUSINESS}/devices/1"), Value::Null).await;
    let device = Device::start(&sim, backend).await;
    let reason = device
        .event("logout", |event| match event {
            Event::LoggedOut(out) => Some(out.on_connect),
            _ => None,
        })
        .await;
    assert!(reason, "the login is refused");
}

#[tokio::test]
async fn a_ban_is_told_at_login() {
    let sim = Simulator::start().await;
    let backend = Device::paired(&sim).await.stop().await;
    sim.arm(json!({"kind": "web_ban", "code": 102, "delay_ms": 7_200_000, "count": 1})).await;
    let device = Device::start(&sim, backend).await;
    let (code, hours) = device
        .event("ban", |event| match event {
            Event::TemporaryBan(ban) => Some((ban.code.clone(), ban.expire.num_hours())),
            _ => None,
        })
        .await;
    assert_eq!((code, hours), (TempBanReason::from(102), 2));
}

#[tokio::test]
async fn a_restart_of_the_server_is_survived() {
    let mut config = swift();
    config.delays.delivered = Duration::from_millis(50);
    let sim = Simulator::with(config).await;
    let device = Device::paired(&sim).await;
    device.forget();
    device.send(CUSTOMER, ID, "hello").await;
    device.acknowledged(ID).await;
    sim.ok("POST", "/sim/web/restart", json!({"down_ms": 100})).await;
    device.connected().await;
    device.receipt(ID, ReceiptType::Read).await;
    eventually("the receipts to be acknowledged", async || (devices(&sim).await[0]["waiting"] == 0).then_some(())).await;
}

#[tokio::test]
async fn stanzas_may_come_in_the_opposite_order() {
    let sim = Simulator::start().await;
    let backend = Device::paired(&sim).await.stop().await;
    let path = format!("/sim/phones/{CUSTOMER}/messages");
    let first = sim.ok("POST", &path, json!({"to": BUSINESS, "text": "1"})).await;
    let second = sim.ok("POST", &path, json!({"to": BUSINESS, "text": "2"})).await;
    sim.arm(json!({"kind": "web_reorder", "count": 1})).await;
    let device = Device::start(&sim, backend).await;
    let ids = [&second, &first].map(|sent| sent["id"].as_str().unwrap().to_owned());
    device.inbound(&ids[1]).await;
    assert_eq!(device.inbound_ids(), ids);
    assert_eq!(sim.get("/sim/stats").await["faults"]["web_reorder"], 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let sim = Simulator::start().await;
    for wrong in [json!({"kind": "web_nack"}), json!({"kind": "web_drop"}), json!({"kind": "web_nack", "code": 1, "at": "now"})] {
        assert_eq!(sim.call("POST", "/sim/faults", wrong.clone()).await.0, 400, "{wrong}");
    }
}
