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

#[tokio::test]
async fn the_other_devices_of_a_business_see_what_one_sends() {
    let sim = Simulator::start().await;
    let first = Device::paired(&sim).await;
    let second = Device::paired(&sim).await;
    eventually("the first to have taken the news of the second", async || {
        let account = sim.get(&format!("/sim/web/accounts/{BUSINESS}")).await;
        (account["devices"][0]["waiting"] == 0).then_some(())
    })
    .await;
    let id = "3EB0000000000020";
    first.send(CUSTOMER, id, "from the first").await;
    assert_eq!(first.acknowledged(id).await, None);
    let came = second.inbound(id).await;
    assert_eq!(came.conversation.as_deref(), Some("from the first"));
    second.receipt(id, ReceiptType::Delivered).await;
    let sent = sim.ok("POST", &format!("/sim/phones/{CUSTOMER}/messages"), json!({"to": BUSINESS, "text": "to both"})).await;
    assert_eq!(sent["devices"], 2);
    for device in [&first, &second] {
        device.inbound(sent["id"].as_str().unwrap()).await;
    }
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn one_business_writes_to_another() {
    let sim = Simulator::start().await;
    let first = Device::paired(&sim).await;
    let second = Device::paired_to(&sim, "201000000002").await;
    let id = "3EB0000000000021";
    first.send("201000000002", id, "an order").await;
    assert_eq!(first.acknowledged(id).await, None);
    assert_eq!(second.inbound(id).await.conversation.as_deref(), Some("an order"));
    first.receipt(id, ReceiptType::Delivered).await;
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn a_reset_forgets_businesses_on_web_too() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    sim.ok("POST", "/sim/reset?all=true", json!({})).await;
    assert_eq!(sim.get("/sim/web/accounts").await["accounts"], json!([]));
    device.event("logout", |event| matches!(event, whatsapp_rust::types::events::Event::LoggedOut(_)).then_some(())).await;
}

#[tokio::test]
async fn the_pages_bring_nothing_from_elsewhere() {
    let sim = Simulator::start().await;
    for page in ["", "/devices"] {
        let answer = sim.http.get(format!("{}{page}", sim.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(answer.text().await.unwrap().contains("/sim/web/accounts"));
    }
}
