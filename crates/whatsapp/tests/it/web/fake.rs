//! Servers that are no WhatsApp.

use std::{sync::Arc, time::Duration};

use barid_simulator::Simulator;
use barid_whatsapp::web::{Closed, Next, Options, Settings, Web, testing::Files};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_websockets::{Message, ServerBuilder};

use super::support::{World, quick, settings, text};
use crate::support::within;

async fn connect(world: &World, settings: Settings) -> Closed {
    let web = Web::new(settings, Arc::new(Files::default())).unwrap();
    let error = within(web.connect(world.cells.clone(), world.sink.clone(), Options::default())).await.unwrap_err();
    error.reason
}

async fn linked() -> World {
    let (world, connection) = World::connected().await;
    connection.close().await;
    world
}

#[tokio::test]
async fn one_that_says_nothing_is_given_up_in_time() {
    let world = linked().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&format!("http://{}", listener.local_addr().unwrap()));
    settings.login_timeout = Duration::from_millis(300);
    settings.connect_timeout = Duration::from_millis(200);
    // It is never accepted, so that the upgrade is never answered.
    let reason = connect(&world, settings.clone()).await;
    assert!(matches!(reason, Closed::Network { .. }), "{reason:?}");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok((_, mut socket)) = ServerBuilder::new().accept(stream).await else { return };
        while socket.next().await.is_some() {}
    });
    let (stream, _) = (connect(&world, settings).await, ());
    assert!(matches!(stream, Closed::LoginTimedOut | Closed::Network { .. }), "{stream:?}");
}

#[tokio::test]
async fn one_that_answers_with_garbage_is_not_believed() {
    let world = linked().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let Ok((_, mut socket)) = ServerBuilder::new().accept(stream).await else { return };
                let _ = socket.next().await;
                let _ = socket.send(Message::binary([0_u8, 0, 4, 1, 2, 3, 4].to_vec())).await;
                while socket.next().await.is_some() {}
            });
        }
    });
    // The first time the remembered key may be what is wrong; the second time there is none.
    let first = connect(&world, settings.clone()).await;
    assert!(matches!(first, Closed::Network { .. }), "{first:?}");
    let second = connect(&world, settings).await;
    assert!(matches!(second, Closed::Untrusted { .. }), "{second:?}");
    assert_eq!(second.next(), Next::Alarm);
    world.connect().await.close().await;
}

/// The same numbers and devices behind another server key: the client asks for its certificate anew.
#[tokio::test]
async fn tls_is_checked_against_the_extra_root() {
    let directory = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (directory.path().join("tls.pem"), directory.path().join("tls.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = free.local_addr().unwrap();
    drop(free);
    let mut config = quick();
    config.web.listen_tls = tls.to_string();
    config.web.certificate = certificate.clone();
    config.web.private_key = key;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let simulator = Simulator::build(config, listener).await.unwrap();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let plain = simulator.url();
    tokio::spawn(simulator.run(stop));

    let mut world = World::start().await;
    let url = format!("wss://localhost:{}/ws/chat", tls.port());
    let media_url = Some(format!("https://localhost:{}", tls.port()));
    let trusting = Settings { url: url.clone(), media_url: media_url.clone(), root_certificate: Some(certificate), ..settings(&plain) };
    world.url = plain.clone();
    world.web = Web::new(trusting, Arc::new(Files::default())).unwrap();
    world.link().await;
    let connection = world.connect().await;
    within(connection.send(text("3EB0A1", "over TLS"))).await.unwrap();
    connection.close().await;

    let strict = Settings { url, media_url, ..settings(&plain) };
    let reason = connect(&world, strict).await;
    assert!(matches!(reason, Closed::Untrusted { .. }), "{reason:?}");
}
