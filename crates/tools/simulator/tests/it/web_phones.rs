use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use whatsapp_rust::{
    UploadOptions,
    types::{events::Event, presence::ReceiptType},
    wacore::download::MediaType,
    waproto::{
        buffa::MessageField,
        whatsapp::{Message, message::DocumentMessage, message::protocol_message::Type},
    },
};

use crate::{
    support::{Simulator, eventually},
    web_support::{BUSINESS, CUSTOMER, Device},
};

const ID: &str = "3EB0AC0000000001";

impl Simulator {
    async fn act(&self, act: Value) -> Value {
        self.ok("POST", &format!("/sim/phones/{CUSTOMER}/act"), act).await
    }

    async fn write(&self, message: Value) -> String {
        let sent = self.ok("POST", &format!("/sim/phones/{CUSTOMER}/messages"), message).await;
        sent["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_document_reaches_the_phone_as_it_was() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    let plain = b"%PDF-1.7 an invoice".to_vec();
    let uploaded = device.client.upload(plain.clone(), MediaType::Document, UploadOptions::default()).await.unwrap();
    let document = DocumentMessage {
        url: Some(uploaded.url.clone()),
        direct_path: Some(uploaded.direct_path.clone()),
        mimetype: Some("application/pdf".into()),
        file_name: Some("فاتورة.pdf".into()),
        caption: Some("your invoice".into()),
        media_key: Some(uploaded.media_key.to_vec()),
        file_sha256: Some(uploaded.file_sha256.to_vec()),
        file_enc_sha256: Some(uploaded.file_enc_sha256.to_vec()),
        file_length: Some(uploaded.file_length),
        ..Default::default()
    };
    device.send_message(CUSTOMER, ID, Message { document_message: MessageField::some(document), ..Default::default() }).await;
    device.acknowledged(ID).await;
    let shown = sim.screen(CUSTOMER).await;
    assert_eq!(
        (&shown[0]["type"], &shown[0]["text"], &shown[0]["media"]["filename"]),
        (&json!("document"), &json!("your invoice"), &json!("فاتورة.pdf"))
    );
    let kept = sim.http.get(shown[0]["media"]["link"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(kept.headers()["content-type"], "application/pdf");
    assert_eq!(kept.bytes().await.unwrap(), plain);
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn a_picture_from_a_customer_can_be_fetched() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    let picture = json!({"data": BASE64_STANDARD.encode(b"a picture"), "mime_type": "image/png", "caption": "look"});
    let id = sim.write(json!({"to": BUSINESS, "message": {"type": "image", "image": picture}})).await;
    let came = device.inbound(&id).await;
    let image = came.image_message.as_option().unwrap();
    assert_eq!(image.caption.as_deref(), Some("look"));
    assert_eq!(device.client.download(image).await.unwrap(), b"a picture");
}

#[tokio::test]
async fn a_phone_with_new_keys_asks_for_the_message_again() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    // Once the phone has written, the client no longer introduces itself in each message.
    let id = sim.write(json!({"to": BUSINESS, "text": "hi"})).await;
    device.inbound(&id).await;
    device.send(CUSTOMER, "3EB0AC0000000010", "before").await;
    device.receipt("3EB0AC0000000010", ReceiptType::Read).await;
    sim.ok("POST", "/sim/web/forget_sessions", json!({"number": CUSTOMER})).await;
    device.send(CUSTOMER, ID, "after").await;
    device.receipt(ID, ReceiptType::Delivered).await;
    let shown = sim.screen(CUSTOMER).await;
    assert_eq!((shown.len(), &shown[2]["text"], &shown[2]["received"]), (3, &json!("after"), &json!(1)));
    assert_eq!(sim.get("/sim/stats").await["unopened"], 1);
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn an_app_installed_anew_reads_what_comes_next() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    device.send(CUSTOMER, "3EB0AC0000000020", "before").await;
    device.receipt("3EB0AC0000000020", ReceiptType::Read).await;
    assert_eq!(sim.act(json!({"do": "reinstall"})).await["installs"], 1);
    device.event("change of keys", |event| matches!(event, Event::IdentityChange(_)).then_some(())).await;
    device.send(CUSTOMER, ID, "after").await;
    device.receipt(ID, ReceiptType::Delivered).await;
    assert_eq!(sim.screen(CUSTOMER).await[1]["text"], "after");
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn reactions_edits_and_deletions_reach_the_business() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    device.send(CUSTOMER, ID, "hello").await;
    device.receipt(ID, ReceiptType::Read).await;
    let reacted = sim.act(json!({"do": "react", "message": ID, "emoji": "👍"})).await;
    let reaction = device.inbound(reacted["id"].as_str().unwrap()).await;
    let reaction = reaction.reaction_message.as_option().unwrap().clone();
    assert_eq!((reaction.text.as_deref(), reaction.key.id.as_deref()), (Some("👍"), Some(ID)));
    assert_eq!(sim.screen(CUSTOMER).await[0]["reaction"], "👍");

    let written = sim.write(json!({"to": BUSINESS, "text": "two shirts"})).await;
    let edited = sim.act(json!({"do": "edit", "message": written, "text": "three shirts"})).await;
    let edited = device.inbound(edited["id"].as_str().unwrap()).await;
    let protocol = edited.protocol_message.as_option().unwrap();
    assert_eq!((protocol.r#type, protocol.edited_message.conversation.as_deref()), (Some(Type::MESSAGE_EDIT), Some("three shirts")));

    let deleted = sim.act(json!({"do": "delete", "message": written})).await;
    let deleted = device.inbound(deleted["id"].as_str().unwrap()).await;
    assert_eq!(deleted.protocol_message.r#type, Some(Type::REVOKE));
    let shown = sim.screen(CUSTOMER).await;
    assert_eq!((&shown[1]["edited"], &shown[1]["deleted"]), (&json!(true), &json!(true)));
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn a_blocked_business_is_acknowledged_and_not_shown() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    sim.act(json!({"do": "block", "number": BUSINESS})).await;
    device.send(CUSTOMER, ID, "hello?").await;
    assert_eq!(device.acknowledged(ID).await, None);
    assert!(sim.screen(CUSTOMER).await.is_empty());
    sim.act(json!({"do": "unblock", "number": BUSINESS})).await;
    device.send(CUSTOMER, "3EB0AC0000000002", "hello").await;
    device.receipt("3EB0AC0000000002", ReceiptType::Delivered).await;
}

#[tokio::test]
async fn an_offline_phone_tells_when_it_is_back() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    let path = format!("/sim/phones/{CUSTOMER}");
    sim.ok("PUT", &path, json!({"offline": true})).await;
    device.send(CUSTOMER, ID, "hello").await;
    device.acknowledged(ID).await;
    assert_eq!(sim.screen(CUSTOMER).await[0]["state"], "sent");
    sim.ok("PUT", &path, json!({"offline": false})).await;
    device.receipt(ID, ReceiptType::Read).await;
}

#[tokio::test]
async fn reading_and_playing_by_hand() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    sim.ok("PUT", &format!("/sim/phones/{CUSTOMER}"), json!({"auto_read": false})).await;
    device.send(CUSTOMER, ID, "hello").await;
    device.receipt(ID, ReceiptType::Delivered).await;
    assert_eq!(sim.ok("POST", &format!("/sim/phones/{CUSTOMER}/read"), json!({})).await["read"], 1);
    device.receipt(ID, ReceiptType::Read).await;
    sim.act(json!({"do": "play", "message": ID})).await;
    device.receipt(ID, ReceiptType::Played).await;
}

#[tokio::test]
async fn numbers_are_looked_up() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    sim.ok("PUT", "/sim/phones/15550001111", json!({"on_whatsapp": false})).await;
    let jids = [whatsapp_rust::Jid::pn(CUSTOMER), whatsapp_rust::Jid::pn("15550001111")];
    let found = device.client.contacts().is_on_whatsapp(&jids).await.unwrap();
    let on: Vec<bool> = found.iter().map(|found| found.is_registered).collect();
    assert_eq!(on, [true, false]);
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn chats_may_be_addressed_by_hidden_identities() {
    let sim = Simulator::start().await;
    sim.ok("PUT", &format!("/sim/web/accounts/{BUSINESS}"), json!({"lid_addressing": true})).await;
    let device = Device::paired(&sim).await;
    let id = sim.write(json!({"to": BUSINESS, "text": "hi"})).await;
    let (chat, alias) = device
        .event("message", |event| {
            let inbound = event.messages().find(|inbound| inbound.info.id == id)?;
            Some((inbound.info.source.chat.to_string(), inbound.info.source.sender_alt.as_ref().map(ToString::to_string)))
        })
        .await;
    assert!(chat.ends_with("@lid"), "{chat}");
    assert_eq!(alias.as_deref(), Some(&*format!("{CUSTOMER}@s.whatsapp.net")));
    device.send(CUSTOMER, ID, "hello").await;
    device.receipt(ID, ReceiptType::Read).await;
    eventually("the answer on the phone", async || (sim.screen(CUSTOMER).await.len() == 2).then_some(())).await;
    sim.nothing_unknown().await;
}
