use serde_json::{Value, json};

use crate::support::{NUMBER, PHONE, Simulator, TOKEN};

fn code(answer: &(u16, Value)) -> (u16, u64) {
    (answer.0, answer.1["error"]["code"].as_u64().unwrap_or_default())
}

#[tokio::test]
async fn a_text_travels_to_the_phone_and_is_read() {
    let sim = Simulator::start().await;
    sim.customer_writes("هل طلبي جاهز؟").await;
    let (status, answer) = sim.send_text("نعم، طلبك جاهز 🧺", "msg_1").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["messaging_product"], "whatsapp");
    assert_eq!(answer["contacts"], json!([{"input": format!("+{PHONE}"), "wa_id": PHONE}]));
    let wamid = answer["messages"][0]["id"].as_str().unwrap();
    assert!(wamid.starts_with("wamid."));

    let shown = sim.message_in("read").await;
    assert_eq!(shown["text"], "نعم، طلبك جاهز 🧺");
    assert_eq!(shown["wamid"], wamid);
    assert_eq!(shown["received"], 1);
    let statuses = sim.callback.statuses_come(3).await;
    let expected = ["sent", "delivered", "read"].map(|status| (status.to_owned(), "msg_1".to_owned()));
    assert_eq!(statuses, expected);
}

#[tokio::test]
async fn the_same_message_twice_is_counted_as_a_duplicate() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    sim.send_text("once", "msg_1").await;
    sim.send_text("once", "msg_1").await;
    sim.send_text("another", "msg_2").await;
    let stats = sim.get("/sim/stats").await;
    assert_eq!((&stats["accepted"], &stats["distinct"], &stats["duplicates"]), (&json!(3), &json!(2), &json!(1)));
    let received: Vec<Value> = sim.shown().await.iter().map(|message| message["received"].clone()).collect();
    assert_eq!(received, [2, 2, 1]);
    assert_eq!(sim.get(&format!("/sim/phones/{PHONE}")).await["duplicates"], 1);
}

#[tokio::test]
async fn free_text_needs_an_open_window() {
    let sim = Simulator::start().await;
    let refused = sim.send_text("hello", "msg_1").await;
    assert_eq!(code(&refused), (400, 131_047));
    assert_eq!(refused.1["error"]["type"], "OAuthException");
    assert_eq!(refused.1["error"]["error_data"]["messaging_product"], "whatsapp");
    assert!(refused.1["error"]["fbtrace_id"].is_string());

    sim.customer_writes("hi").await;
    assert_eq!(sim.send_text("hello", "msg_1").await.0, 200);

    let window = json!({"number": NUMBER, "last_wrote": "2020-01-01T00:00:00Z"});
    sim.ok("PUT", &format!("/sim/phones/{PHONE}/window"), window).await;
    assert_eq!(code(&sim.send_text("hello", "msg_2").await), (400, 131_047));
}

#[tokio::test]
async fn late_errors_come_by_webhook() {
    let mut config = crate::support::swift();
    config.meta.late_errors = true;
    let sim = Simulator::with(config).await;
    assert_eq!(sim.send_text("hello", "msg_1").await.0, 200);
    assert_eq!(sim.callback.statuses_come(1).await, [("failed".to_owned(), "msg_1".to_owned())]);
    assert_eq!(sim.callback.raw_statuses()[0]["errors"][0]["code"], 131_047);
    assert_eq!(sim.message_in("failed").await["failed"]["code"], 131_047);
}

#[tokio::test]
async fn a_phone_without_whatsapp_is_undeliverable() {
    let sim = Simulator::start().await;
    sim.ok("PUT", &format!("/sim/phones/{PHONE}"), json!({"on_whatsapp": false})).await;
    assert_eq!(code(&sim.send_text("hello", "msg_1").await), (400, 131_026));
}

#[tokio::test]
async fn tokens_and_numbers_are_checked() {
    let sim = Simulator::start().await;
    let post = |number: &str, token: &str, version: &str| {
        let url = format!("{}/{version}/{number}/messages", sim.url);
        let body = json!({"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": "x"}});
        let request = sim.http.post(url).bearer_auth(token).json(&body);
        async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    assert_eq!(code(&post(NUMBER, "wrong", "v23.0").await), (401, 190));
    let unknown = post("999", TOKEN, "v23.0").await;
    assert_eq!((code(&unknown), &unknown.1["error"]["error_subcode"]), ((400, 100), &json!(33)));
    assert_eq!(post(NUMBER, TOKEN, "latest").await.0, 404);
    let naked = sim.http.get(format!("{}/v23.0/{NUMBER}", sim.url)).send().await.unwrap();
    assert_eq!(naked.status(), 401);
}

#[tokio::test]
async fn malformed_messages_are_refused() {
    let sim = Simulator::start().await;
    sim.customer_writes("hi").await;
    let long = "ا".repeat(4097);
    let button = |title: &str| json!({"type": "reply", "reply": {"id": title, "title": title}});
    let buttons = |buttons: Vec<Value>| json!({"type": "interactive", "interactive": {"type": "button", "body": {"text": "?"}, "action": {"buttons": buttons}}});
    let malformed = [
        json!({"messaging_product": "sms", "type": "text", "text": {"body": "x"}}),
        json!({"recipient_type": "group", "type": "text", "text": {"body": "x"}}),
        json!({"type": "text", "text": {"body": ""}}),
        json!({"type": "text", "text": {"body": long}}),
        json!({"type": "text"}),
        json!({"type": "fax", "fax": {}}),
        json!({"type": "document", "document": {"link": "ftp://x"}}),
        json!({"type": "document", "document": {"id": "1"}}),
        json!({"type": "image", "image": {}}),
        json!({"type": "location", "location": {"latitude": 91, "longitude": 0}}),
        json!({"type": "contacts", "contacts": []}),
        buttons(vec![]),
        buttons(vec![button("a"), button("b"), button("c"), button("d")]),
        buttons(vec![button("a"), button("a")]),
        buttons(vec![button(&"x".repeat(21))]),
    ];
    for message in malformed {
        let answer = sim.send(message.clone()).await;
        assert_eq!(code(&answer), (400, 100), "{message}: {}", answer.1);
    }
    assert_eq!(code(&sim.send(json!({"to": "my friend", "type": "text", "text": {"body": "x"}})).await), (400, 131_009));
    assert_eq!(sim.shown().await.len(), 0);
    assert_eq!(sim.get("/sim/stats").await["rejected"], 16);
}

#[tokio::test]
async fn every_kind_of_message_appears() {
    let sim = Simulator::start().await;
    let customers = sim.customer_writes("hi").await;
    let rows = json!([{"id": "1", "title": "Wash", "description": "40 °C"}]);
    let link = "https://files.example/invoice.pdf";
    let messages = [
        json!({"type": "text", "text": {"body": "x".repeat(4096)}}),
        json!({"type": "document", "document": {"link": link, "filename": "invoice.pdf", "caption": "Your invoice"}}),
        json!({"type": "image", "image": {"link": link}}),
        json!({"type": "video", "video": {"link": link}}),
        json!({"type": "audio", "audio": {"link": link}}),
        json!({"type": "location", "location": {"latitude": 30.04, "longitude": 31.23, "name": "Laundry"}}),
        json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "Sara"}}]}),
        json!({"type": "interactive", "interactive": {"type": "list", "body": {"text": "?"}, "action": {"button": "Choose", "sections": [{"rows": rows}]}}}),
        json!({"type": "reaction", "reaction": {"message_id": customers["id"], "emoji": "👍"}}),
        json!({"type": "text", "text": {"body": "reply"}, "context": {"message_id": customers["id"]}}),
    ];
    let count = messages.len();
    for message in messages {
        let (status, answer) = sim.send(message.clone()).await;
        assert_eq!(status, 200, "{message}: {answer}");
    }
    let shown = sim.shown().await;
    assert_eq!(shown.len(), count);
    assert_eq!(
        (&shown[1]["media"]["link"], &shown[1]["media"]["filename"], &shown[1]["text"]),
        (&json!(link), &json!("invoice.pdf"), &json!("Your invoice"))
    );
    assert_eq!(shown[7]["buttons"], json!(["Wash"]));
    assert_eq!(shown[9]["reply_to"], customers["id"]);
    let phone = sim.get(&format!("/sim/phones/{PHONE}")).await;
    assert_eq!(phone["conversations"][0]["messages"][0]["reaction"], "👍");
}

#[tokio::test]
async fn the_business_marks_a_message_read() {
    let sim = Simulator::start().await;
    let id = sim.customer_writes("hi").await["id"].clone();
    let path = format!("/v23.0/{NUMBER}/messages");
    let body = |id: &Value| json!({"messaging_product": "whatsapp", "status": "read", "message_id": id});
    assert_eq!(sim.ok("POST", &path, body(&id)).await, json!({"success": true}));
    let phone = sim.get(&format!("/sim/phones/{PHONE}")).await;
    assert!(phone["conversations"][0]["messages"][0]["read_at"].is_string());
    assert_eq!(sim.call("POST", &path, body(&json!("wamid.unknown"))).await.0, 400);
}
