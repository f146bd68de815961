use std::time::Duration;

use barid_domain::Secret;
use barid_whatsapp::{
    Action, Button, Connector, Content, Media, Outgoing, Quoted, Row, Section, Sent,
    cloud::{Number, Session},
};
use serde_json::json;

use crate::support::{PHONE, TOKEN, WABA, WhatsApp, number, text};

#[tokio::test]
async fn every_kind_of_content_arrives() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.open_window().await;
    let template = json!({"waba": WABA, "name": "invoice", "language": "ar", "body": "أهلاً {{1}}، الإجمالي {{2}}", "header": "document"});
    whatsapp.control("PUT", "/sim/templates", template).await;
    let media = || Media { url: "https://files.example/فاتورة.pdf".into(), filename: Some("فاتورة.pdf".into()) };
    let contents = [
        Content::Text { body: "*أهلاً* 🧺\nسطر ثان".into() },
        Content::Document { media: media(), caption: Some("فاتورتك".into()) },
        Content::Image { media: media(), caption: None },
        Content::Template {
            name: "invoice".into(),
            language: "ar".into(),
            parameters: vec!["سارة".into(), "١٧".into()],
            header_document: Some(media()),
        },
    ];
    let session = Session { client: whatsapp.client.clone(), number: number() };
    let mut ids = Vec::new();
    for (index, content) in contents.into_iter().enumerate() {
        let out = Outgoing { content, ..text(&format!("msg_{index}"), "") };
        let Sent::Acknowledged { provider_id } = session.send(out).await.unwrap();
        ids.push(provider_id);
    }
    let shown = whatsapp.shown().await;
    assert_eq!(shown.iter().map(|message| message["wamid"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    assert_eq!(shown[0]["text"], "*أهلاً* 🧺\nسطر ثان");
    assert_eq!((&shown[1]["text"], &shown[1]["media"]["filename"]), (&json!("فاتورتك"), &json!("فاتورة.pdf")));
    assert_eq!(shown[2]["type"], "image");
    assert_eq!((&shown[3]["text"], &shown[3]["media"]["type"]), (&json!("أهلاً سارة، الإجمالي ١٧"), &json!("document")));
    assert_eq!(shown[3]["biz_opaque_callback_data"], "msg_3");
}

#[tokio::test]
async fn places_cards_choices_and_answers_arrive() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.open_window().await;
    let sound = Media { url: "https://x/a.ogg".into(), filename: None };
    let buttons = vec![Button { id: "yes".into(), title: "Yes".into() }];
    let sections = vec![Section { title: None, rows: vec![Row { id: "1".into(), title: "Wash".into(), description: None }] }];
    let contents = [
        ("location", Content::Location { latitude: 30.05, longitude: 31.23, name: Some("Shop".into()), address: None }),
        ("contacts", Content::ContactCard { name: "Mona".into(), phones: vec!["+201000000007".into()] }),
        ("audio", Content::Audio { media: sound.clone(), voice: true }),
        ("video", Content::Video { media: sound, caption: None }),
        ("interactive", Content::Buttons { body: "Sure?".into(), header: None, footer: None, buttons }),
        ("interactive", Content::List { body: "What?".into(), header: None, footer: None, button: "Choose".into(), sections }),
    ];
    let mut first = None;
    for (index, (kind, content)) in contents.into_iter().enumerate() {
        let reply_to = first.clone().map(|provider_id| Quoted { provider_id, from_me: true, text: String::new() });
        let out = Outgoing { content, reply_to, ..text(&format!("msg_{index}"), "") };
        let Sent::Acknowledged { provider_id } = whatsapp.send(&out).await.unwrap();
        let shown = whatsapp.shown().await;
        assert_eq!((&shown[index]["type"], &shown[index]["reply_to"]), (&json!(kind), &json!(first)));
        first.get_or_insert(provider_id);
    }
    let reaction = Content::Reaction { provider_id: first.unwrap(), from_me: true, emoji: "👍".into() };
    whatsapp.send(&Outgoing { content: reaction, ..text("msg_9", "") }).await.unwrap();
    assert_eq!(whatsapp.shown().await[0]["reaction"], "👍");
}

#[tokio::test]
async fn what_meta_refuses_comes_back_with_its_meaning() {
    let whatsapp = WhatsApp::start().await;
    let failure = whatsapp.send(&text("msg_1", "hello")).await.unwrap_err();
    assert_eq!((failure.action, failure.reason), (Action::NeedsTemplate, "window_closed"));

    let content = Content::Template { name: "none".into(), language: "ar".into(), parameters: vec![], header_document: None };
    let missing = Outgoing { content, ..text("msg_1", "") };
    let failure = whatsapp.send(&missing).await.unwrap_err();
    assert_eq!((failure.action, failure.reason), (Action::DeadLetter, "template_mismatch"));

    let nobody = Outgoing { recipient: "nobody".into(), ..text("msg_1", "x") };
    assert_eq!(whatsapp.send(&nobody).await.unwrap_err().reason, "invalid_request");

    whatsapp.control("PUT", &format!("/sim/phones/{PHONE}"), json!({"on_whatsapp": false})).await;
    assert_eq!(whatsapp.send(&text("msg_1", "x")).await.unwrap_err().reason, "undeliverable");

    let stranger = Number { access_token: Secret::new("EAAGm0PX4ZCpsBAKx1y2z3w4v5u6t7s8"), ..number() };
    let failure = whatsapp.client.send(&stranger, &text("msg_1", "x")).await.unwrap_err();
    assert_eq!((failure.action, failure.reason), (Action::StopSession, "token_invalid"));

    let gone = Number { phone_number_id: "999".into(), access_token: Secret::new(TOKEN) };
    let failure = whatsapp.client.send(&gone, &text("msg_1", "x")).await.unwrap_err();
    assert_eq!((failure.action, failure.reason), (Action::StopSession, "number_unknown"));
    assert_eq!(whatsapp.stats().await["accepted"], 0);
}

#[tokio::test]
async fn each_code_of_the_table_means_the_same_over_the_wire() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.open_window().await;
    let codes = [
        (190, Action::StopSession),
        (10, Action::StopSession),
        (200, Action::StopSession),
        (100, Action::DeadLetter),
        (132_000, Action::DeadLetter),
        (132_001, Action::DeadLetter),
        (132_005, Action::DeadLetter),
        (132_007, Action::DeadLetter),
        (132_012, Action::DeadLetter),
        (4, Action::PauseSession),
        (80_007, Action::PauseSession),
        (130_429, Action::PauseSession),
        (131_056, Action::DelayRecipient),
        (131_048, Action::PauseNumberAndAlert),
        (368, Action::PauseNumberAndAlert),
        (131_049, Action::DeadLetter),
        (130_472, Action::DeadLetter),
        (131_047, Action::NeedsTemplate),
        (131_026, Action::DeadLetter),
        (131_042, Action::StopSession),
        (131_031, Action::StopSession),
        (132_015, Action::PauseTemplate),
        (132_016, Action::PauseTemplate),
        (133_010, Action::StopSession),
        (1, Action::ReturnAndBackOff),
        (2, Action::ReturnAndBackOff),
        (131_000, Action::ReturnAndBackOff),
        (987_654, Action::Retry),
    ];
    for (code, action) in codes {
        whatsapp.arm(json!({"kind": "error_code", "code": code, "count": 1})).await;
        let failure = whatsapp.send(&text("msg_1", "x")).await.unwrap_err();
        assert_eq!(failure.action, action, "{code}: {failure}");
        assert!(failure.detail.starts_with(&code.to_string()), "{failure}");
    }
    assert_eq!(whatsapp.stats().await["accepted"], 0);
}

#[tokio::test]
async fn a_pause_is_as_long_as_meta_asks() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.open_window().await;
    whatsapp.arm(json!({"kind": "error_code", "code": 130_429, "retry_after": 17, "count": 1})).await;
    let failure = whatsapp.send(&text("msg_1", "x")).await.unwrap_err();
    assert_eq!(failure.retry_after, Some(Duration::from_secs(17)));
}

#[tokio::test]
async fn an_unknown_outcome_is_never_called_safe() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.open_window().await;
    for (fault, reason) in
        [("timeout_before_accept", "no_answer"), ("timeout_after_accept", "no_answer"), ("http_5xx", "unexpected_answer")]
    {
        whatsapp.arm(json!({"kind": fault, "count": 1})).await;
        let failure = whatsapp.send(&text("msg_1", "x")).await.unwrap_err();
        assert_eq!((failure.action, failure.reason), (Action::Uncertain, reason), "{fault}");
    }
    assert_eq!(whatsapp.stats().await["accepted"], 1, "one of the three was sent");
}

#[test]
fn tokens_numbers_and_words_never_show() {
    let shown = format!("{:?} {:?}", number(), text("msg_1", "secret words"));
    assert!(shown.contains("msg_1"), "{shown}");
    assert!(![TOKEN, PHONE, "secret words"].iter().any(|secret| shown.contains(secret)), "{shown}");
}
