use std::{sync::Arc, time::Duration};

use barid_whatsapp::web::{Closed, Kind, Method, Options, PairingEnd, Step, testing::Memory};

use serde_json::json;

use super::support::{BUSINESS, World, code, last};
use crate::support::within;

#[tokio::test]
async fn a_scanned_code_links_and_logs_in_once() {
    let world = World::start().await;
    let Step::Paired { jid, phone, lid, device, .. } = world.link().await else { panic!("it is linked") };
    assert_eq!((jid.as_str(), phone.as_str()), (&*format!("{BUSINESS}@s.whatsapp.net"), &*format!("+{BUSINESS}")));
    assert!(lid.is_some() && device > 0);
    let account = world.account().await;
    assert_eq!(account["devices"][0]["logins"], 1, "{account}");
    assert_eq!(account["devices"][0]["online"], false, "{account}");
    let census = world.cells.census();
    assert_eq!(census[&Kind::Device], 1);
    assert!(census[&Kind::PreKey] <= 40, "{census:?}");
    let connection = world.connect().await;
    assert_eq!(connection.own().phone.as_deref(), Some(&*format!("+{BUSINESS}")));
    connection.close().await;
    world.nothing_unknown().await;
}

#[tokio::test]
async fn an_attempt_that_nobody_scans_ends_and_stores_nothing() {
    let world = World::start_with(|settings| settings.pairing_timeout = Duration::from_millis(300), Default::default()).await;
    let pairing = world.pair();
    code(&pairing).await;
    let Step::Failed { reason } = last(&pairing).await else { panic!("nobody scanned") };
    assert_eq!(reason, PairingEnd::Expired);
    assert!(world.cells.census().is_empty());
}

#[tokio::test]
async fn an_attempt_that_fails_leaves_the_login_that_was_there() {
    let (world, connection) = World::connected().await;
    connection.close().await;
    let before = world.cells.census();
    let pairing = world.pair();
    code(&pairing).await;
    drop(pairing);
    assert_eq!(world.cells.census(), before);
    world.connect().await.close().await;
}

#[tokio::test]
async fn linking_again_replaces_the_old_login() {
    let (world, connection) = World::connected().await;
    let old = connection.own();
    connection.close().await;
    assert!(matches!(world.link().await, Step::Paired { .. }));
    let connection = world.connect().await;
    assert_eq!(connection.own().lid, old.lid);
    connection.close().await;
}

#[tokio::test]
async fn a_server_that_is_away_ends_the_attempt() {
    let mut settings = super::support::settings("http://127.0.0.1:1");
    settings.connect_timeout = Duration::from_secs(1);
    let web = barid_whatsapp::web::Web::new(settings, std::sync::Arc::new(barid_whatsapp::web::testing::Files::default())).unwrap();
    let world = World::start().await;
    for method in [Method::Qr, Method::Code { phone: "+201000000001".into() }] {
        let pairing = web.pair(world.cells.clone(), world.sink.clone(), method, Options::default());
        let step = last(&pairing).await;
        assert!(matches!(step, Step::Failed { reason: PairingEnd::Closed(Closed::Network { .. }) }), "{step:?}");
        assert!(within(pairing.next()).await.is_none());
    }
}

#[tokio::test]
async fn a_typed_code_links() {
    let world = World::start().await;
    let method = Method::Code { phone: format!("+{BUSINESS}") };
    let pairing = world.web.pair(world.cells.clone(), world.sink.clone(), method, Options::default());
    let first = within(pairing.next()).await.unwrap();
    let Step::PairingCode { code, .. } = first else { panic!("only the code is shown, and not {first:?}") };
    world.ok("POST", &format!("/sim/web/accounts/{BUSINESS}/code"), json!({"code": code})).await;
    assert!(matches!(last(&pairing).await, Step::Paired { .. }));
    world.connect().await.close().await;
    world.nothing_unknown().await;
}

#[tokio::test]
async fn a_passkey_is_asked_for_and_its_code_compared() {
    let world = World::start().await;
    world.ok("PUT", &format!("/sim/web/accounts/{BUSINESS}"), json!({"passkey": true})).await;
    let pairing = world.pair();
    let code = code(&pairing).await;
    let prove = async {
        let mut shown = None;
        loop {
            match within(pairing.next()).await.unwrap() {
                Step::Passkey { options_json } => {
                    assert!(options_json.contains("web.whatsapp.com"), "{options_json}");
                    pairing.answer_passkey(r#"{"id": "AQ", "rawId": "AQ", "type": "public-key", "response": {}}"#.into()).await;
                }
                Step::PasskeyCode { code, needs_confirmation } => {
                    shown = Some(code);
                    if needs_confirmation {
                        pairing.confirm_passkey().await;
                    }
                }
                Step::Paired { .. } => break shown,
                Step::Failed { reason } => panic!("{reason:?}"),
                _ => {}
            }
        }
    };
    let (linked, shown) = tokio::join!(world.scan(&code), prove);
    assert_eq!(linked["verification_code"].as_str(), shown.map(|code| code.replace('-', "")).as_deref());
    world.connect().await.close().await;
}

#[tokio::test]
async fn a_passkey_that_is_none_ends_the_attempt() {
    let world = World::start().await;
    world.ok("PUT", &format!("/sim/web/accounts/{BUSINESS}"), json!({"passkey": true})).await;
    let pairing = world.pair();
    let code = code(&pairing).await;
    let scanning = world.http.post(format!("{}/sim/web/accounts/{BUSINESS}/scan", world.url)).json(&json!({"code": code}));
    let scanning = tokio::spawn(scanning.send());
    while !matches!(within(pairing.next()).await.unwrap(), Step::Passkey { .. }) {}
    pairing.answer_passkey("nonsense".into()).await;
    let Step::Failed { reason } = last(&pairing).await else { panic!("it is no passkey") };
    assert_eq!(reason.reason(), "passkey_refused");
    scanning.abort();
}

/// The server closes the stream when the phone has said yes, and that may be noticed before the success is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_devices_are_linked_at_once() {
    let world = World::start().await;
    let link = async |number: usize| {
        let pairing = world.web.pair(Arc::new(Memory::default()), world.sink.clone(), Method::Qr, Options::default());
        let code = code(&pairing).await;
        world.ok("POST", &format!("/sim/web/accounts/2010000001{number:02}/scan"), json!({"code": code})).await;
        last(&pairing).await
    };
    for ended in futures::future::join_all((0..64).map(link)).await {
        assert!(matches!(ended, Step::Paired { .. }), "{ended:?}");
    }
}
