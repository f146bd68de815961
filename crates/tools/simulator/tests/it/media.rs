use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{NUMBER, Simulator, TOKEN};

async fn upload(sim: &Simulator, mime_type: &str, bytes: Vec<u8>) -> (u16, Value) {
    let file = Part::bytes(bytes).file_name("file").mime_str(mime_type).unwrap();
    let form = Form::new().text("messaging_product", "whatsapp").text("type", mime_type.to_owned()).part("file", file);
    let request = sim.http.post(format!("{}/v23.0/{NUMBER}/media", sim.url)).bearer_auth(TOKEN).multipart(form);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn media_is_uploaded_read_sent_and_deleted() {
    let sim = Simulator::start().await;
    let (status, uploaded) = upload(&sim, "application/pdf", b"%PDF-1.7".to_vec()).await;
    assert_eq!(status, 200, "{uploaded}");
    let id = uploaded["id"].as_str().unwrap();
    let meta = sim.get(&format!("/v23.0/{id}")).await;
    assert_eq!((&meta["mime_type"], &meta["file_size"]), (&json!("application/pdf"), &json!(8)));
    let url = meta["url"].as_str().unwrap();
    let bytes = sim.http.get(url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(bytes.headers()["content-type"], "application/pdf");
    assert_eq!(bytes.bytes().await.unwrap().as_ref(), b"%PDF-1.7");
    assert_eq!(sim.http.get(url).send().await.unwrap().status(), 401);

    sim.customer_writes("hi").await;
    assert_eq!(sim.send(json!({"type": "document", "document": {"id": id}})).await.0, 200);
    sim.ok("DELETE", &format!("/v23.0/{id}"), Value::Null).await;
    assert_eq!(sim.call("GET", &format!("/v23.0/{id}"), Value::Null).await.0, 400);
    assert_eq!(sim.send(json!({"type": "document", "document": {"id": id}})).await.0, 400);
}

#[tokio::test]
async fn what_is_too_large_or_of_no_known_type_is_refused() {
    let sim = Simulator::start().await;
    let (status, answer) = upload(&sim, "image/png", vec![0; 5 * 1024 * 1024 + 1]).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(131_053)));
    let (status, answer) = upload(&sim, "chemical/x-pdb", vec![0]).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(100)));
}
