//! The real client, linked to a business of a running simulator.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Notify};
use whatsapp_rust::{
    Client, TokioRuntime, anyhow, async_channel, async_trait,
    bot::{Bot, BotHandle},
    http::{HttpClient, HttpRequest, HttpResponse},
    transport::{Transport, TransportEvent, TransportFactory, from_websocket},
    types::events::{Event, EventHandler},
    wacore::{
        store::{InMemoryBackend, traits::Backend},
        types::presence::ReceiptType,
    },
    waproto::whatsapp::Message,
};

use crate::support::Simulator;

pub const BUSINESS: &str = "201000000001";
pub const CUSTOMER: &str = "201001234567";
/// Far above what anything here takes, and far below what the library waits for by itself.
const PATIENCE: Duration = Duration::from_secs(8);

/// A linked device: the unmodified client.
pub struct Device {
    pub client: Arc<Client>,
    pub backend: Arc<InMemoryBackend>,
    handle: BotHandle,
    events: Arc<Events>,
}

#[derive(Default)]
struct Events {
    seen: Mutex<Vec<Arc<Event>>>,
    came: Notify,
}

struct Recorder(Arc<Events>);

impl EventHandler for Recorder {
    fn handle_event(&self, event: Arc<Event>) {
        self.0.seen.lock().push(event);
        self.0.came.notify_waiters();
    }
}

/// Connects to the simulator instead of WhatsApp.
pub struct ToSimulator(pub String);

#[async_trait]
impl TransportFactory for ToSimulator {
    async fn create_transport(&self) -> Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>), anyhow::Error> {
        let uri: http::Uri = format!("{}/ws/chat", self.0.replace("http://", "ws://")).parse()?;
        let address = format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_websockets::ClientBuilder::from_uri(uri).connect_on(stream).await?;
        Ok(from_websocket(socket))
    }
}

/// Fetches media from the simulator by the address that the client believes to be WhatsApp's.
pub struct MediaFrom(pub reqwest::Client);

#[async_trait]
impl HttpClient for MediaFrom {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse, anyhow::Error> {
        let url = request.url.replacen("https://", "http://", 1);
        let mut call = self.0.request(request.method.parse()?, url);
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        if let Some(body) = request.body {
            call = call.body(body);
        }
        let answer = call.send().await?;
        Ok(HttpResponse { status_code: answer.status().as_u16(), body: answer.bytes().await?.to_vec() })
    }
}

impl Device {
    /// Starts a client that knows what `backend` knows.
    pub async fn start(sim: &Simulator, backend: Arc<InMemoryBackend>) -> Self {
        Self::start_by(sim, backend, ToSimulator(sim.url.clone())).await
    }

    pub async fn start_by(sim: &Simulator, backend: Arc<InMemoryBackend>, way: impl TransportFactory + 'static) -> Self {
        let events = Arc::new(Events::default());
        let bot = Bot::builder()
            .with_backend_arc(Arc::clone(&backend) as Arc<dyn Backend>)
            .with_transport_factory(way)
            .with_http_client(MediaFrom(sim.http.clone()))
            .with_runtime(TokioRuntime)
            .with_event_handler(Recorder(Arc::clone(&events)))
            .with_version((2, 3000, 1))
            .with_wanted_pre_key_count(20)
            .skip_history_sync()
            .build()
            .await
            .unwrap();
        let handle = bot.spawn();
        Self { client: handle.client(), backend, handle, events }
    }

    /// A new client, linked to the business by its code and logged in.
    pub async fn paired(sim: &Simulator) -> Self {
        Self::paired_to(sim, BUSINESS).await
    }

    pub async fn paired_to(sim: &Simulator, number: &str) -> Self {
        let device = Self::start(sim, Arc::new(InMemoryBackend::new())).await;
        let code = device.code().await;
        sim.ok("POST", &format!("/sim/web/accounts/{number}/scan"), json!({"code": code})).await;
        device.connected().await;
        device
    }

    /// The first event that `pick` makes something of, past or to come.
    pub async fn event<T>(&self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let found = async {
            loop {
                let came = self.events.came.notified();
                tokio::pin!(came);
                came.as_mut().enable();
                if let Some(found) = self.events.seen.lock().iter().find_map(|event| pick(event)) {
                    return found;
                }
                came.await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("no {what} came; there were {:?}", self.kinds()),
        }
    }

    fn kinds(&self) -> Vec<String> {
        self.events.seen.lock().iter().map(|event| format!("{:?}", event.kind())).collect()
    }

    /// How many events `pick` chooses by now.
    pub fn count(&self, pick: impl Fn(&Event) -> bool) -> usize {
        self.events.seen.lock().iter().filter(|event| pick(event)).count()
    }

    /// Forgets events, so that only new ones are found.
    pub fn forget(&self) {
        self.events.seen.lock().clear();
    }

    pub async fn code(&self) -> String {
        self.event("code", |event| match event {
            Event::PairingQrCode(code) => Some(code.code.clone()),
            _ => None,
        })
        .await
    }

    pub async fn connected(&self) {
        self.event("login", |event| matches!(event, Event::Connected(_)).then_some(())).await;
    }

    /// Sends a text under this id, as often as it is called.
    pub async fn send(&self, to: &str, id: &str, text: &str) {
        let message = Message { conversation: Some(text.into()), ..Default::default() };
        self.send_message(to, id, message).await;
    }

    pub async fn send_message(&self, to: &str, id: &str, message: Message) {
        let options = whatsapp_rust::SendOptions::default().with_message_id(id);
        self.client.send_message_with_options(whatsapp_rust::Jid::pn(to), message, options).await.unwrap();
    }

    /// The server's acknowledgement of a message: its error, if it is one.
    pub async fn acknowledged(&self, id: &str) -> Option<String> {
        self.event("ack", |event| match event {
            Event::ServerAck(ack) if ack.id == id && ack.class.as_deref() == Some("message") => Some(ack.error.clone()),
            _ => None,
        })
        .await
    }

    pub async fn receipt(&self, id: &str, kind: ReceiptType) {
        self.event("receipt", |event| match event {
            Event::Receipt(receipt) if receipt.r#type == kind && receipt.message_ids.iter().any(|known| known == id) => Some(()),
            _ => None,
        })
        .await;
    }

    /// The inbound message of this id.
    pub async fn inbound(&self, id: &str) -> Message {
        self.event("message", |event| {
            event.messages().find(|inbound| inbound.info.id == id).map(|inbound| Message::clone(&inbound.message))
        })
        .await
    }

    /// Ids of inbound messages in the order they came.
    pub fn inbound_ids(&self) -> Vec<String> {
        self.events
            .seen
            .lock()
            .iter()
            .flat_map(|event| event.messages().map(|inbound| inbound.info.id.clone()).collect::<Vec<_>>())
            .collect()
    }

    pub async fn stop(self) -> Arc<InMemoryBackend> {
        self.handle.shutdown().await;
        self.backend
    }
}

impl Simulator {
    /// Messages of the business on the customer's phone.
    pub async fn screen(&self, phone: &str) -> Vec<Value> {
        let phone = self.get(&format!("/sim/phones/{phone}?number={BUSINESS}")).await;
        phone["conversations"][0]["messages"].as_array().cloned().unwrap_or_default()
    }

    pub async fn nothing_unknown(&self) {
        let unknown = self.get("/sim/web/unknown").await;
        assert_eq!(unknown["total"], 0, "{unknown}");
    }
}
