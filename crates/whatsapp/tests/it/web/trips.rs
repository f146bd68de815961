//! How often the store is asked: it is a network away.

use std::sync::Arc;

use barid_whatsapp::web::{Cells, Change, testing};
use serde_json::json;

use super::support::{World, text};
use crate::support::within;

#[tokio::test]
async fn a_login_reads_once_and_a_send_to_a_known_contact_writes_once() {
    let (world, connection) = World::connected().await;
    within(connection.send(text("3EB0A0", "first contact"))).await.unwrap();
    connection.close().await;

    world.cells.trips();
    let connection = world.connect().await;
    let (loads, gets, writes) = world.cells.trips();
    assert_eq!((loads, gets), (1, 0));
    assert!(writes <= 3, "{writes}");

    within(connection.send(text("3EB0A1", "the first of this connection"))).await.unwrap();
    let (loads, gets, writes) = world.cells.trips();
    assert!(loads == 0 && gets <= 2 && writes <= 2, "{loads} loads, {gets} gets, {writes} writes");

    for number in 0..10 {
        within(connection.send(text(&format!("3EB0B{number}"), "again"))).await.unwrap();
    }
    let (loads, gets, writes) = world.cells.trips();
    assert_eq!((loads, gets), (0, 0));
    assert!(writes <= 20, "{writes}");
    connection.close().await;
}

/// A connection that is over leaves nothing behind that holds on to it.
#[tokio::test]
async fn what_is_closed_is_freed() {
    let (world, connection) = World::connected().await;
    within(connection.send(text("3EB0A0", "hello"))).await.unwrap();
    world.write(json!({"text": "hi"})).await;
    within(world.sink.at_least(1)).await;
    connection.close().await;
    drop(connection);
    let freed = async {
        while Arc::strong_count(&world.sink) > 1 || Arc::strong_count(&world.cells) > 1 {
            tokio::task::yield_now().await;
        }
    };
    within(freed).await;
}

#[tokio::test]
async fn devices_that_the_simulator_makes_log_in() {
    let world = World::start().await;
    let made = world.ok("POST", "/sim/web/devices", json!({"first": "201200000000", "count": 2})).await;
    let cell = testing::login(&made["server"], &made["devices"][1]).expect("a device as it should be");
    world.cells.write(vec![Change::Put(cell)]).await.unwrap();
    let connection = world.connect().await;
    within(connection.send(text("3EB0A0", "hello"))).await.unwrap();
    assert_eq!(connection.own().phone.as_deref(), Some("+201200000001"));
}
