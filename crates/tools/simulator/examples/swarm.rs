//! Logs many linked devices in at a running simulator and keeps them there, to see what they cost it:
//! `cargo run --release -p barid-simulator --example swarm -- http://127.0.0.1:8090 1000`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use wacore_libsignal::protocol::{KeyPair, PrivateKey};
use whatsapp_rust::{
    TokioRuntime, anyhow, async_channel, async_trait,
    bot::Bot,
    http::{HttpClient, HttpRequest, HttpResponse},
    transport::{Transport, TransportEvent, TransportFactory, from_websocket},
    types::events::{Event, EventHandler},
    wacore::store::{
        CachedNoiseCert, CachedServerCertChain, Device, InMemoryBackend,
        traits::{Backend, DeviceStore as _},
    },
    waproto,
};

/// Logins under way at a time.
const AT_ONCE: usize = 32;

struct To(String);

#[async_trait]
impl TransportFactory for To {
    async fn create_transport(&self) -> Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>), anyhow::Error> {
        let uri: http::Uri = format!("{}/ws/chat", self.0.replace("http://", "ws://")).parse()?;
        let stream = TcpStream::connect((uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_websockets::ClientBuilder::from_uri(uri).connect_on(stream).await?;
        Ok(from_websocket(socket))
    }
}

struct NoMedia;

#[async_trait]
impl HttpClient for NoMedia {
    async fn execute(&self, _: HttpRequest) -> Result<HttpResponse, anyhow::Error> {
        Err(anyhow::anyhow!("no media here"))
    }
}

struct Count(Arc<AtomicUsize>, Arc<tokio::sync::Semaphore>);

impl EventHandler for Count {
    fn handle_event(&self, event: Arc<Event>) {
        if matches!(&*event, Event::Connected(_)) {
            self.0.fetch_add(1, Relaxed);
            self.1.add_permits(1);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8090".into());
    let count: usize = arguments.next().map_or(Ok(100), |count| count.parse())?;
    let call = reqwest::Client::new().post(format!("{url}/sim/web/devices")).json(&json!({"first": "201300000000", "count": count}));
    let made: Value = call.send().await?.error_for_status()?.json().await?;
    let (connected, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Semaphore::new(AT_ONCE)));
    let started = tokio::time::Instant::now();
    let mut handles = Vec::new();
    for told in made["devices"].as_array().into_iter().flatten() {
        gate.acquire().await?.forget();
        let backend = Arc::new(InMemoryBackend::new());
        backend.save(&device(&made["server"], told)?).await?;
        let bot = Bot::builder()
            .with_backend_arc(backend as Arc<dyn Backend>)
            .with_transport_factory(To(url.clone()))
            .with_http_client(NoMedia)
            .with_runtime(TokioRuntime)
            .with_event_handler(Count(Arc::clone(&connected), Arc::clone(&gate)))
            .with_version((2, 3000, 1))
            .with_wanted_pre_key_count(20)
            .skip_history_sync()
            .build()
            .await?;
        handles.push(bot.spawn());
    }
    while connected.load(Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{count} devices logged in after {:?}; they stay until this is interrupted", started.elapsed());
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// The client's own record of a device that the server made.
fn device(server: &Value, told: &Value) -> Result<Device, Box<dyn std::error::Error>> {
    let bytes = |value: &Value| -> Result<Vec<u8>, hex::FromHexError> { hex::decode(value.as_str().unwrap_or_default()) };
    let key = |value: &Value| -> Result<[u8; 32], Box<dyn std::error::Error>> { bytes(value)?.try_into().map_err(|_| "no key".into()) };
    let pair = |value: &Value| -> Result<KeyPair, Box<dyn std::error::Error>> {
        let private = PrivateKey::deserialize(&key(value)?)?;
        Ok(KeyPair::new(private.public_key()?, private))
    };
    let certificate = |key| CachedNoiseCert { key, not_before: 0, not_after: i64::MAX };
    let mut device = Device::new();
    device.pn = told["jid"].as_str().and_then(|jid| jid.parse().ok());
    device.lid = told["lid"].as_str().and_then(|lid| lid.parse().ok());
    device.push_name = told["name"].as_str().unwrap_or_default().into();
    device.registration_id = told["registration_id"].as_u64().and_then(|id| id.try_into().ok()).unwrap_or_default();
    device.noise_key = pair(&told["noise_private"])?;
    device.identity_key = pair(&told["identity_private"])?;
    device.signed_pre_key = pair(&told["signed_prekey_private"])?;
    device.signed_pre_key_id = 1;
    device.signed_pre_key_signature = bytes(&told["signed_prekey_signature"])?.try_into().map_err(|_| "no signature")?;
    device.adv_secret_key = key(&told["adv_secret"])?;
    device.account = Some(Arc::new(waproto::codec::adv_signed_device_identity_decode(&bytes(&told["account"])?)?));
    device.server_cert_chain = Some(CachedServerCertChain { intermediate: certificate([0; 32]), leaf: certificate(key(&server["key"])?) });
    Ok(device)
}
