//! The answering side of the Noise handshake: XX for strangers, IK for clients that know our key, and XX-fallback for
//! those that know a key we no longer have. Pure: bytes in, bytes out.

use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::{
    buffa::{Message as _, MessageField},
    whatsapp::{HandshakeMessage, handshake_message::ServerHello},
};

use super::{
    error::{Error, Result},
    keys::{ServerKeys, public},
};

/// How a client came to know, or not to know, the server's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pattern {
    Xx,
    Ik,
    Fallback,
}

/// A finished handshake: who the client is, its payload, and the ciphers from here on.
pub(super) struct Outcome {
    pub(super) pattern: Pattern,
    pub(super) client: [u8; 32],
    pub(super) payload: Vec<u8>,
    pub(super) read: NoiseCipher,
    pub(super) write: NoiseCipher,
}

/// What the first message of a client leads to.
pub(super) enum Answer {
    Done { reply: Vec<u8>, outcome: Box<Outcome> },
    Unfinished { reply: Vec<u8>, rest: Box<Unfinished> },
}

/// An XX handshake that waits for the client's last message.
pub(super) struct Unfinished {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
    pattern: Pattern,
}

pub(super) fn answer(keys: &ServerKeys, hello: &[u8], prologue: &[u8]) -> Result<Answer> {
    let hello = HandshakeMessage::decode_from_slice(hello)?;
    let hello = hello.client_hello.into_option().ok_or(Error::Malformed("no client hello"))?;
    let client = hello.ephemeral.ok_or(Error::Malformed("no ephemeral key"))?;
    match (hello.r#static, hello.payload) {
        (Some(sealed_static), Some(sealed_payload)) => match ik(keys, &client, &sealed_static, &sealed_payload, prologue)? {
            Some(answer) => Ok(answer),
            None => xx(keys, &client, prologue, Pattern::Fallback),
        },
        _ => xx(keys, &client, prologue, Pattern::Xx),
    }
}

/// None when the client sealed its hello for another key than ours.
fn ik(keys: &ServerKeys, client_ephemeral: &[u8], sealed_static: &[u8], sealed_payload: &[u8], prologue: &[u8]) -> Result<Option<Answer>> {
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, prologue)?;
    noise.authenticate(&keys.public());
    noise.authenticate(client_ephemeral);
    noise.mix_shared_secret(keys.noise.private_key.serialize(), client_ephemeral)?;
    let Ok(client) = noise.decrypt(sealed_static) else { return Ok(None) };
    let client = key(client)?;
    noise.mix_shared_secret(keys.noise.private_key.serialize(), &client)?;
    let payload = noise.decrypt(sealed_payload)?;

    let ephemeral = KeyPair::generate(&mut rand::rng());
    noise.authenticate(&public(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client)?;
    let sealed_chain = noise.encrypt(&keys.chain)?;
    let reply = server_hello(&ephemeral, None, sealed_chain);
    let outcome = Box::new(outcome(noise, Pattern::Ik, client, payload)?);
    Ok(Some(Answer::Done { reply, outcome }))
}

fn xx(keys: &ServerKeys, client_ephemeral: &[u8], prologue: &[u8], pattern: Pattern) -> Result<Answer> {
    let name = if pattern == Pattern::Fallback { NOISE_PATTERN_XXFALLBACK } else { NOISE_PATTERN_XX };
    let mut noise = NoiseHandshake::new(name, prologue)?;
    noise.authenticate(client_ephemeral);
    let ephemeral = KeyPair::generate(&mut rand::rng());
    noise.authenticate(&public(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    let sealed_static = noise.encrypt(&keys.public())?;
    noise.mix_shared_secret(keys.noise.private_key.serialize(), client_ephemeral)?;
    let sealed_chain = noise.encrypt(&keys.chain)?;
    let reply = server_hello(&ephemeral, Some(sealed_static), sealed_chain);
    Ok(Answer::Unfinished { reply, rest: Box::new(Unfinished { noise, ephemeral, pattern }) })
}

impl Unfinished {
    pub(super) fn finish(mut self, finish: &[u8]) -> Result<Outcome> {
        let finish = HandshakeMessage::decode_from_slice(finish)?;
        let finish = finish.client_finish.into_option().ok_or(Error::Malformed("no client finish"))?;
        let (Some(sealed_static), Some(sealed_payload)) = (finish.r#static, finish.payload) else {
            return Err(Error::Malformed("the client finish lacks a part"));
        };
        let client = key(self.noise.decrypt(&sealed_static)?)?;
        self.noise.mix_shared_secret(self.ephemeral.private_key.serialize(), &client)?;
        let payload = self.noise.decrypt(&sealed_payload)?;
        outcome(self.noise, self.pattern, client, payload)
    }
}

fn outcome(noise: NoiseHandshake, pattern: Pattern, client: [u8; 32], payload: Vec<u8>) -> Result<Outcome> {
    // The library names the ciphers from the client's side.
    let (read, write) = noise.finish()?;
    Ok(Outcome { pattern, client, payload, read, write })
}

fn key(bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| Error::Malformed("the client's key has not 32 bytes"))
}

fn server_hello(ephemeral: &KeyPair, sealed_static: Option<Vec<u8>>, sealed_chain: Vec<u8>) -> Vec<u8> {
    let hello = ServerHello {
        ephemeral: Some(public(ephemeral).to_vec()),
        r#static: sealed_static,
        payload: Some(sealed_chain),
        ..ServerHello::default()
    };
    HandshakeMessage { server_hello: MessageField::some(hello), ..HandshakeMessage::default() }.encode_to_vec()
}
