//! How often the store is asked: it is a network away.

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
    println!("login: {loads} loads, {gets} gets, {writes} writes");
    assert_eq!((loads, gets), (1, 0));

    within(connection.send(text("3EB0A1", "the first of this connection"))).await.unwrap();
    let (loads, gets, writes) = world.cells.trips();
    println!("first send: {loads} loads, {gets} gets, {writes} writes");

    for number in 0..10 {
        within(connection.send(text(&format!("3EB0B{number}"), "again"))).await.unwrap();
    }
    let (loads, gets, writes) = world.cells.trips();
    println!("ten sends: {loads} loads, {gets} gets, {writes} writes");
    assert_eq!((loads, gets), (0, 0));
    assert!(writes <= 20, "{writes}");
    connection.close().await;
}
