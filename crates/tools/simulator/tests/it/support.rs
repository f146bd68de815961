//! A running simulator with a business on it, and the app that its webhooks call.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use barid_simulator::{App, Config};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const NUMBER: &str = "100001";
pub const TOKEN: &str = "token-of-the-laundry";
pub const WABA: &str = "200001";
pub const SECRET: &str = "app-secret";
pub const VERIFY: &str = "verify-me";
pub const PHONE: &str = "201001234567";

pub struct Simulator {
    pub url: String,
    pub http: reqwest::Client,
    pub callback: Callback,
    task: JoinHandle<Result<(), barid_simulator::Error>>,
    stop: DropGuard,
}

/// What an app received, and what it answers.
#[derive(Clone)]
pub struct Callback {
    pub url: String,
    state: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    posts: Vec<(String, Bytes)>,
    refuse: usize,
}

/// A configuration without waits.
pub fn swift() -> Config {
    let mut config = Config::default();
    for delay in [&mut config.delays.sent, &mut config.delays.delivered, &mut config.delays.read, &mut config.delays.jitter] {
        *delay = Duration::ZERO;
    }
    config.webhooks.batch_wait = Duration::ZERO;
    config.webhooks.first_retry = Duration::from_millis(5);
    config.meta.template_review = Duration::from_millis(5);
    config
}

impl Simulator {
    pub async fn start() -> Self {
        Self::with(swift()).await
    }

    /// Starts with one number on one app.
    pub async fn with(mut config: Config) -> Self {
        let callback = Callback::start().await;
        let app = App {
            app_secret: barid_domain::Secret::new(SECRET),
            verify_token: barid_domain::Secret::new(VERIFY),
            callback_url: callback.url.clone(),
        };
        config.apps.insert("barid".into(), app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let task = tokio::spawn(barid_simulator::serve(config, listener, stop.clone()));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let simulator = Self { url, http, callback, task, stop: stop.drop_guard() };
        let number = json!({"display_phone_number": "+20 2 1234 5678", "verified_name": "Laundry", "token": TOKEN, "waba_id": WABA});
        simulator.ok("PUT", &format!("/sim/numbers/{NUMBER}"), number).await;
        simulator
    }

    /// One that is already running elsewhere.
    #[cfg(feature = "web")]
    pub async fn at(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let stop = CancellationToken::new();
        Self { url: url.to_owned(), http, callback: Callback::start().await, task: tokio::spawn(async { Ok(()) }), stop: stop.drop_guard() }
    }

    /// Ends it in order.
    pub async fn end(self) {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().unwrap();
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(TOKEN);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null).await
    }

    /// Sends `content`, for example `{"type": "text", "text": {...}}`, to the phone.
    pub async fn send(&self, content: Value) -> (u16, Value) {
        let mut body = json!({"messaging_product": "whatsapp", "to": format!("+{PHONE}")});
        for (key, value) in content.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.call("POST", &format!("/v23.0/{NUMBER}/messages"), body).await
    }

    pub async fn send_text(&self, text: &str, opaque: &str) -> (u16, Value) {
        self.send(json!({"type": "text", "text": {"body": text}, "biz_opaque_callback_data": opaque})).await
    }

    /// The customer writes, which opens the window.
    pub async fn customer_writes(&self, text: &str) -> Value {
        self.ok("POST", &format!("/sim/phones/{PHONE}/messages"), json!({"to": NUMBER, "text": text})).await
    }

    pub async fn arm(&self, fault: Value) {
        self.ok("POST", "/sim/faults", fault).await;
    }

    /// The messages from the business on the phone.
    pub async fn shown(&self) -> Vec<Value> {
        let phone = self.get(&format!("/sim/phones/{PHONE}")).await;
        let messages = phone["conversations"][0]["messages"].as_array().cloned().unwrap_or_default();
        messages.into_iter().filter(|message| message["from"] == "business").collect()
    }

    /// Waits until a message from the business has reached this state.
    pub async fn message_in(&self, state: &str) -> Value {
        eventually(state, async || self.shown().await.into_iter().find(|message| message["state"] == state)).await
    }
}

impl Callback {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new(Received::default()));
        let app = Router::new().route("/hook", get(verify).post(receive)).with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { url, state }
    }

    /// Answers the next posts with 503.
    pub fn refuse(&self, posts: usize) {
        self.state.lock().refuse = posts;
    }

    /// Signature and bytes of each post.
    pub fn posts(&self) -> Vec<(String, Bytes)> {
        self.state.lock().posts.clone()
    }

    fn values(&self, list: &str) -> Vec<Value> {
        let posts = self.posts();
        let bodies = posts.iter().map(|(_, body)| serde_json::from_slice::<Value>(body).unwrap());
        let mut found = Vec::new();
        for body in bodies {
            for entry in body["entry"].as_array().unwrap() {
                for change in entry["changes"].as_array().unwrap() {
                    found.extend(change["value"][list].as_array().cloned().unwrap_or_default());
                }
            }
        }
        found
    }

    /// `(status, biz_opaque_callback_data)` of each status received, in order.
    pub fn statuses(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.values("statuses").iter().map(|status| (text(&status["status"]), text(&status["biz_opaque_callback_data"]))).collect()
    }

    pub fn raw_statuses(&self) -> Vec<Value> {
        self.values("statuses")
    }

    pub fn messages(&self) -> Vec<Value> {
        self.values("messages")
    }

    /// Waits until this many statuses came, and makes sure by a last look that there are no more.
    pub async fn statuses_come(&self, count: usize) -> Vec<(String, String)> {
        let statuses = eventually("statuses", async || Some(self.statuses()).filter(|statuses| statuses.len() >= count)).await;
        assert_eq!(statuses.len(), count, "{statuses:?}");
        statuses
    }
}

type Shared = State<Arc<Mutex<Received>>>;

async fn verify(Query(query): Query<std::collections::HashMap<String, String>>) -> (StatusCode, String) {
    if query["hub.mode"] == "subscribe" && query["hub.verify_token"] == VERIFY {
        (StatusCode::OK, query["hub.challenge"].clone())
    } else {
        (StatusCode::FORBIDDEN, String::new())
    }
}

async fn receive(State(state): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut state = state.lock();
    if state.refuse > 0 {
        state.refuse -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let signature = headers["x-hub-signature-256"].to_str().unwrap().to_owned();
    state.posts.push((signature, body));
    StatusCode::OK
}

/// Polls until there is something, for at most ten seconds.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let poll = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), poll).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
