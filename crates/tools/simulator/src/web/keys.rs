//! The server's keys: its Noise identity with a certificate chain, and the secret from which all phones' keys derive.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use wacore_libsignal::protocol::{KeyPair, PrivateKey};
use waproto::{
    buffa::{Message as _, MessageField},
    whatsapp::{self as wa, cert_chain::noise_certificate::Details},
};

use super::error::Result;

const FILE: &str = "server.json";
/// The validity WhatsApp's certificates carry, from 2023 to 2100 in Unix seconds.
const NOT_BEFORE: u64 = 1_672_531_200;
const NOT_AFTER: u64 = 4_102_444_800;

pub(crate) struct ServerKeys {
    pub(super) noise: KeyPair,
    /// The encoded `CertChain`: root, signing an intermediate, signing the Noise key. The root is this simulator's own.
    pub(super) chain: Vec<u8>,
    master: [u8; 32],
}

#[derive(Deserialize, Serialize)]
struct Stored {
    noise: String,
    intermediate: String,
    root: String,
    master: String,
}

impl ServerKeys {
    /// The keys kept in `directory`, made at the first start; without a directory new ones each time.
    pub(super) fn load(directory: Option<&Path>) -> Result<Self> {
        let Some(directory) = directory else { return Self::from_stored(&Stored::generate()) };
        let path = directory.join(FILE);
        if path.exists() {
            return Self::from_stored(&serde_json::from_slice(&std::fs::read(path)?)?);
        }
        std::fs::create_dir_all(directory)?;
        let stored = Stored::generate();
        std::fs::write(path, serde_json::to_vec_pretty(&stored)?)?;
        Self::from_stored(&stored)
    }

    fn from_stored(stored: &Stored) -> Result<Self> {
        let noise = key_pair(&secret(&stored.noise))?;
        let intermediate = key_pair(&secret(&stored.intermediate))?;
        let root = key_pair(&secret(&stored.root))?;
        let intermediate_details = details(1, 0, &intermediate);
        let leaf_details = details(2, 1, &noise);
        let chain = wa::CertChain {
            leaf: MessageField::some(certificate(leaf_details, &intermediate)?),
            intermediate: MessageField::some(certificate(intermediate_details, &root)?),
        };
        Ok(Self { noise, chain: chain.encode_to_vec(), master: secret(&stored.master) })
    }

    /// The Noise key that clients know the server by.
    pub(crate) fn public(&self) -> [u8; 32] {
        public(&self.noise)
    }

    /// 32 bytes that belong to `name`, the same as long as the server keeps its keys.
    pub(super) fn derive(&self, name: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.master).expect("HMAC takes keys of any length");
        mac.update(name.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl Stored {
    fn generate() -> Self {
        let random = || hex::encode(rand::random::<[u8; 32]>());
        Self { noise: random(), intermediate: random(), root: random(), master: random() }
    }
}

fn secret(text: &str) -> [u8; 32] {
    hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// The key pair whose private half these bytes are.
pub(super) fn key_pair(secret: &[u8; 32]) -> Result<KeyPair> {
    let private_key = PrivateKey::deserialize(secret)?;
    Ok(KeyPair::new(private_key.public_key()?, private_key))
}

pub(super) fn public(pair: &KeyPair) -> [u8; 32] {
    pair.public_key.public_key_bytes().try_into().expect("a Curve25519 key has 32 bytes")
}

fn details(serial: u32, issuer_serial: u32, key: &KeyPair) -> Vec<u8> {
    let details = Details {
        serial: Some(serial),
        issuer_serial: Some(issuer_serial),
        key: Some(public(key).to_vec()),
        not_before: Some(NOT_BEFORE),
        not_after: Some(NOT_AFTER),
    };
    details.encode_to_vec()
}

fn certificate(details: Vec<u8>, issuer: &KeyPair) -> Result<wa::cert_chain::NoiseCertificate> {
    let signature = issuer.calculate_signature(&details, &mut rand::rng())?;
    Ok(wa::cert_chain::NoiseCertificate { details: Some(details), signature: Some(signature.to_vec()) })
}
