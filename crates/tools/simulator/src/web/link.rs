//! One client's connection as stanzas: WebSocket messages hold length-prefixed frames, and frames hold sealed stanzas.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_websockets::{Message, WebSocketStream};
use wacore_binary::{Node, OwnedNodeRef, consts::WA_MAGIC_VALUE};
use wacore_noise::{
    NoiseCipher,
    framing::{FrameDecoder, encode_frame},
};

use super::{
    error::{Error, Result},
    keys::ServerKeys,
    noise::{self, Answer, Outcome, Pattern},
};

const HANDSHAKE: Duration = Duration::from_secs(20);
/// `WA`, the protocol's number and the dictionary's.
const INTRO: usize = 4;
/// `ED`, a version, and the length of the routing information.
const ROUTING: usize = 7;

pub(super) struct Link<S> {
    socket: WebSocketStream<S>,
    frames: FrameDecoder,
    read: NoiseCipher,
    write: NoiseCipher,
    received: u32,
    sent: u32,
}

/// Who connected, as the handshake proved and the client said.
pub(super) struct Client {
    pub(super) key: [u8; 32],
    pub(super) pattern: Pattern,
    /// The encoded `ClientPayload`.
    pub(super) payload: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Shakes hands with whoever is at the other end.
    pub(super) async fn accept(socket: WebSocketStream<S>, keys: &ServerKeys) -> Result<(Self, Client)> {
        timeout(HANDSHAKE, Self::shake(socket, keys)).await.map_err(|_| Error::TooSlow)?
    }

    async fn shake(mut socket: WebSocketStream<S>, keys: &ServerKeys) -> Result<(Self, Client)> {
        let mut first = BytesMut::new();
        let prologue = loop {
            first.extend_from_slice(&next(&mut socket).await?.ok_or(Error::HungUp)?);
            if let Some(prologue) = intro(&mut first)? {
                break prologue;
            }
        };
        let mut frames = FrameDecoder::new();
        frames.feed(&first);
        let hello = frame(&mut socket, &mut frames).await?.ok_or(Error::HungUp)?;
        let outcome = match noise::answer(keys, &hello, &prologue)? {
            Answer::Done { reply, outcome } => {
                send(&mut socket, &reply).await?;
                *outcome
            }
            Answer::Unfinished { reply, rest } => {
                send(&mut socket, &reply).await?;
                let finish = frame(&mut socket, &mut frames).await?.ok_or(Error::HungUp)?;
                rest.finish(&finish)?
            }
        };
        let Outcome { pattern, client, payload, read, write } = outcome;
        Ok((Self { socket, frames, read, write, received: 0, sent: 0 }, Client { key: client, pattern, payload }))
    }

    /// The next stanza; none when the client has hung up. Safe to drop between stanzas.
    pub(super) async fn receive(&mut self) -> Result<Option<OwnedNodeRef>> {
        let Some(mut sealed) = frame(&mut self.socket, &mut self.frames).await? else { return Ok(None) };
        self.read.decrypt_in_place_with_counter(self.received, &mut sealed)?;
        self.received += 1;
        let stanza = wacore_binary::util::unpack_bytes(sealed)?;
        Ok(Some(OwnedNodeRef::new(stanza)?))
    }

    /// Writes a stanza that leaves with the next flush.
    pub(super) async fn feed(&mut self, stanza: &Node) -> Result<()> {
        let mut bytes = wacore_binary::marshal::marshal(stanza)?;
        self.write.encrypt_in_place_with_counter(self.sent, &mut bytes)?;
        self.sent += 1;
        self.socket.feed(framed(&bytes)?).await?;
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        Ok(self.socket.flush().await?)
    }

    pub(super) async fn send(&mut self, stanza: &Node) -> Result<()> {
        self.feed(stanza).await?;
        self.flush().await
    }

    /// Sends a frame that no key opens.
    pub(super) async fn send_garbage(&mut self) -> Result<()> {
        send(&mut self.socket, &rand::random::<[u8; 48]>()).await
    }

    pub(super) async fn close(mut self) {
        if let Err(error) = self.socket.close().await {
            tracing::debug!(%error, "a WebSocket did not close in order");
        }
    }
}

/// Takes the introduction off the first bytes; none until all of it is there.
fn intro(first: &mut BytesMut) -> Result<Option<[u8; INTRO]>> {
    let mut start = 0;
    if first.starts_with(b"ED") {
        let Some(length) = first.get(4..ROUTING) else { return Ok(None) };
        start = ROUTING + (usize::from(length[0]) << 16 | usize::from(length[1]) << 8 | usize::from(length[2]));
    }
    let Some(prologue) = first.get(start..start + INTRO) else { return Ok(None) };
    let prologue: [u8; INTRO] = prologue.try_into().map_err(|_| Error::Intro)?;
    if !prologue.starts_with(b"WA") || prologue[2] != WA_MAGIC_VALUE {
        return Err(Error::Intro);
    }
    first.advance(start + INTRO);
    Ok(Some(prologue))
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Result<Option<Bytes>> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_close() {
            return Ok(None);
        }
        if message.is_binary() {
            return Ok(Some(message.into_payload().into()));
        }
    }
    Ok(None)
}

async fn frame<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, frames: &mut FrameDecoder) -> Result<Option<BytesMut>> {
    loop {
        if let Some(frame) = frames.decode_frame() {
            return Ok(Some(frame));
        }
        match next(socket).await? {
            Some(bytes) => frames.feed(&bytes),
            None => return Ok(None),
        }
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, payload: &[u8]) -> Result<()> {
    Ok(socket.send(framed(payload)?).await?)
}

fn framed(payload: &[u8]) -> Result<Message> {
    encode_frame(payload, None).map(Message::binary).map_err(|_| Error::Malformed("a frame is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_introduction_may_follow_routing_information() {
        let mut first = BytesMut::from(&b"ED\0\x01\0\0\x02xxWA\x06\x03rest"[..]);
        assert_eq!(intro(&mut first).unwrap(), Some(*b"WA\x06\x03"));
        assert_eq!(&first[..], b"rest");
    }

    #[test]
    fn an_introduction_cut_in_two_is_waited_for() {
        for cut in [&b"W"[..], b"WA\x06", b"ED\0\x01", b"ED\0\x01\0\0\x02x", b"ED\0\x01\0\0\x02xxWA"] {
            assert_eq!(intro(&mut BytesMut::from(cut)).unwrap(), None, "{cut:?}");
        }
        assert!(intro(&mut BytesMut::from(&b"GET / HTTP"[..])).is_err());
    }
}
