use std::time::Duration;

use barid_whatsapp::{
    Action, Button, Content, Outgoing, Quoted, Sent,
    web::{Options, ReceiptKind, testing::announcement},
};
use serde_json::json;

use super::support::{BUSINESS, CUSTOMER, Device, World, content, receipt, text};
use crate::support::within;

#[tokio::test]
async fn a_message_is_acked_shown_delivered_and_read_under_its_own_id() {
    let (world, connection) = World::connected().await;
    let sent = within(connection.send(text("3EB0A1", "أهلاً"))).await.unwrap();
    assert_eq!(sent, Sent::Acknowledged { provider_id: "3EB0A1".into() });
    receipt(&connection, "3EB0A1", ReceiptKind::Delivered).await;
    receipt(&connection, "3EB0A1", ReceiptKind::Read).await;
    let screen = world.screen().await;
    assert_eq!((&screen[0]["wamid"], &screen[0]["text"], &screen[0]["received"]), (&json!("3EB0A1"), &json!("أهلاً"), &json!(1)));
    assert!(connection.last_ack() < Duration::from_secs(10));
    connection.close().await;
    world.nothing_unknown().await;
}

#[tokio::test]
async fn what_whatsapp_refuses_comes_back_with_its_meaning() {
    let (world, connection) = World::connected().await;
    for (code, action, reason) in [
        (463, Action::PauseNumberAndAlert, "reach_out_locked"),
        (429, Action::PauseSession, "rate_limited"),
        (479, Action::DeadLetter, "malformed"),
    ] {
        world.arm(json!({"kind": "web_nack", "code": code, "count": 1})).await;
        let failure = within(connection.send(text(&format!("3EB0{code}"), "no"))).await.unwrap_err();
        assert_eq!((failure.action, failure.reason), (action, reason));
    }
    within(connection.send(text("3EB0FF", "yes"))).await.unwrap();
    assert_eq!(world.screen().await.len(), 1);
}

#[tokio::test]
async fn without_an_ack_it_is_uncertain_and_shows_once_when_sent_again() {
    let (world, connection) = World::connected_with(|settings| settings.ack_timeout = Duration::from_millis(400), Default::default()).await;
    within(connection.send(text("3EB000", "first contact"))).await.unwrap();
    world.arm(json!({"kind": "web_no_ack", "count": 1})).await;
    let failure = within(connection.send(text("3EB001", "once"))).await.unwrap_err();
    assert_eq!((failure.action, failure.reason), (Action::Uncertain, "no_ack"));
    within(connection.send(text("3EB001", "once"))).await.unwrap();
    let screen = world.screen().await;
    let once: Vec<_> = screen.iter().filter(|message| message["wamid"] == "3EB001").collect();
    assert_eq!((once.len(), &once[0]["received"]), (1, &json!(2)));
}

#[tokio::test]
async fn a_message_that_was_taken_as_the_connection_broke_is_uncertain_and_shows_once() {
    let (world, connection) = World::connected().await;
    within(connection.send(text("3EB000", "first contact"))).await.unwrap();
    world.arm(json!({"kind": "web_close", "at": "accepted", "count": 1})).await;
    let failure = within(connection.send(text("3EB002", "once"))).await.unwrap_err();
    assert_eq!(failure.action, Action::Uncertain);
    let again = within(connection.send(text("3EB003", "never"))).await.unwrap_err();
    assert_eq!((again.action, again.reason), (Action::ReturnAndBackOff, "not_connected"));
    let connection = world.connect().await;
    within(connection.send(text("3EB002", "once"))).await.unwrap();
    let screen = world.screen().await;
    assert_eq!(screen.iter().filter(|message| message["wamid"] == "3EB002").count(), 1);
    assert_eq!(screen.iter().filter(|message| message["wamid"] == "3EB003").count(), 0);
}

#[tokio::test]
async fn every_form_without_a_file_is_shown() {
    let (world, connection) = World::connected().await;
    let asked = world.write(json!({"text": "where?"})).await;
    let quoted = Quoted { provider_id: asked.clone(), from_me: false, text: "where?".into() };
    let here = Content::Location { latitude: 30.05, longitude: 31.23, name: Some("Shop".into()), address: Some("1 Nile St".into()) };
    let card = Content::ContactCard { name: "Mona".into(), phones: vec!["+201000000007".into()] };
    let buttons = Content::Buttons {
        body: "Sure?".into(),
        header: None,
        footer: None,
        buttons: vec![Button { id: "y".into(), title: "Yes".into() }, Button { id: "n".into(), title: "No".into() }],
    };
    let answer = Outgoing { reply_to: Some(quoted), ..text("3EB0F0", "there") };
    for out in [answer, content("3EB0F1", here), content("3EB0F2", card), content("3EB0F3", buttons)] {
        within(connection.send(out)).await.unwrap();
    }
    let reaction = Content::Reaction { provider_id: asked.clone(), from_me: false, emoji: "👍".into() };
    within(connection.send(content("3EB0F4", reaction))).await.unwrap();
    let screen = world.screen().await;
    let find = |id: &str| screen.iter().find(|message| message["wamid"] == id).unwrap_or_else(|| panic!("{id} is not in {screen:?}"));
    assert_eq!((&find("3EB0F0")["text"], &find("3EB0F0")["reply_to"]), (&json!("there"), &json!(asked)));
    assert_eq!(find("3EB0F1")["type"], "location");
    assert_eq!(find("3EB0F2")["type"], "contacts");
    assert_eq!(find("3EB0F3")["text"], "Sure?\n\n1. Yes\n2. No");
    assert_eq!(find(&asked)["reaction"], "👍");
    world.nothing_unknown().await;
}

#[tokio::test]
async fn what_cannot_be_sent_on_web_is_not_tried() {
    let (_world, connection) = World::connected().await;
    let template = Content::Template { name: "x".into(), language: "ar".into(), parameters: vec![], header_document: None };
    let cases = [
        (content("3EB0E0", template), "no_text_form"),
        (Outgoing { wire_id: None, ..text("3EB0E1", "x") }, "no_wire_id"),
        (Outgoing { recipient: "nobody".into(), ..text("3EB0E2", "x") }, "invalid_recipient"),
    ];
    for (out, reason) in cases {
        let failure = within(connection.send(out)).await.unwrap_err();
        assert_eq!((failure.action, failure.reason), (Action::DeadLetter, reason));
    }
}

#[tokio::test]
async fn numbers_are_checked() {
    let (world, connection) = World::connected().await;
    world.ok("PUT", &format!("/sim/phones/{CUSTOMER}"), json!({"on_whatsapp": true})).await;
    world.ok("PUT", "/sim/phones/201009999999", json!({"on_whatsapp": false})).await;
    let asked = [format!("+{CUSTOMER}"), "+201009999999".to_owned()];
    let checks = within(connection.check_numbers(&asked)).await.unwrap();
    assert_eq!(
        checks.iter().map(|check| (check.number.clone(), check.exists)).collect::<Vec<_>>(),
        [(asked[0].clone(), true), (asked[1].clone(), false)]
    );
    assert!(checks[0].lid.is_some() && checks[1].lid.is_none());
    assert!(within(connection.check_numbers(&[])).await.unwrap().is_empty());
}

#[tokio::test]
async fn two_connections_of_two_businesses_share_a_process() {
    let (world, first) = World::connected().await;
    let other = World { cells: Default::default(), sink: Default::default(), ..world };
    let pairing = other.pair();
    let code = super::support::code(&pairing).await;
    other.ok("POST", "/sim/web/accounts/201000000002/scan", json!({"code": code})).await;
    super::support::last(&pairing).await;
    let second = other.connect().await;
    let (a, b) = tokio::join!(first.send(text("3EB0A0", "one")), second.send(text("3EB0B0", "two")));
    assert!(a.is_ok() && b.is_ok());
    assert_ne!(first.own().phone, second.own().phone);
    assert_eq!(first.own().phone.as_deref(), Some(&*format!("+{BUSINESS}")));
}

#[tokio::test]
async fn a_phone_that_lost_its_sessions_asks_again_and_is_answered_by_whoever_is_connected() {
    let (world, connection) = World::connected().await;
    within(connection.send(text("3EB0A0", "hello"))).await.unwrap();
    world.ok("POST", "/sim/web/forget_sessions", json!({"number": CUSTOMER})).await;
    within(connection.send(text("3EB0A1", "do you read me?"))).await.unwrap();
    receipt(&connection, "3EB0A1", ReceiptKind::Delivered).await;
    assert!(world.screen().await.iter().any(|message| message["wamid"] == "3EB0A1" && message["text"] == "do you read me?"));
}

#[tokio::test]
async fn an_account_whose_chats_have_moved_to_lids_is_served() {
    let world = World::start().await;
    world.ok("PUT", &format!("/sim/web/accounts/{BUSINESS}"), json!({"lid_addressing": true})).await;
    world.link().await;
    let connection = world.connect().await;
    within(connection.send(text("3EB0A0", "hello"))).await.unwrap();
    receipt(&connection, "3EB0A0", ReceiptKind::Read).await;
    let id = world.write(json!({"text": "hi"})).await;
    let messages = within(world.sink.at_least(1)).await;
    assert_eq!((messages[0].provider_id.as_str(), messages[0].sender.phone.as_deref()), (&*id, Some(&*format!("+{CUSTOMER}"))));
    assert_eq!(world.screen().await.len(), 2);
}

#[tokio::test]
async fn nobody_looks_online_unless_it_is_asked_for() {
    let (world, connection) = World::connected().await;
    connection.close().await;
    for (presence, expected) in [(false, None), (true, Some("available".to_owned()))] {
        let options = Options { presence, ..Options::default() };
        let connection = Device::read(within(world.web.connect(world.cells.clone(), world.sink.clone(), options)).await.unwrap());
        let announced = async {
            tokio::select! {
                said = announcement(&connection) => said,
                () = async {
                    connection.ready().await.unwrap();
                    connection.send(text(&format!("3EB0A{presence}"), "hello")).await.unwrap();
                    // Longer than anything that the login started and that is still under way.
                    if presence { std::future::pending::<()>().await }
                } => None,
            }
        };
        assert_eq!(within(announced).await, expected);
        within(connection.set_presence(!presence)).await.expect("the name is known again");
        connection.close().await;
    }
}
