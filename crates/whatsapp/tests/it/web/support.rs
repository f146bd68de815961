//! A simulated WhatsApp with a business that is linked, and a customer with a phone.

use std::{sync::Arc, time::Duration};

use barid_simulator::{Config, Simulator};
use barid_whatsapp::{
    Content, Outgoing,
    web::{
        Closed, Connection, Event, Fetched, Method, Options, Pairing, ReceiptKind, Settings, Step, Web,
        testing::{Files, Kept, Memory},
    },
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::within;

pub const BUSINESS: &str = "201000000001";
pub const CUSTOMER: &str = "201001234567";

pub struct World {
    pub web: Web,
    pub cells: Arc<Memory>,
    pub sink: Arc<Kept>,
    pub url: String,
    pub http: reqwest::Client,
    pub _stop: DropGuard,
}

pub fn quick() -> Config {
    let mut config = Config::default();
    for delay in [&mut config.delays.sent, &mut config.delays.delivered, &mut config.delays.read, &mut config.delays.jitter] {
        *delay = Duration::ZERO;
    }
    config
}

pub fn settings(url: &str) -> Settings {
    Settings {
        url: format!("{}/ws/chat", url.replacen("http", "ws", 1)),
        media_url: Some(url.to_owned()),
        ack_timeout: Duration::from_secs(5),
        login_timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

/// A connection whose events are read as they come; each receipt counts as kept.
pub struct Device {
    connection: Arc<Connection>,
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
}

impl Device {
    pub fn read(connection: Connection) -> Self {
        let connection = Arc::new(connection);
        let (told, events) = mpsc::unbounded_channel();
        let reading = connection.clone();
        tokio::spawn(async move {
            while let Some(event) = reading.next_event().await {
                if let Event::Receipt(receipt) = &event {
                    receipt.hold.release();
                }
                if told.send(event).is_err() {
                    return;
                }
            }
        });
        Self { connection, events: Mutex::new(events) }
    }

    pub async fn next_event(&self) -> Option<Event> {
        self.events.lock().await.recv().await
    }
}

impl std::ops::Deref for Device {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(|_| {}, Files::default()).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut Settings), files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let simulator = Simulator::build(quick(), listener).await.unwrap();
        let url = simulator.url();
        let stop = CancellationToken::new();
        tokio::spawn(simulator.run(stop.clone()));
        let mut settings = settings(&url);
        adjust(&mut settings);
        let web = Web::new(settings, Arc::new(files)).unwrap();
        Self { web, cells: Arc::default(), sink: Arc::default(), url, http: reqwest::Client::new(), _stop: stop.drop_guard() }
    }

    /// With a business that is linked and connected.
    pub async fn connected() -> (Self, Device) {
        Self::connected_with(|_| {}, Files::default()).await
    }

    pub async fn connected_with(adjust: impl FnOnce(&mut Settings), files: Files) -> (Self, Device) {
        let world = Self::start_with(adjust, files).await;
        world.link().await;
        let connection = world.connect().await;
        (world, connection)
    }

    pub fn pair(&self) -> Pairing {
        self.web.pair(self.cells.clone(), self.sink.clone(), Method::Qr, Options::default())
    }

    /// Links the business by the code that is shown.
    pub async fn link(&self) -> Step {
        let pairing = self.pair();
        let code = code(&pairing).await;
        self.scan(&code).await;
        last(&pairing).await
    }

    pub async fn scan(&self, code: &str) -> Value {
        self.ok("POST", &format!("/sim/web/accounts/{BUSINESS}/scan"), json!({"code": code})).await
    }

    pub async fn connect(&self) -> Device {
        Device::read(self.connect_unread().await)
    }

    /// Nobody reads what it tells unless the test does.
    pub async fn connect_unread(&self) -> Connection {
        let connecting = self.web.connect(self.cells.clone(), self.sink.clone(), Options::default());
        let connection = within(connecting).await.expect("it logs in");
        within(connection.ready()).await.expect("it is ready");
        connection
    }

    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url)).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, json!(null)).await
    }

    pub async fn arm(&self, fault: Value) {
        self.ok("POST", "/sim/faults", fault).await;
    }

    /// The customer writes to the business; the id of the message.
    pub async fn write(&self, message: Value) -> String {
        let mut body = message;
        body["to"] = json!(BUSINESS);
        let written = self.ok("POST", &format!("/sim/phones/{CUSTOMER}/messages"), body).await;
        written["id"].as_str().unwrap().to_owned()
    }

    pub async fn act(&self, act: Value) {
        self.ok("POST", &format!("/sim/phones/{CUSTOMER}/act"), act).await;
    }

    /// What the customer's phone shows of the business.
    pub async fn screen(&self) -> Vec<Value> {
        let phone = self.get(&format!("/sim/phones/{CUSTOMER}?number={BUSINESS}")).await;
        phone["conversations"][0]["messages"].as_array().cloned().unwrap_or_default()
    }

    pub async fn account(&self) -> Value {
        self.get(&format!("/sim/web/accounts/{BUSINESS}")).await
    }

    pub async fn nothing_unknown(&self) {
        let unknown = self.get("/sim/web/unknown").await;
        assert_eq!(unknown["total"], 0, "{unknown}");
    }
}

pub fn text(wire_id: &str, body: &str) -> Outgoing {
    content(wire_id, Content::Text { body: body.into() })
}

pub fn content(wire_id: &str, content: Content) -> Outgoing {
    Outgoing {
        message_id: format!("msg_{wire_id}"),
        wire_id: Some(wire_id.into()),
        recipient: format!("+{CUSTOMER}"),
        content,
        reply_to: None,
    }
}

pub fn file(bytes: &[u8], mime: &str) -> Fetched {
    Fetched { bytes: bytes.to_vec().into(), mime: mime.into(), filename: None }
}

/// The next code that is shown.
pub async fn code(pairing: &Pairing) -> String {
    loop {
        match within(pairing.next()).await.expect("the attempt goes on") {
            Step::Code { text, .. } => return text,
            Step::Failed { reason } => panic!("no code: {reason:?}"),
            _ => {}
        }
    }
}

/// How an attempt ended.
pub async fn last(pairing: &Pairing) -> Step {
    let mut last = None;
    while let Some(step) = within(pairing.next()).await {
        last = Some(step);
    }
    last.expect("an attempt ends with something")
}

/// The first event that `pick` makes something of.
pub async fn event<T>(connection: &Device, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
    loop {
        let event = within(connection.next_event()).await.expect("the connection goes on");
        if let Some(picked) = pick(&event) {
            return picked;
        }
    }
}

pub async fn receipt(connection: &Device, wire_id: &str, kind: ReceiptKind) {
    event(connection, |event| match event {
        Event::Receipt(receipt) if receipt.kind == kind && receipt.provider_ids.iter().any(|id| id == wire_id) => Some(()),
        _ => None,
    })
    .await;
}

pub async fn closed(connection: &Device) -> Closed {
    event(connection, |event| match event {
        Event::Closed(reason) => Some(reason.clone()),
        _ => None,
    })
    .await
}
