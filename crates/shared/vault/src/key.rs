//! The key of one tenant.

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use rand::Rng;
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::Error;

const FORMAT: u8 = 1;
const NONCE: usize = 24;
const HEAD: usize = 5 + NONCE;

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub tenant: Uuid,
    /// Table and column, such as `queue.messages.content`.
    pub column: &'static str,
    pub row: Uuid,
}

impl Place {
    fn bytes(&self) -> Vec<u8> {
        [self.tenant.as_bytes().as_slice(), self.row.as_bytes(), self.column.as_bytes()].concat()
    }
}

/// Seals, opens and indexes the values of one tenant.
pub struct TenantKey {
    version: u32,
    data: Zeroizing<[u8; 32]>,
    index: Zeroizing<[u8; 32]>,
    cipher: XChaCha20Poly1305,
}

impl TenantKey {
    pub(crate) fn generate() -> Self {
        let (mut data, mut index) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        rand::rng().fill_bytes(data.as_mut());
        rand::rng().fill_bytes(index.as_mut());
        Self::new(1, data, index)
    }

    fn new(version: u32, data: Zeroizing<[u8; 32]>, index: Zeroizing<[u8; 32]>) -> Self {
        let cipher = XChaCha20Poly1305::new(&(*data).into());
        Self { version, data, index, cipher }
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.version.to_be_bytes().as_slice(), self.data.as_ref(), self.index.as_ref()].concat())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        let (data, rest) = rest.split_first_chunk::<32>()?;
        let index = <[u8; 32]>::try_from(rest).ok()?;
        Some(Self::new(u32::from_be_bytes(*version), Zeroizing::new(*data), Zeroizing::new(index)))
    }

    /// Seals a value to its place.
    pub fn seal(&self, place: Place, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + 16);
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        sealed.push(FORMAT);
        sealed.extend(self.version.to_be_bytes());
        sealed.extend(nonce);
        let payload = Payload { msg: plain, aad: &place.bytes() };
        sealed.extend(self.cipher.encrypt(&XNonce::from(nonce), payload).expect("values are far below the cipher's limit"));
        sealed
    }

    /// Opens a value at its place.
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (head, cipher) = sealed.split_first_chunk::<HEAD>().ok_or(Error::Sealed)?;
        if head[0] != FORMAT || head[1..5] != self.version.to_be_bytes() {
            return Err(Error::Sealed);
        }
        let nonce = <[u8; NONCE]>::try_from(&head[5..]).map_err(|_| Error::Sealed)?;
        self.cipher.decrypt(&XNonce::from(nonce), Payload { msg: cipher, aad: &place.bytes() }).map_err(|_| Error::Sealed)
    }

    /// Equal values of a kind (such as `phone`) have equal indexes, which tell nothing without the key.
    pub fn blind_index(&self, kind: &str, value: &str) -> [u8; 16] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.index.as_ref()).expect("HMAC takes keys of any length");
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(value.as_bytes());
        let mut index = [0; 16];
        index.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        index
    }
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantKey(version {}, ***)", self.version)
    }
}
