use serde_json::json;
use whatsapp_rust::{types::presence::ReceiptType, waproto::whatsapp::Message};

use crate::{
    support::{Simulator, eventually},
    web_support::{BUSINESS, CUSTOMER, Device},
};

#[tokio::test]
async fn a_message_is_acknowledged_shown_and_read() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    device.send(CUSTOMER, "3EB0000000000001", "فاتورتك جاهزة").await;
    assert_eq!(device.acknowledged("3EB0000000000001").await, None);
    device.receipt("3EB0000000000001", ReceiptType::Delivered).await;
    device.receipt("3EB0000000000001", ReceiptType::Read).await;
    let shown = sim.screen(CUSTOMER).await;
    assert_eq!(shown.len(), 1);
    assert_eq!((&shown[0]["wamid"], &shown[0]["text"]), (&json!("3EB0000000000001"), &json!("فاتورتك جاهزة")));
    assert_eq!((&shown[0]["type"], &shown[0]["state"], &shown[0]["via"]), (&json!("text"), &json!("read"), &json!("web")));
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn the_same_id_again_is_shown_once_and_counted() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    for _ in 0..3 {
        device.forget();
        device.send(CUSTOMER, "3EB0000000000002", "once").await;
        assert_eq!(device.acknowledged("3EB0000000000002").await, None);
    }
    let shown = sim.screen(CUSTOMER).await;
    assert_eq!((shown.len(), &shown[0]["received"]), (1, &json!(3)));
    let stats = sim.get("/sim/stats").await;
    assert_eq!((&stats["distinct"], &stats["repeated"], &stats["duplicates"]), (&json!(1), &json!(2), &json!(0)));
}

#[tokio::test]
async fn a_customer_writes_and_is_answered() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    let path = format!("/sim/phones/{CUSTOMER}/messages");
    let sent = sim.ok("POST", &path, json!({"to": BUSINESS, "text": "هل طلبي جاهز؟"})).await;
    let id = sent["id"].as_str().unwrap();
    let came: Message = device.inbound(id).await;
    assert_eq!(came.conversation.as_deref(), Some("هل طلبي جاهز؟"));
    device.send(CUSTOMER, "3EB0000000000003", "نعم").await;
    device.acknowledged("3EB0000000000003").await;
    eventually("the business's device to acknowledge", async || {
        let messages = sim.screen(CUSTOMER).await;
        (messages.len() == 2 && messages[0]["state"] == "delivered").then_some(())
    })
    .await;
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn messages_wait_for_a_device_that_is_away() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    let path = format!("/sim/phones/{CUSTOMER}/messages");
    sim.ok("POST", &path, json!({"to": BUSINESS, "text": "first"})).await;
    let backend = device.stop().await;
    let mut ids = Vec::new();
    for index in 0..12 {
        let sent = sim.ok("POST", &path, json!({"to": BUSINESS, "text": format!("while away {index}")})).await;
        ids.push(sent["id"].as_str().unwrap().to_owned());
    }
    let device = Device::start(&sim, backend).await;
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(device.inbound(id).await.conversation.unwrap(), format!("while away {index}"));
    }
    eventually("the queue to empty", async || {
        let account = sim.get(&format!("/sim/web/accounts/{BUSINESS}")).await;
        (account["devices"][0]["waiting"] == 0).then_some(())
    })
    .await;
    sim.nothing_unknown().await;
}
