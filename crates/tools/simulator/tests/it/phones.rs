use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{NUMBER, PHONE, Simulator, eventually, swift};

#[tokio::test]
async fn an_offline_phone_gets_its_messages_when_it_is_back() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    let path = format!("/sim/phones/{PHONE}");
    sim.ok("PUT", &path, json!({"offline": true})).await;
    sim.send_text("hello", "msg_1").await;
    sim.callback.statuses_come(1).await;
    assert_eq!(sim.message_in("sent").await["delivered_at"], Value::Null);
    sim.ok("PUT", &path, json!({"offline": false})).await;
    sim.message_in("read").await;
    sim.callback.statuses_come(3).await;
}

#[tokio::test]
async fn reading_by_hand() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    let path = format!("/sim/phones/{PHONE}");
    sim.ok("PUT", &path, json!({"auto_read": false})).await;
    sim.send_text("hello", "msg_1").await;
    sim.message_in("delivered").await;
    assert_eq!(sim.callback.statuses_come(2).await.len(), 2);
    assert_eq!(sim.get("/sim/phones").await["phones"][0]["unread"], 1);
    assert_eq!(sim.ok("POST", &format!("{path}/read"), json!({})).await["read"], 1);
    sim.message_in("read").await;
    sim.callback.statuses_come(3).await;
    assert_eq!(sim.ok("POST", &format!("{path}/read"), json!({})).await["read"], 0);
}

#[tokio::test]
async fn old_messages_are_forgotten_but_their_statuses_are_told() {
    let mut config = swift();
    config.phones.messages_kept = 5;
    config.delays.sent = Duration::from_millis(200);
    let sim = Simulator::with(config).await;
    sim.customer_writes("hi").await;
    for index in 0..20 {
        sim.send_text("hello", &format!("msg_{index}")).await;
    }
    sim.callback.statuses_come(60).await;
    let phone = sim.get(&format!("/sim/phones/{PHONE}")).await;
    assert_eq!(phone["truncated"], 16, "of twenty messages and the customer's own, five are kept");
    assert_eq!(sim.shown().await.len(), 5);
    assert_eq!(sim.get("/sim/stats").await["distinct"], 20);
}

#[tokio::test]
async fn the_list_shows_the_newest_first_and_can_be_searched() {
    let sim = Simulator::start().await;
    for phone in ["5511999990001", "5511999990002"] {
        sim.ok("PUT", &format!("/sim/phones/+{phone}"), json!({"name": format!("Ana {}", &phone[12..])})).await;
        sim.ok("POST", &format!("/sim/phones/{phone}/messages"), json!({"to": NUMBER, "text": "Oi"})).await;
    }
    let list = sim.get("/sim/phones").await;
    assert_eq!((&list["total"], &list["phones"][0]["wa_id"]), (&json!(2), &json!("5511999990002")));
    assert_eq!(list["phones"][0]["last"]["text"], "Oi");
    assert_eq!(sim.get("/sim/phones?q=0001").await["total"], 1);
    assert_eq!(sim.get("/sim/phones?q=Ana&limit=1").await["phones"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn looking_at_an_untouched_phone_is_no_error() {
    let sim = Simulator::start().await;
    assert_eq!(sim.get("/sim/phones/15550001111").await["conversations"], json!([]));
    assert_eq!(sim.call("GET", "/sim/phones/mine", Value::Null).await.0, 400);
    assert_eq!(sim.get("/sim/stats").await["phones"], 0);
}

#[tokio::test]
async fn a_reset_forgets_messages_and_keeps_the_business() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.send_text("hello", "msg_1").await;
    sim.message_in("read").await;
    sim.ok("POST", "/sim/reset", json!({})).await;
    assert!(sim.shown().await.is_empty());
    let stats = sim.get("/sim/stats").await;
    assert_eq!((&stats["accepted"], &stats["phones"]), (&json!(0), &json!(0)));
    assert_eq!(sim.get("/sim/numbers").await["numbers"].as_array().unwrap().len(), 1);
    sim.ok("POST", "/sim/reset?all=true", json!({})).await;
    assert_eq!(sim.get("/sim/numbers").await["numbers"], json!([]));
}

#[tokio::test]
async fn bad_control_calls_say_what_is_wrong() {
    let sim = Simulator::start().await;
    let message = |answer: (u16, Value)| (answer.0, answer.1["error"]["message"].as_str().unwrap_or_default().to_owned());
    let number = json!({"display_phone_number": "1", "token": "t", "app": "nobody"});
    let (status, text) = message(sim.call("PUT", "/sim/numbers/5", number).await);
    assert!(status == 400 && text.contains("nobody"), "{text}");
    let (status, text) = message(sim.call("POST", &format!("/sim/phones/{PHONE}/messages"), json!({"to": "404", "text": "x"})).await);
    assert!(status == 404 && text.contains("404"), "{text}");
    let (status, text) = message(sim.call("PUT", &format!("/sim/phones/{PHONE}"), json!({"online": true})).await);
    assert!(status == 400 && text.contains("online"), "{text}");
}

#[tokio::test]
async fn the_page_is_served() {
    let sim = Simulator::start().await;
    let page = eventually("the page", async || sim.http.get(&sim.url).send().await.ok()).await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert!(page.text().await.unwrap().contains("dir"));
}
