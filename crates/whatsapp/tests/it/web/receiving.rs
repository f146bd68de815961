use std::time::Duration;

use barid_whatsapp::web::{Alias, Chat, Closed, Event, InboundKind, Kind, ReceiptKind};
use serde_json::json;

use super::support::{CUSTOMER, World, closed, event, receipt, text};
use crate::support::within;

#[tokio::test]
async fn what_a_customer_writes_is_committed_with_who_wrote_it() {
    let (world, connection) = World::connected().await;
    let id = world.write(json!({"text": "هل طلبي جاهز؟"})).await;
    let messages = within(world.sink.at_least(1)).await;
    let message = &messages[0];
    assert_eq!(message.provider_id, id);
    assert_eq!(message.kind, InboundKind::Text { body: "هل طلبي جاهز؟".into() });
    assert_eq!(message.sender.phone.as_deref(), Some(&*format!("+{CUSTOMER}")));
    assert!(matches!(&message.chat, Chat::Person(person) if person == &message.sender));
    assert!(!message.from_me);
    connection.close().await;
    assert!(!world.cells.census().contains_key(&Kind::Pending), "what is committed is not kept");
    world.nothing_unknown().await;
}

#[tokio::test]
async fn reactions_edits_and_deletions_name_their_message() {
    let (world, connection) = World::connected().await;
    within(connection.send(text("3EB0A1", "hello"))).await.unwrap();
    let id = world.write(json!({"text": "tow shirts"})).await;
    within(world.sink.at_least(1)).await;
    world.act(json!({"do": "react", "message": "3EB0A1", "emoji": "👍"})).await;
    world.act(json!({"do": "edit", "message": id, "text": "two shirts"})).await;
    world.act(json!({"do": "delete", "message": id})).await;
    let kinds: Vec<_> = within(world.sink.at_least(4)).await.into_iter().map(|message| message.kind).collect();
    assert!(kinds.contains(&InboundKind::Reaction { target_id: "3EB0A1".into(), emoji: Some("👍".into()) }));
    assert!(kinds.contains(&InboundKind::Edit { target_id: id.clone(), body: "two shirts".into() }));
    assert!(kinds.contains(&InboundKind::Deletion { target_id: id }));
}

#[tokio::test]
async fn what_is_not_committed_is_handed_over_again() {
    let (world, connection) = World::connected().await;
    world.sink.refuse(1);
    let id = world.write(json!({"text": "remember me"})).await;
    let reason = closed(&connection).await;
    assert!(matches!(reason, Closed::Store { .. }), "{reason:?}");
    assert!(world.sink.messages().is_empty());
    let _connection = world.connect().await;
    let messages = within(world.sink.at_least(1)).await;
    assert_eq!(messages[0].provider_id, id);
}

#[tokio::test]
async fn what_was_written_while_nobody_was_connected_arrives() {
    let (world, connection) = World::connected().await;
    connection.close().await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(world.write(json!({"text": format!("number {number}")})).await);
    }
    let connection = world.connect().await;
    let messages = within(world.sink.at_least(20)).await;
    assert_eq!(messages.iter().map(|message| message.provider_id.clone()).collect::<Vec<_>>(), ids);
    assert!(connection.is_open());
}

/// The queue holds four events and nobody reads it, while fifty receipts come.
#[tokio::test]
async fn a_reader_that_is_slow_loses_nothing_and_holds_back_the_socket() {
    let world = World::start_with(|settings| settings.event_queue = 4, Default::default()).await;
    world.link().await;
    let connection = world.connect_unread().await;
    world.ok("PUT", &format!("/sim/phones/{CUSTOMER}"), json!({"offline": true, "auto_read": false})).await;
    for number in 0..50 {
        within(connection.send(text(&format!("3EB0{number:02}"), "hello"))).await.unwrap();
        while connection.waiting_events() > 0 {
            connection.next_event().await;
        }
    }
    world.ok("PUT", &format!("/sim/phones/{CUSTOMER}"), json!({"offline": false})).await;
    let full = async {
        while connection.waiting_events() < 4 {
            tokio::task::yield_now().await;
        }
    };
    within(full).await;
    // What is read ahead is what came in the frames before the queue was full.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let held = connection.waiting_events();
    assert!(held < 50, "the socket is not held back: {held} events wait");
    let mut delivered = std::collections::BTreeSet::new();
    while delivered.len() < 50 {
        if let Some(Event::Receipt(receipt)) = within(connection.next_event()).await {
            receipt.hold.release();
            delivered.extend(receipt.provider_ids);
        }
    }
}

/// A replica that dies between hearing a receipt and the ledger's commit has confirmed nothing.
#[tokio::test]
async fn a_receipt_that_was_not_kept_is_told_again() {
    let world = World::start().await;
    world.link().await;
    let connection = world.connect_unread().await;
    within(connection.send(text("3EB0A1", "hello"))).await.unwrap();
    let heard = loop {
        match within(connection.next_event()).await {
            Some(Event::Receipt(receipt)) if receipt.provider_ids == ["3EB0A1"] => break receipt,
            Some(_) => {}
            None => panic!("the connection ended"),
        }
    };
    assert_eq!(heard.kind, ReceiptKind::Delivered);
    // Nothing leaves, not even what was asked for.
    let more = tokio::time::timeout(Duration::from_millis(500), connection.send(text("3EB0A2", "more"))).await;
    assert!(more.is_err(), "{more:?}");
    assert!(!world.screen().await.iter().any(|message| message["wamid"] == "3EB0A2"));
    world.ok("POST", "/sim/web/restart", json!({})).await;
    connection.close().await;

    let connection = world.connect().await;
    receipt(&connection, "3EB0A1", ReceiptKind::Delivered).await;
    within(connection.send(text("3EB0A3", "goes on"))).await.unwrap();
}

#[tokio::test]
async fn number_and_lid_are_told_to_be_one_person() {
    let (world, connection) = World::connected().await;
    within(connection.send(text("3EB0A1", "hello"))).await.unwrap();
    let alias = event(&connection, |event| match event {
        Event::Alias(alias) => Some(alias.clone()),
        _ => None,
    })
    .await;
    let Alias { phone, lid } = alias;
    assert_eq!(phone, format!("+{CUSTOMER}"));
    assert!(!lid.is_empty());
    let check = within(connection.check_numbers(&[phone])).await.unwrap();
    assert_eq!(check[0].lid.as_deref(), Some(&*lid));
    drop(world);
}

#[tokio::test]
async fn a_new_phone_is_told_and_still_reached() {
    let (world, connection) = World::connected().await;
    within(connection.send(text("3EB0A1", "hello"))).await.unwrap();
    world.act(json!({"do": "reinstall"})).await;
    event(&connection, |event| matches!(event, Event::IdentityChanged(_)).then_some(())).await;
    within(connection.send(text("3EB0A2", "still there?"))).await.unwrap();
    let screen = world.screen().await;
    assert!(screen.iter().any(|message| message["wamid"] == "3EB0A2"), "{screen:?}");
}
