//! A simulated WhatsApp with one business on it, and the app that its webhooks call.

use std::{future::Future, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use barid_domain::Secret;
use barid_simulator::{App, Config};
use barid_whatsapp::{
    Content, Failure, Outgoing, Sent,
    cloud::{
        Client, Number, Settings,
        webhook::{self, Change},
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const NUMBER: &str = "100001";
pub const TOKEN: &str = "token-of-the-laundry";
pub const WABA: &str = "200001";
pub const SECRET: &str = "app-secret";
pub const PHONE: &str = "+201001234567";

pub struct WhatsApp {
    pub client: Client,
    pub changes: mpsc::Receiver<Change>,
    url: String,
    http: reqwest::Client,
    _stop: DropGuard,
}

pub fn settings(base_url: &str) -> Settings {
    Settings { base_url: base_url.into(), request_timeout: Duration::from_millis(500), ..Settings::default() }
}

pub fn number() -> Number {
    Number { phone_number_id: NUMBER.into(), access_token: Secret::new(TOKEN) }
}

pub fn text(message_id: &str, body: &str) -> Outgoing {
    let content = Content::Text { body: body.into() };
    Outgoing { message_id: message_id.into(), wire_id: None, recipient: PHONE.into(), content, reply_to: None }
}

impl WhatsApp {
    pub async fn start() -> Self {
        let (sender, changes) = mpsc::channel(1000);
        let hook = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callback_url = format!("http://{}/", hook.local_addr().unwrap());
        let app = Router::new().route("/", post(receive)).with_state(sender);
        tokio::spawn(axum::serve(hook, app).into_future());

        let mut config = Config::default();
        for delay in [&mut config.delays.sent, &mut config.delays.delivered, &mut config.delays.read, &mut config.delays.jitter] {
            *delay = Duration::ZERO;
        }
        config.webhooks.batch_wait = Duration::ZERO;
        config.apps.insert("barid".into(), App { app_secret: Secret::new(SECRET), verify_token: Secret::default(), callback_url });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(barid_simulator::serve(config, listener, stop.clone()));

        let client = Client::new(&settings(&url)).unwrap();
        let whatsapp = Self { client, changes, url, http: reqwest::Client::new(), _stop: stop.drop_guard() };
        let business = json!({"display_phone_number": "+20 2 1234 5678", "verified_name": "Laundry", "token": TOKEN, "waba_id": WABA});
        whatsapp.control("PUT", &format!("/sim/numbers/{NUMBER}"), business).await;
        whatsapp
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url)).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// The customer writes, which opens the window, and the webhook of it is taken.
    pub async fn open_window(&mut self) -> Change {
        self.control("POST", &format!("/sim/phones/{PHONE}/messages"), json!({"to": NUMBER, "text": "هل طلبي جاهز؟"})).await;
        self.change().await
    }

    pub async fn arm(&self, fault: Value) {
        self.control("POST", "/sim/faults", fault).await;
    }

    pub async fn send(&self, out: &Outgoing) -> Result<Sent, Failure> {
        self.client.send(&number(), out).await
    }

    pub async fn change(&mut self) -> Change {
        within(self.changes.recv()).await.expect("the app runs")
    }

    pub async fn stats(&self) -> Value {
        self.control("GET", "/sim/stats", json!(null)).await
    }

    /// The messages that the phone shows, oldest first.
    pub async fn shown(&self) -> Vec<Value> {
        let phone = self.control("GET", &format!("/sim/phones/{PHONE}"), json!(null)).await;
        let messages = phone["conversations"][0]["messages"].as_array().cloned().unwrap_or_default();
        messages.into_iter().filter(|message| message["from"] == "business").collect()
    }
}

async fn receive(State(changes): State<mpsc::Sender<Change>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["x-hub-signature-256"].to_str().unwrap();
    if !is_signed(signature, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    for change in webhook::parse(&body).unwrap() {
        changes.send(change).await.unwrap();
    }
    StatusCode::OK
}

pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it takes less than ten seconds")
}

/// Whether the simulator signed as Meta does.
fn is_signed(header: &str, body: &[u8]) -> bool {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    mac.update(body);
    header == format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
