use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{NUMBER, PHONE, Simulator, TOKEN, eventually};

/// Sends with little patience; none when no answer came in time.
async fn impatient(sim: &Simulator, opaque: &str) -> Option<u16> {
    let body =
        json!({"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": "x"}, "biz_opaque_callback_data": opaque});
    let url = format!("{}/v23.0/{NUMBER}/messages", sim.url);
    let request = sim.http.post(url).bearer_auth(TOKEN).timeout(Duration::from_millis(200)).json(&body);
    request.send().await.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn a_timeout_before_accepting_leaves_nothing_behind() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "timeout_before_accept", "count": 1})).await;
    assert_eq!(impatient(&sim, "msg_1").await, None);
    assert_eq!(sim.get("/sim/stats").await["accepted"], 0);
    assert_eq!(impatient(&sim, "msg_1").await, Some(200));
}

#[tokio::test]
async fn a_timeout_after_accepting_leaves_a_message_behind() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "timeout_after_accept", "count": 1})).await;
    assert_eq!(impatient(&sim, "msg_1").await, None);
    sim.callback.statuses_come(3).await;
    assert_eq!(impatient(&sim, "msg_1").await, Some(200), "whoever repeats it blindly");
    let stats = sim.get("/sim/stats").await;
    assert_eq!((&stats["duplicates"], &stats["faults"]["timeout_after_accept"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn server_errors_have_no_body_of_metas() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "http_5xx", "count": 1, "http_status": 502})).await;
    assert_eq!(sim.send_text("x", "msg_1").await, (502, Value::Null));
    assert_eq!(sim.send_text("x", "msg_1").await.0, 200);
}

#[tokio::test]
async fn any_code_can_be_armed_for_one_number_or_recipient() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "error_code", "code": 131_056, "recipient": "+15550001111"})).await;
    sim.arm(json!({"kind": "error_code", "code": 130_429, "count": 1, "retry_after": 7, "http_status": 429, "number": NUMBER})).await;
    let body = json!({"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": "x"}});
    let url = format!("{}/v23.0/{NUMBER}/messages", sim.url);
    let answer = sim.http.post(url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], 130_429);
    assert_eq!(sim.send_text("x", "msg_1").await.0, 200);
    let other = sim.send(json!({"to": "15550001111", "type": "text", "text": {"body": "x"}})).await;
    assert_eq!(other.1["error"]["code"], 131_056);
}

#[tokio::test]
async fn an_accepted_message_can_fail_later() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "error_code", "code": 131_049, "status": "failed", "count": 1})).await;
    assert_eq!(sim.send_text("x", "msg_1").await.0, 200);
    assert_eq!(sim.callback.statuses_come(1).await, [("failed".to_owned(), "msg_1".to_owned())]);
    assert_eq!(sim.get("/sim/stats").await["failed"], 1);
}

#[tokio::test]
async fn webhooks_are_dropped_doubled_and_held_back() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "drop_webhook", "status": "delivered", "count": 1})).await;
    sim.arm(json!({"kind": "duplicate_webhook", "status": "read", "count": 1, "delay_ms": 10})).await;
    sim.arm(json!({"kind": "reorder_webhooks", "status": "sent", "count": 1, "delay_ms": 300})).await;
    sim.send_text("x", "msg_1").await;
    let statuses: Vec<String> = sim.callback.statuses_come(3).await.into_iter().map(|status| status.0).collect();
    assert_eq!(statuses, ["read", "read", "sent"]);
    assert_eq!(sim.message_in("read").await["received"], 1, "the phone is not touched by what happens to webhooks");
}

#[tokio::test]
async fn answers_can_be_late() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "delay", "delay_ms": 150, "count": 1})).await;
    let start = Instant::now();
    assert_eq!(sim.send_text("x", "msg_1").await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn faults_are_listed_and_cleared() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "http_5xx"})).await;
    for _ in 0..3 {
        assert_eq!(sim.send_text("x", "msg_1").await.0, 503);
    }
    let listed = sim.get("/sim/faults").await;
    assert_eq!((&listed["faults"][0]["kind"], &listed["faults"][0]["fired"]), (&json!("http_5xx"), &json!(3)));
    assert_eq!(sim.ok("DELETE", "/sim/faults", Value::Null).await["cleared"], 1);
    assert_eq!(sim.send_text("x", "msg_1").await.0, 200);
    assert_eq!(sim.call("DELETE", "/sim/faults/9", Value::Null).await.0, 404);
    for bad in [
        json!({"kind": "error_code"}),
        json!({"kind": "http_5xx", "http_status": 200}),
        json!({"kind": "flood"}),
        json!({"kind": "http_5xx", "status": "sent"}),
    ] {
        assert_eq!(sim.call("POST", "/sim/faults", bad.clone()).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_hanging_request_does_not_hold_up_the_end() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.arm(json!({"kind": "timeout_before_accept", "count": 1})).await;
    let pending = tokio::spawn({
        let body = json!({"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": "x"}});
        sim.http.post(format!("{}/v23.0/{NUMBER}/messages", sim.url)).bearer_auth(TOKEN).json(&body).send()
    });
    eventually("the fault", async || Some(sim.get("/sim/stats").await).filter(|stats| stats["faults"]["timeout_before_accept"] == 1)).await;
    drop(sim);
    let ended = tokio::time::timeout(Duration::from_secs(5), pending).await.expect("it ended").unwrap();
    assert!(ended.is_err() || ended.is_ok_and(|answer| answer.status() == 504));
}
