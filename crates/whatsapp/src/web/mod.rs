//! WhatsApp Web's multi-device protocol: a linked device of a number that somebody owns.
//!
//! [`Web`] is made once per process. [`Web::pair`] links a number, [`Web::connect`] logs a linked one in, and a [`Connection`] sends,
//! receives and ends. Nothing is kept here: credentials and Signal state go through [`Cells`], what customers write goes through
//! [`Sink`], files that tenants name come through [`Fetch`].
//!
//! **Nothing is lost or dropped.** A message is committed by the sink before WhatsApp is told that it arrived. Everything else is an
//! [`Event`], in order, in a queue of the connection's own; while that holds [`Settings::event_queue`] events the socket is not read, so
//! what the reader does not take stays with WhatsApp and memory stays bounded. Read [`Connection::next_event`] all the time. A receipt is
//! confirmed once its [`Hold`] is released, which its reader does when it is durable; until then the connection writes nothing.
//!
//! **SENT means that WhatsApp said so.** A send waits for the server's ack of its wire id. An ack with an error code is a failure with a
//! reason; none within [`Settings::ack_timeout`] is [`Action::Uncertain`](crate::Action::Uncertain) and may be sent again with the same wire id.
//!
//! **Logging.** Nothing here logs numbers, keys or texts at any level. The library logs through `log`, and some of its warnings show whole
//! stanzas with phone numbers in them: call `log::set_max_level(log::LevelFilter::Error)` when the process starts. Filtering by target
//! needs `whatsapp_rust`, `wacore*`, and the names that it gives by hand, such as `Client`, `Bot`, `AppState`, `Blocking`, `MessageQueue`,
//! `Mex`, `PresenceHandler`, `ChatstateHandler`, `TcToken`, `UnifiedSession`, `blocklist` and `usync`, with what they have after a slash.

mod acks;
mod barrier;
mod cells;
mod client;
mod closed;
mod compose;
mod connection;
mod event;
mod fate;
mod fetch;
mod handler;
mod http;
mod inbound;
mod inbox;
mod nack;
mod pairing;
mod presence;
mod pulse;
mod sending;
mod settings;
mod sink;
mod store;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
mod tls;
mod transport;

use std::{path::PathBuf, sync::Arc};

pub use barrier::Hold;
pub use cells::{Cell, CellError, Cells, Change, Kind};
pub use closed::{Closed, Next};
pub use connection::{ConnectError, Connection, NumberCheck};
pub use event::{Alias, Event, Person, Receipt, ReceiptKind};
pub use fetch::{Fetch, FetchError, Fetched};
pub use inbound::{Card, Chat, Inbound, InboundKind, MediaKind, MediaPointer};
pub use pairing::{Method, Pairing, PairingEnd, Step};
pub use settings::{Options, Settings};
pub use sink::{Sink, SinkError};

use self::transport::Dialer;

/// Whether this build takes a simulator for WhatsApp. Such a build talks to no other machine.
pub const TRUSTS_SIMULATOR: bool = cfg!(feature = "trust-simulator");

/// Why a connector cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not an address for this setting: {0:?}")]
    Address(String),
    #[error("this build trusts simulators, so it talks to this machine only, and not to {0:?}")]
    SimulatorOnly(String),
    #[error("without TLS only this machine may be reached, and not {0:?}")]
    PlainText(String),
    #[error("the root certificate {} cannot be read: {detail}", path.display())]
    Certificate { path: PathBuf, detail: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("the HTTP client cannot be built")]
    Http(#[from] reqwest::Error),
}

/// The connector. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Web {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    dialer: Arc<Dialer>,
    media: Arc<http::Media>,
    fetcher: Arc<dyn Fetch>,
    /// Memory for files, in KiB, of the whole process.
    room: tokio::sync::Semaphore,
}

impl Shared {
    /// Waits until a file of so many bytes may be held in memory. What is larger than all there is gets all there is.
    async fn room(&self, bytes: u64) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let all = kib(self.settings.media_memory);
        self.room.acquire_many(kib(bytes).min(all)).await.ok()
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).max(1)
}

impl Web {
    /// Checks the settings and reads the system's certificates.
    ///
    /// # Errors
    /// When an address is not allowed, or certificates cannot be read.
    pub fn new(settings: Settings, fetcher: Arc<dyn Fetch>) -> Result<Self, Error> {
        let (url, media_url) = settings.addresses()?;
        let (roots, extra) = tls::roots(settings.root_certificate.as_deref())?;
        let dialer = Arc::new(Dialer { url, tls: tls::connector(roots)?, connect_timeout: settings.connect_timeout });
        let media = Arc::new(http::Media::new(&settings, media_url, &extra)?);
        let room = tokio::sync::Semaphore::new(kib(settings.media_memory) as usize);
        Ok(Self { shared: Arc::new(Shared { settings, dialer, media, fetcher, room }) })
    }

    /// Logs a paired session in, and returns when WhatsApp says that it succeeded. What was kept for it while it was away arrives after.
    ///
    /// # Errors
    /// Why not, and what happened before: those events count and will not come again.
    pub async fn connect(&self, cells: Arc<dyn Cells>, sink: Arc<dyn Sink>, options: Options) -> Result<Connection, ConnectError> {
        connection::connect(self.shared.clone(), cells, sink, options).await
    }

    /// Links a number as a companion device. The attempt ends by itself within [`Settings::pairing_timeout`].
    #[must_use]
    pub fn pair(&self, cells: Arc<dyn Cells>, sink: Arc<dyn Sink>, method: Method, options: Options) -> Pairing {
        pairing::start(self.shared.clone(), cells, sink, method, options)
    }
}

/// Bytes in JSON.
mod encoded {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(Error::custom)
    }
}
