use serde_json::{Value, json};

use crate::support::{NUMBER, Simulator, WABA, eventually};

async fn simulator() -> Simulator {
    let sim = Simulator::start().await;
    let templates = json!([
        {"waba": WABA, "name": "invoice", "language": "ar", "body": "أهلاً {{1}}، إجمالي فاتورتك {{2}}", "header": "document", "footer": "مغسلة النور"},
        {"waba": WABA, "name": "ready", "language": "pt_BR", "body": "Oi {{1}}, está pronto!", "category": "utility"},
        {"waba": WABA, "name": "paused", "language": "en", "body": "x", "status": "PAUSED"},
        {"waba": WABA, "name": "disabled", "language": "en", "body": "x", "status": "DISABLED"},
        {"waba": WABA, "name": "pending", "language": "en", "body": "x", "status": "PENDING"},
    ]);
    sim.ok("PUT", "/sim/templates", templates).await;
    sim
}

fn template(name: &str, language: &str, parameters: &[&str], header: Value) -> Value {
    let parameters: Vec<Value> = parameters.iter().map(|text| json!({"type": "text", "text": text})).collect();
    let mut components = vec![json!({"type": "body", "parameters": parameters})];
    if !header.is_null() {
        components.push(json!({"type": "header", "parameters": [header]}));
    }
    json!({"type": "template", "biz_opaque_callback_data": "msg_1", "template": {"name": name, "language": {"code": language}, "components": components}})
}

fn pdf() -> Value {
    json!({"type": "document", "document": {"link": "https://files.example/1.pdf", "filename": "1.pdf"}})
}

#[tokio::test]
async fn a_template_passes_outside_the_window_and_appears_filled_in() {
    let sim = simulator().await;
    let (status, answer) = sim.send(template("invoice", "ar", &["سارة", "١٧٫٠٠"], pdf())).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["messages"][0]["message_status"], "accepted");
    let shown = sim.message_in("read").await;
    assert_eq!(shown["text"], "أهلاً سارة، إجمالي فاتورتك ١٧٫٠٠");
    assert_eq!((&shown["footer"], &shown["media"]["filename"]), (&json!("مغسلة النور"), &json!("1.pdf")));
    assert_eq!(shown["template"], json!({"name": "invoice", "language": "ar"}));
    sim.callback.statuses_come(3).await;
    assert_eq!(sim.callback.raw_statuses()[0]["pricing"]["category"], "utility");
}

#[tokio::test]
async fn each_misfit_has_metas_code() {
    let sim = simulator().await;
    let cases = [
        (template("invoice", "en", &["a", "b"], pdf()), 404, 132_001),
        (template("nothing", "ar", &[], Value::Null), 404, 132_001),
        (template("pending", "en", &[], Value::Null), 404, 132_001),
        (template("invoice", "ar", &["a"], pdf()), 400, 132_000),
        (template("ready", "pt_BR", &["a", "b"], Value::Null), 400, 132_000),
        (template("ready", "pt_BR", &["a"], pdf()), 400, 132_000),
        (template("invoice", "ar", &["a", "b"], Value::Null), 400, 132_012),
        (template("ready", "pt_BR", &["a\nb"], Value::Null), 400, 132_012),
        (template("ready", "pt_BR", &["a     b"], Value::Null), 400, 132_012),
        (template("ready", "pt_BR", &[&"x".repeat(1100)], Value::Null), 400, 132_005),
        (template("paused", "en", &[], Value::Null), 400, 132_015),
        (template("disabled", "en", &[], Value::Null), 400, 132_016),
    ];
    for (message, status, code) in cases {
        let answer = sim.send(message.clone()).await;
        assert_eq!((answer.0, &answer.1["error"]["code"]), (status, &json!(code)), "{message}: {}", answer.1);
    }
}

#[tokio::test]
async fn templates_are_managed_as_at_meta() {
    let sim = simulator().await;
    let path = format!("/v23.0/{WABA}/message_templates");
    let new = json!({"name": "reminder", "language": "en", "category": "UTILITY", "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
        {"type": "BODY", "text": "Your order waits, {{1}}", "example": {"body_text": [["Sara"]]}},
        {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Stop"}]},
    ]});
    let created = sim.ok("POST", &path, new.clone()).await;
    assert_eq!(created["status"], "PENDING");
    assert_eq!(sim.call("POST", &path, new).await.0, 400, "the same name and language cannot be created twice");
    let own = format!("/v23.0/{}", created["id"].as_str().unwrap());
    eventually("the approval", async || Some(sim.get(&own).await).filter(|view| view["status"] == "APPROVED")).await;
    let told = eventually("the webhook", async || sim.callback.posts().pop()).await;
    let told: Value = serde_json::from_slice(&told.1).unwrap();
    assert_eq!(told["entry"][0]["changes"][0]["field"], "message_template_status_update");

    let header = json!({"type": "text", "text": "17"});
    assert_eq!(sim.send(template("reminder", "en", &["Sara"], header)).await.0, 200);
    let shown = sim.message_in("read").await;
    assert_eq!((&shown["header"], &shown["buttons"]), (&json!("Order 17"), &json!(["Stop"])));

    let page = sim.get(&format!("{path}?limit=2")).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let rest = sim.get(page["paging"]["next"].as_str().unwrap()).await;
    assert_ne!(rest["data"][0]["id"], page["data"][0]["id"]);
    assert_eq!(sim.get(&format!("{path}?name=reminder")).await["data"].as_array().unwrap().len(), 1);
    let edited = json!({"components": [{"type": "BODY", "text": "New words"}]});
    assert_eq!(sim.ok("POST", &own, edited).await, json!({"success": true}));
    sim.ok("DELETE", &format!("{path}?name=reminder"), Value::Null).await;
    assert_eq!(sim.call("GET", &own, Value::Null).await.0, 400);
}

#[tokio::test]
async fn a_number_describes_itself() {
    let sim = Simulator::start().await;
    let path = format!("/v23.0/{NUMBER}");
    let all = sim.get(&path).await;
    assert_eq!((&all["verified_name"], &all["quality_rating"]), (&json!("Laundry"), &json!("GREEN")));
    let some = sim.get(&format!("{path}?fields=id,verified_name")).await;
    assert_eq!(some, json!({"id": NUMBER, "verified_name": "Laundry"}));
}
