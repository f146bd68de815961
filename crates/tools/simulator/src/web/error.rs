//! Why a connection or a call on a phone could not go on.

use wacore_libsignal::protocol::{CurveError, SignalProtocolError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the WebSocket failed: {0}")]
    WebSocket(#[from] tokio_websockets::Error),
    #[error("the peer hung up in the handshake")]
    HungUp,
    #[error("the peer took too long")]
    TooSlow,
    #[error("the first bytes are not WhatsApp's")]
    Intro,
    #[error("the handshake is malformed: {0}")]
    Malformed(&'static str),
    #[error("the handshake failed: {0}")]
    Noise(#[from] wacore_noise::HandshakeError),
    #[error("a frame cannot be sealed or opened: {0}")]
    Frame(#[from] wacore_noise::NoiseError),
    #[error("a stanza cannot be read or written: {0}")]
    Stanza(#[from] wacore_binary::BinaryError),
    #[error("a message cannot be decoded: {0}")]
    Proto(#[from] waproto::buffa::DecodeError),
    #[error("a key is malformed: {0}")]
    Key(#[from] CurveError),
    #[error("Signal: {0}")]
    Signal(#[from] SignalProtocolError),
    #[error("the Signal library waited, which in-memory stores never ask of it")]
    Waited,
    #[error("the state cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    #[error("the state cannot be read: {0}")]
    State(#[from] serde_json::Error),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
