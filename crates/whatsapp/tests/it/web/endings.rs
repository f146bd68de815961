use std::{sync::Arc, time::Duration};

use barid_whatsapp::web::{Closed, Next, Options, Web, testing::Files};
use serde_json::json;

use super::support::{BUSINESS, World, closed, settings, text};
use crate::support::within;

#[tokio::test]
async fn each_end_says_what_it_means() {
    let cases = [
        (json!({"kind": "web_replaced"}), Closed::Replaced, Next::Alarm),
        (json!({"kind": "web_stream_error", "code": 503}), Closed::Restart { code: 503 }, Next::Reconnect),
        (json!({"kind": "web_stream_error", "code": 515}), Closed::Restart { code: 515 }, Next::Reconnect),
        (json!({"kind": "web_stream_error", "code": 429}), Closed::RateLimited, Next::Pause(Duration::from_secs(900))),
        (json!({"kind": "web_removed"}), Closed::LoggedOut, Next::PairAgain),
    ];
    let world = World::start().await;
    world.link().await;
    for (fault, expected, next) in cases {
        let connection = world.connect().await;
        world.arm(fault).await;
        let reason = closed(&connection).await;
        assert_eq!((&reason, reason.next()), (&expected, next));
        assert!(!connection.is_open());
        assert!(within(connection.next_event()).await.is_none());
    }
}

#[tokio::test]
async fn a_connection_that_breaks_says_so() {
    let (world, connection) = World::connected().await;
    world.arm(json!({"kind": "web_close"})).await;
    let reason = closed(&connection).await;
    assert!(matches!(reason, Closed::Network { .. }), "{reason:?}");
    assert_eq!(reason.next(), Next::BackOff);
}

#[tokio::test]
async fn a_refused_login_says_why() {
    let (world, connection) = World::connected().await;
    connection.close().await;
    let ban = json!({"kind": "web_ban", "at": "login", "count": 1, "code": 101, "delay_ms": 7_200_000});
    let cases = [
        (ban, Closed::TemporaryBan { code: 101, lasts: Duration::from_secs(7200) }),
        (json!({"kind": "web_refused", "at": "login", "count": 1, "code": 405}), Closed::Outdated),
        (json!({"kind": "web_refused", "at": "login", "count": 1, "code": 403}), Closed::Locked),
        (json!({"kind": "web_refused", "at": "login", "count": 1, "code": 503}), Closed::Restart { code: 503 }),
        (json!({"kind": "web_refused", "at": "login", "count": 1, "code": 409}), Closed::Refused { code: 409 }),
        (json!({"kind": "web_refused", "at": "login", "count": 1, "code": 401}), Closed::LoggedOut),
    ];
    for (fault, expected) in cases {
        world.arm(fault).await;
        let error = within(world.web.connect(world.cells.clone(), world.sink.clone(), Options::default())).await.unwrap_err();
        assert_eq!(error.reason, expected);
    }
    world.connect().await.close().await;
}

#[tokio::test]
async fn a_lost_lease_closes_at_once_and_nothing_is_sent_any_more() {
    let (world, connection) = World::connected().await;
    within(connection.send(text("3EB0A1", "mine"))).await.unwrap();
    world.cells.lose_lease();
    within(connection.send(text("3EB0A2", "whose?"))).await.unwrap_err();
    assert_eq!(closed(&connection).await, Closed::Stale);
    let failure = within(connection.send(text("3EB0A3", "not mine"))).await.unwrap_err();
    assert_eq!(failure.reason, "not_connected");
    assert_eq!(world.screen().await.len(), 1);
}

/// A process that was stopped in the middle of a login, and goes on when another has the session, would end the other's connection.
#[tokio::test]
async fn a_login_under_a_lost_lease_does_not_reach_whatsapp() {
    let (world, connection) = World::connected().await;
    let before = world.account().await["devices"][0].clone();
    world.cells.lose_lease();
    let login = world.web.connect(world.cells.clone(), world.sink.clone(), Options::default());
    assert_eq!(within(login).await.unwrap_err().reason, Closed::Stale);
    assert_eq!(world.account().await["devices"][0]["logins"], before["logins"]);
    drop(connection);
}

#[tokio::test]
async fn a_session_that_is_not_linked_is_not_tried() {
    let world = World::start().await;
    let error = within(world.web.connect(world.cells.clone(), world.sink.clone(), Options::default())).await.unwrap_err();
    assert_eq!((error.reason.clone(), error.reason.next()), (Closed::NotPaired, Next::PairAgain));
}

#[tokio::test]
async fn a_server_that_is_away_is_told_from_a_refusal() {
    let (world, connection) = World::connected().await;
    connection.close().await;
    let web = Web::new(settings("http://127.0.0.1:1"), Arc::new(Files::default())).unwrap();
    let error = within(web.connect(world.cells.clone(), world.sink.clone(), Options::default())).await.unwrap_err();
    assert!(matches!(error.reason, Closed::Network { .. }), "{error:?}");
}

#[tokio::test]
async fn closing_and_logging_out_are_told_apart() {
    let (world, connection) = World::connected().await;
    within(connection.close()).await;
    assert_eq!(closed(&connection).await, Closed::Asked);
    let connection = world.connect().await;
    within(connection.logout()).await;
    let account = world.account().await;
    assert_eq!(account["devices"].as_array().map(Vec::len), Some(0), "{account}");
    let error = within(world.web.connect(world.cells.clone(), world.sink.clone(), Options::default())).await.unwrap_err();
    assert_eq!(error.reason, Closed::LoggedOut);
}

#[tokio::test]
async fn a_dropped_connection_goes_offline() {
    let world = World::start().await;
    world.link().await;
    let connection = world.connect_unread().await;
    drop(connection);
    let gone = async {
        while world.account().await["devices"][0]["online"] == true {
            tokio::task::yield_now().await;
        }
    };
    within(gone).await;
    assert_eq!(world.account().await["number"], BUSINESS);
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let (world, connection) = World::connected().await;
    world.ok("POST", "/sim/web/restart", json!({"down_ms": 0})).await;
    let reason = closed(&connection).await;
    assert!(matches!(reason, Closed::Network { .. } | Closed::Restart { .. }), "{reason:?}");
    let connection = world.connect().await;
    within(connection.send(text("3EB0A1", "back again"))).await.unwrap();
}
