use std::sync::Arc;

use serde_json::{Value, json};
use wacore_libsignal::protocol::{KeyPair, PrivateKey};
use whatsapp_rust::{
    pair_code::PairCodeOptions,
    passkey::Assertion,
    types::events::Event,
    wacore::store::{CachedNoiseCert, CachedServerCertChain, InMemoryBackend, traits::DeviceStore as _},
    waproto,
};

use crate::{
    support::{Simulator, eventually},
    web_support::{BUSINESS, Device},
};

#[tokio::test]
async fn a_device_links_by_its_code_and_logs_in() {
    let sim = Simulator::start().await;
    sim.ok("PUT", &format!("/sim/web/accounts/{BUSINESS}"), json!({"name": "مغسلة النور"})).await;
    let device = Device::paired(&sim).await;
    let (jid, name) = device
        .event("pairing", |event| match event {
            Event::PairSuccess(pair) => Some((pair.id.to_string(), pair.business_name.clone())),
            _ => None,
        })
        .await;
    assert_eq!((jid.as_str(), name.as_str()), (&*format!("{BUSINESS}:1@s.whatsapp.net"), "مغسلة النور"));
    let account = sim.get(&format!("/sim/web/accounts/{BUSINESS}")).await;
    assert_eq!((&account["devices"][0]["online"], &account["devices"][0]["logins"]), (&json!(true), &json!(1)));
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn codes_that_no_device_shows_are_refused() {
    let sim = Simulator::start().await;
    let device = Device::start(&sim, Arc::new(InMemoryBackend::new())).await;
    let code = device.code().await;
    let path = format!("/sim/web/accounts/{BUSINESS}/scan");
    let (reference, rest) = code.split_once(',').unwrap();
    let other = format!("{}x,{rest}", &reference[..reference.len() - 1]);
    let turned: String = rest.split(',').rev().collect::<Vec<_>>().join(",");
    for wrong in ["nonsense", &other, &format!("{reference},{turned}")] {
        assert_eq!(sim.call("POST", &path, json!({"code": wrong})).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_linked_device_logs_in_again_by_the_short_handshake() {
    let sim = Simulator::start().await;
    let backend = Device::paired(&sim).await.stop().await;
    let device = Device::start(&sim, backend).await;
    device.connected().await;
    let account = sim.get(&format!("/sim/web/accounts/{BUSINESS}")).await;
    assert_eq!((&account["devices"][0]["logins"], &account["devices"][0]["handshake"]), (&json!(2), &json!("ik")));
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn a_picture_of_the_code_will_do() {
    let sim = Simulator::start().await;
    let device = Device::start(&sim, Arc::new(InMemoryBackend::new())).await;
    let picture = picture(&device.code().await);
    let path = format!("{}/sim/web/accounts/{BUSINESS}/scan", sim.url);
    let linked: Value = sim.http.post(path).body(picture).send().await.unwrap().json().await.unwrap();
    assert_eq!(linked["device"], 1, "{linked}");
    device.connected().await;
}

/// A PNG with a code on it, four pixels per module and a quiet zone.
fn picture(text: &str) -> Vec<u8> {
    const SCALE: usize = 4;
    const QUIET: usize = 4;
    let code = qrcode::QrCode::new(text).unwrap();
    let side = code.width() + 2 * QUIET;
    let dark = |x: usize, y: usize| {
        let inside = |at: usize| (QUIET..side - QUIET).contains(&at);
        inside(x) && inside(y) && code[(x - QUIET, y - QUIET)] == qrcode::Color::Dark
    };
    let pixels: Vec<u8> = (0..side * SCALE)
        .flat_map(|y| (0..side * SCALE).map(move |x| (x, y)))
        .map(|(x, y)| if dark(x / SCALE, y / SCALE) { 0 } else { 255 })
        .collect();
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, (side * SCALE) as u32, (side * SCALE) as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    picture
}

#[tokio::test]
async fn a_device_links_by_a_code_that_is_typed() {
    let sim = Simulator::start().await;
    let device = Device::start(&sim, Arc::new(InMemoryBackend::new())).await;
    device.code().await;
    let options = PairCodeOptions { phone_number: BUSINESS.into(), ..Default::default() };
    let code = device.client.pair_with_code(options).await.unwrap();
    let path = format!("/sim/web/accounts/{BUSINESS}/code");
    let typed = format!("{}-{}", &code[..4], code[4..].to_lowercase());
    let linked = sim.ok("POST", &path, json!({"code": typed})).await;
    assert_eq!(linked["number"], BUSINESS);
    device.connected().await;
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn a_wrong_code_links_nothing() {
    let sim = Simulator::start().await;
    let path = format!("/sim/web/accounts/{BUSINESS}/code");
    assert_eq!(sim.call("POST", &path, json!({"code": "ABCDEFGH"})).await.0, 400, "no device waits");
    let device = Device::start(&sim, Arc::new(InMemoryBackend::new())).await;
    device.code().await;
    let options = PairCodeOptions { phone_number: BUSINESS.into(), custom_code: Some("ABCDEFGH".into()), ..Default::default() };
    device.client.pair_with_code(options).await.unwrap();
    let (status, answer) = sim.call("POST", &path, json!({"code": "ABCDEFGJ"})).await;
    assert!(status == 400, "{answer}");
    assert_eq!(sim.call("GET", &format!("/sim/web/accounts/{BUSINESS}"), Value::Null).await.1["devices"], Value::Null);
}

#[tokio::test]
async fn a_passkey_stands_before_the_link() {
    let sim = Simulator::start().await;
    sim.ok("PUT", &format!("/sim/web/accounts/{BUSINESS}"), json!({"passkey": true})).await;
    let device = Device::start(&sim, Arc::new(InMemoryBackend::new())).await;
    let code = device.code().await;
    let path = format!("/sim/web/accounts/{BUSINESS}/scan");
    let prove = async {
        let options = device
            .event("request for a passkey", |event| match event {
                Event::PairPasskeyRequest(request) => Some(request.request_options_json.clone()),
                _ => None,
            })
            .await;
        assert!(options.contains("web.whatsapp.com"), "{options}");
        let assertion = Assertion { assertion_json: b"{}".to_vec(), credential_id: vec![1] };
        device.client.send_passkey_response(assertion).await.unwrap();
        let shown = device
            .event("code to compare", |event| match event {
                Event::PairPasskeyConfirmation(confirmation) => Some(confirmation.code.clone()),
                _ => None,
            })
            .await;
        device.client.send_passkey_confirmation().await.unwrap();
        shown
    };
    let (linked, shown) = tokio::join!(sim.ok("POST", &path, json!({"code": code})), prove);
    assert_eq!(linked["verification_code"].as_str().unwrap(), shown.replace('-', ""));
    device.connected().await;
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn a_device_logs_itself_out() {
    let sim = Simulator::start().await;
    let device = Device::paired(&sim).await;
    device.client.logout().await;
    eventually("the device to be unlinked", async || {
        let account = sim.get(&format!("/sim/web/accounts/{BUSINESS}")).await;
        (account["devices"] == json!([])).then_some(())
    })
    .await;
    sim.nothing_unknown().await;
}

#[tokio::test]
async fn provisioned_devices_log_in_and_send() {
    let sim = Simulator::start().await;
    let made = sim.ok("POST", "/sim/web/devices", json!({"first": "201200000000", "count": 3})).await;
    assert_eq!(made["devices"].as_array().unwrap().len(), 3);
    let backend = Arc::new(InMemoryBackend::new());
    backend.save(&provisioned(&made["server"], &made["devices"][2])).await.unwrap();
    let device = Device::start(&sim, backend).await;
    device.connected().await;
    device.send("201001234567", "3EB0DE0000000001", "hello").await;
    assert_eq!(device.acknowledged("3EB0DE0000000001").await, None);
    let account = sim.get("/sim/web/accounts/201200000002").await;
    assert_eq!(account["devices"][0]["handshake"], "ik");
    sim.nothing_unknown().await;
}

/// The client's own record of a device that the server made.
fn provisioned(server: &Value, made: &Value) -> whatsapp_rust::wacore::store::Device {
    let bytes = |value: &Value| -> [u8; 32] { hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap() };
    let pair = |value: &Value| {
        let private = PrivateKey::deserialize(&bytes(value)).unwrap();
        KeyPair::new(private.public_key().unwrap(), private)
    };
    let certificate = |key| CachedNoiseCert { key, not_before: 0, not_after: i64::MAX };
    let mut device = whatsapp_rust::wacore::store::Device::new();
    device.pn = made["jid"].as_str().unwrap().parse().ok();
    device.lid = made["lid"].as_str().unwrap().parse().ok();
    device.push_name = made["name"].as_str().unwrap().into();
    device.registration_id = made["registration_id"].as_u64().unwrap() as u32;
    device.noise_key = pair(&made["noise_private"]);
    device.identity_key = pair(&made["identity_private"]);
    device.signed_pre_key = pair(&made["signed_prekey_private"]);
    device.signed_pre_key_id = 1;
    device.signed_pre_key_signature = hex::decode(made["signed_prekey_signature"].as_str().unwrap()).unwrap().try_into().unwrap();
    device.adv_secret_key = bytes(&made["adv_secret"]);
    let account = hex::decode(made["account"].as_str().unwrap()).unwrap();
    device.account = Some(Arc::new(waproto::codec::adv_signed_device_identity_decode(&account).unwrap()));
    device.server_cert_chain = Some(CachedServerCertChain { intermediate: certificate([0; 32]), leaf: certificate(bytes(&server["key"])) });
    device
}
