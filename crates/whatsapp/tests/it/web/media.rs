use std::collections::HashMap;

use barid_whatsapp::{
    Action, Content, Media,
    web::{Inbound, InboundKind, MediaKind, MediaPointer, testing::Files},
};
use serde_json::json;

use super::support::{World, content, file};
use crate::support::within;

const LIMIT: u64 = 200_000;

fn files() -> Files {
    let big = vec![7_u8; 200_001];
    Files(HashMap::from([
        ("https://x/i.pdf".to_owned(), file(b"%PDF-1.7 invoice", "application/pdf")),
        ("https://x/i.png".to_owned(), file(&[9; 100_000], "image/png")),
        ("https://x/a.ogg".to_owned(), file(&[5; 70_000], "audio/ogg")),
        ("https://x/v.mp4".to_owned(), file(&[3; 70_000], "video/mp4")),
        ("https://x/big".to_owned(), file(&big, "image/png")),
    ]))
}

fn media(url: &str) -> Media {
    Media { url: format!("https://x/{url}"), filename: None }
}

#[tokio::test]
async fn files_arrive_as_they_were() {
    let (world, connection) = World::connected_with(|settings| settings.media_limit = LIMIT, files()).await;
    let named = Media { filename: Some("فاتورة.pdf".into()), ..media("i.pdf") };
    let contents = [
        ("document", Content::Document { media: named, caption: Some("فاتورتك".into()) }, &b"%PDF-1.7 invoice"[..]),
        ("image", Content::Image { media: media("i.png"), caption: Some("look".into()) }, &[9; 100_000]),
        ("audio", Content::Audio { media: media("a.ogg"), voice: true }, &[5; 70_000]),
        ("video", Content::Video { media: media("v.mp4"), caption: None }, &[3; 70_000]),
    ];
    for (index, (kind, what, bytes)) in contents.into_iter().enumerate() {
        within(connection.send(content(&format!("3EB00{index}"), what))).await.unwrap();
        let screen = world.screen().await;
        let shown = screen.iter().find(|message| message["wamid"] == format!("3EB00{index}")).unwrap();
        assert_eq!(shown["type"], kind, "{shown}");
        let link = shown["media"]["link"].as_str().unwrap_or_else(|| panic!("the phone cannot open it: {shown}"));
        let opened = reqwest::get(link).await.unwrap().bytes().await.unwrap();
        assert_eq!(opened, bytes, "{kind}");
    }
    let screen = world.screen().await;
    assert_eq!((&screen[0]["text"], &screen[0]["media"]["filename"]), (&json!("فاتورتك"), &json!("فاتورة.pdf")));
    world.nothing_unknown().await;
}

#[tokio::test]
async fn files_that_cannot_be_had_are_told_apart() {
    let (world, connection) = World::connected_with(|settings| settings.media_limit = LIMIT, files()).await;
    for (url, reason) in [("big", "media_too_large"), ("none", "media_refused")] {
        let failure = within(connection.send(content("3EB0A0", Content::Image { media: media(url), caption: None }))).await.unwrap_err();
        assert_eq!((failure.action, failure.reason), (Action::DeadLetter, reason));
    }
    assert!(world.screen().await.is_empty());
}

#[tokio::test]
async fn a_file_of_a_customer_is_downloaded_on_demand() {
    let (world, connection) = World::connected().await;
    use base64::{Engine, engine::general_purpose::STANDARD};
    let bytes = vec![4_u8; 50_000];
    let image = json!({"caption": "this stain", "mime_type": "image/jpeg", "data": STANDARD.encode(&bytes)});
    world.write(json!({"message": {"type": "image", "image": image}})).await;
    let messages: Vec<Inbound> = within(world.sink.at_least(1)).await;
    let InboundKind::Image { media, caption } = &messages[0].kind else { panic!("an image: {:?}", messages[0]) };
    assert_eq!(caption.as_deref(), Some("this stain"));
    let stored: MediaPointer = serde_json::from_str(&serde_json::to_string(media).unwrap()).unwrap();
    assert_eq!(within(connection.download(&stored, 1 << 20)).await.unwrap(), bytes);
    let failure = within(connection.download(&stored, 1000)).await.unwrap_err();
    assert_eq!((failure.action, failure.reason), (Action::DeadLetter, "media_too_large"));
    let gone = MediaPointer { direct_path: "/v/none".into(), kind: MediaKind::Image, ..stored.clone() };
    assert_eq!(within(connection.download(&gone, 1 << 20)).await.unwrap_err().reason, "media_gone");
    let forged = MediaPointer { media_key: vec![1; 32], ..stored };
    assert_eq!(within(connection.download(&forged, 1 << 20)).await.unwrap_err().reason, "media_unavailable");
}
