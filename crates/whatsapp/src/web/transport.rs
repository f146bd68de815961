//! The socket under a connection.
//!
//! It reads a frame only when the one before was taken and there is room in the connection's queue of events: what the pool does not
//! take in time stays with WhatsApp, and memory stays bounded without anything being dropped. It writes nothing before what it heard is
//! durable, and nothing once the lease is lost.

use std::{sync::Arc, time::Duration};

use async_channel::{Receiver, Sender};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderValue, header::ORIGIN};
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, Config, Limits, Message, WebSocketStream};
use wacore::net::{DisconnectReason, Transport, TransportEvent, TransportFactory, WHATSAPP_WEB_ORIGIN};

use super::{Closed, barrier::Barrier, fate::Fate, inbox::Inbox, pairing::Step, presence::Veil, pulse::Pulse, store::Store};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Socket = WebSocketStream<Box<dyn Stream>>;

/// Frames carry a three-byte length, so none is longer than this.
const MAX_MESSAGE: usize = 16 << 20;

/// The library takes one read at a time; the second slot only saves waking twice.
const READ_AHEAD: usize = 2;

/// How long frames wait until what was heard before them is durable. Shorter than a send waits for its ack.
const HELD: Duration = Duration::from_secs(8);

/// Where sockets come from. One per process.
pub(super) struct Dialer {
    pub url: Url,
    pub tls: TlsConnector,
    pub connect_timeout: Duration,
}

impl Dialer {
    async fn dial(&self) -> Result<Socket, Closed> {
        let network = |detail: String| Closed::Network { detail };
        let host = self.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = self.url.port_or_known_default().unwrap_or(443);
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| network(error.to_string()))?;
        // A login is a dozen small packets each way, and waiting to fill them costs forty milliseconds each.
        tcp.set_nodelay(true).map_err(|error| network(error.to_string()))?;
        let stream: Box<dyn Stream> = if self.url.scheme() == "wss" {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| network(format!("{host} is no name for TLS")))?;
            let tls = self.tls.connect(name, tcp).await.map_err(|error| match error.get_ref().and_then(|it| it.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(why)) => Closed::Untrusted { detail: format!("{why:?}") },
                _ => network(error.to_string()),
            })?;
            Box::new(tls)
        } else {
            Box::new(tcp)
        };
        let uri = self.url.as_str().parse().map_err(|_| network("the address is no URI".into()))?;
        let (socket, _) = ClientBuilder::from_uri(uri)
            .add_header(ORIGIN, HeaderValue::from_static(WHATSAPP_WEB_ORIGIN))
            .map_err(|error| network(error.to_string()))?
            .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)))
            .config(Config::default().frame_size(MAX_MESSAGE))
            .connect_on(stream)
            .await
            .map_err(|error| network(error.to_string()))?;
        Ok(socket)
    }
}

/// Makes the one socket of one connection.
pub(super) struct Line {
    pub dialer: Arc<Dialer>,
    pub fate: Arc<Fate>,
    pub inbox: Arc<Inbox<Step>>,
    pub veil: Arc<Veil>,
    pub pulse: Arc<Pulse>,
    pub barrier: Arc<Barrier>,
    pub store: Arc<Store>,
}

#[async_trait]
impl TransportFactory for Line {
    async fn create_transport(&self) -> Result<(Arc<dyn Transport>, Receiver<TransportEvent>), whatsapp_rust::anyhow::Error> {
        let socket = match tokio::time::timeout(self.dialer.connect_timeout, self.dialer.dial()).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(reason)) => {
                self.fate.end(reason.clone());
                return Err(reason.into());
            }
            Err(_) => {
                let reason = Closed::Network { detail: "no connection in time".into() };
                self.fate.end(reason.clone());
                return Err(reason.into());
            }
        };
        let (sink, stream) = socket.split();
        let (sender, receiver) = async_channel::bounded(READ_AHEAD);
        let (stop, stopped) = watch::channel(false);
        sender.try_send(TransportEvent::Connected)?;
        tokio::spawn(read(stream, sender, stopped, self.inbox.clone(), self.pulse.clone()));
        let sink = tokio::sync::Mutex::new(Some(sink));
        let wire =
            Wire { sink, stop, fate: self.fate.clone(), veil: self.veil.clone(), barrier: self.barrier.clone(), store: self.store.clone() };
        Ok((Arc::new(wire), receiver))
    }
}

struct Wire {
    /// One frame at a time; held across the write on purpose.
    sink: tokio::sync::Mutex<Option<SplitSink<Socket, Message>>>,
    stop: watch::Sender<bool>,
    fate: Arc<Fate>,
    veil: Arc<Veil>,
    barrier: Arc<Barrier>,
    store: Arc<Store>,
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, data: Bytes) -> Result<(), whatsapp_rust::anyhow::Error> {
        self.veil.before_frame();
        if tokio::time::timeout(HELD, self.barrier.clear()).await.is_err() {
            // Unconfirmed, it is told again on the next connection.
            self.fate.end(Closed::Store { detail: "what was heard could not be kept".into() });
            return Err(Closed::Asked.into());
        }
        let mut sink = self.sink.lock().await;
        // Under the lock: what waited for it while the lease was lost must not go out either. A process that was stopped in the middle of
        // anything begins here again.
        match self.store.is_ours().await {
            Some(true) => {}
            Some(false) => self.fate.end(Closed::Stale),
            None => {
                self.fate.end(Closed::Store { detail: "nobody can say whose session it is".into() });
                return Err(Closed::Asked.into());
            }
        }
        if self.fate.is_stale() {
            return Err(Closed::Stale.into());
        }
        let Some(open) = sink.as_mut() else { return Err(Closed::Asked.into()) };
        open.send(Message::binary(data)).await?;
        Ok(())
    }

    async fn disconnect(&self) {
        self.stop.send_replace(true);
        if let Some(mut sink) = self.sink.lock().await.take() {
            let goodbye = sink.send(Message::close(Some(tokio_websockets::CloseCode::NORMAL_CLOSURE), ""));
            // A peer that does not read must not keep us.
            let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        }
    }
}

async fn read(
    mut stream: SplitStream<Socket>,
    sender: Sender<TransportEvent>,
    mut stop: watch::Receiver<bool>,
    inbox: Arc<Inbox<Step>>,
    pulse: Arc<Pulse>,
) {
    let mut reason = DisconnectReason::Unknown;
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            () = inbox.room() => {}
        }
        let message = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            message = stream.next() => message,
        };
        match message {
            Some(Ok(message)) if message.is_binary() => {
                pulse.beat();
                let data = TransportEvent::DataReceived(Bytes::from(message.into_payload()));
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => break,
                    sent = sender.send(data) => if sent.is_err() { break },
                }
            }
            Some(Ok(message)) => {
                if let Some((code, text)) = message.as_close() {
                    reason = DisconnectReason::ServerClose { code: Some(code.into()), reason: text.to_owned() };
                    pulse.stop(reason.to_string());
                    break;
                }
            }
            Some(Err(error)) => {
                reason = DisconnectReason::ReadError(error.to_string());
                pulse.stop(reason.to_string());
                break;
            }
            None => {
                reason = DisconnectReason::StreamEnded;
                pulse.stop(reason.to_string());
                break;
            }
        }
    }
    let _ = sender.send(TransportEvent::Disconnected(reason)).await;
}
