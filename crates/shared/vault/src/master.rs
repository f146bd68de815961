//! The key that wraps tenant keys.

use std::{fmt, fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::Rng;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Error, TenantKey};

const NONCE: usize = 24;

/// 32 random bytes that stand above everything else.
pub struct MasterKey(XChaCha20Poly1305);

impl MasterKey {
    /// A fresh key, as the file that [`MasterKey::read`] reads.
    pub fn generate() -> String {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(bytes.as_mut());
        BASE64_STANDARD.encode(bytes.as_ref())
    }

    /// Reads a key file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |problem: String| Error::MasterKey { path: path.display().to_string(), problem };
        let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read ({error})")))?);
        Self::parse(&text).ok_or_else(|| wrong("does not hold 32 bytes in base64".to_owned()))
    }

    /// Reads a key from base64.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).ok()?);
        Some(Self(XChaCha20Poly1305::new_from_slice(&bytes).ok()?))
    }

    pub(crate) fn wrap(&self, tenant: Uuid, key: &TenantKey) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let plain = key.to_bytes();
        let payload = Payload { msg: plain.as_ref(), aad: tenant.as_bytes() };
        let cipher = self.0.encrypt(&XNonce::from(nonce), payload).expect("a key is far below the cipher's limit");
        [nonce.as_slice(), &cipher].concat()
    }

    pub(crate) fn unwrap(&self, tenant: Uuid, wrapped: &[u8]) -> Result<TenantKey, Error> {
        let (nonce, cipher) = wrapped.split_first_chunk::<NONCE>().ok_or(Error::TenantKey)?;
        let payload = Payload { msg: cipher, aad: tenant.as_bytes() };
        let plain = Zeroizing::new(self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Error::TenantKey)?);
        TenantKey::from_bytes(&plain).ok_or(Error::TenantKey)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}
