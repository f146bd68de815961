//! A phone's end of Signal: the stores that the library asks for, in memory, and sealing and opening with them.
//!
//! Private keys derive from the server's secret and the phone's number, so only sessions need to be kept.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::{
    self as signal, CiphertextMessage, Direction, GenericSignedPreKey as _, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore,
    KeyPair, PreKeyBundle, PreKeyId, PreKeyRecord, PreKeySignalMessage, PreKeyStore, ProtocolAddress, SessionRecord, SessionStore,
    SignalMessage, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, Timestamp, UsePQRatchet,
};

use super::{
    error::{Error, Result},
    keys::{ServerKeys, key_pair, public},
};

type SignalResult<T> = std::result::Result<T, SignalProtocolError>;

/// The one signed prekey a phone has.
const SIGNED_PREKEY: u32 = 1;
const REGISTRATION_IDS: u32 = 0x3fff;

/// Sessions by `number.device` of the other side, whichever of its names that side was addressed by.
#[derive(Default)]
pub(super) struct Sessions(HashMap<ProtocolAddress, SessionRecord>);

pub(super) struct Identity {
    pair: IdentityKeyPair,
    pub(super) registration_id: u32,
}

/// Prekeys derive from their number.
pub(super) struct PreKeys {
    seed: [u8; 32],
    next: u32,
}

pub(super) struct SignedPreKey {
    pair: KeyPair,
    signature: Vec<u8>,
}

pub(super) struct Signal {
    pub(super) identity: Identity,
    sessions: Sessions,
    prekeys: PreKeys,
    signed: SignedPreKey,
}

/// What of a phone's Signal state cannot be derived.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Stored {
    next_prekey: u32,
    /// `number`, device, and the record in hex.
    sessions: Vec<(String, u32, String)>,
}

/// Public keys of a device, as the server hands them out.
pub(super) struct Bundle {
    pub(super) registration_id: u32,
    pub(super) identity: [u8; 32],
    pub(super) signed: (u32, [u8; 32], Vec<u8>),
    pub(super) prekey: Option<(u32, [u8; 32])>,
}

/// A sealed message: `msg` or `pkmsg`, and its bytes.
pub(super) struct Sealed {
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn address(number: &str, device: u16) -> ProtocolAddress {
    ProtocolAddress::new(number, u32::from(device).into())
}

impl Signal {
    /// The keys of `owner`; another owner name gives other keys.
    pub(super) fn new(keys: &ServerKeys, owner: &str) -> Result<Self> {
        let identity = key_pair(&keys.derive(&format!("{owner}/identity")))?;
        let signed = key_pair(&keys.derive(&format!("{owner}/signed")))?;
        let signature = identity.calculate_signature(&signed.public_key.serialize(), &mut rand::rng())?;
        let registration = keys.derive(&format!("{owner}/registration"));
        let number = u32::from_be_bytes([registration[0], registration[1], registration[2], registration[3]]);
        Ok(Self {
            identity: Identity {
                pair: IdentityKeyPair::new(IdentityKey::new(identity.public_key), identity.private_key),
                registration_id: 1 + number % REGISTRATION_IDS,
            },
            sessions: Sessions::default(),
            prekeys: PreKeys { seed: keys.derive(&format!("{owner}/prekeys")), next: 1 },
            signed: SignedPreKey { pair: signed, signature: signature.to_vec() },
        })
    }

    pub(super) fn restore(&mut self, stored: &Stored) -> Result<()> {
        self.prekeys.next = stored.next_prekey.max(1);
        for (number, device, record) in &stored.sessions {
            let bytes = hex::decode(record).map_err(|_| Error::Malformed("a stored session is not hex"))?;
            self.sessions.0.insert(ProtocolAddress::new(number, (*device).into()), SessionRecord::deserialize(&bytes)?);
        }
        Ok(())
    }

    pub(super) fn stored(&self) -> Result<Stored> {
        let mut sessions = Vec::with_capacity(self.sessions.0.len());
        for (address, record) in &self.sessions.0 {
            sessions.push((address.name().to_owned(), u32::from(address.device_id()), hex::encode(record.serialize()?)));
        }
        Ok(Stored { next_prekey: self.prekeys.next, sessions })
    }

    /// The public keys, with a one-time prekey never handed out before.
    pub(super) fn bundle(&mut self) -> Result<Bundle> {
        let id = self.prekeys.next;
        // Ids travel in three bytes.
        self.prekeys.next = if id >= 0x00ff_fffe { 1 } else { id + 1 };
        Ok(Bundle {
            registration_id: self.identity.registration_id,
            identity: self.identity_key(),
            signed: (SIGNED_PREKEY, public(&self.signed.pair), self.signed.signature.clone()),
            prekey: Some((id, public(&self.prekeys.pair(id)?))),
        })
    }

    pub(super) fn identity_key(&self) -> [u8; 32] {
        self.identity.pair.public_key().public_key_bytes().try_into().expect("a Curve25519 key has 32 bytes")
    }

    /// Signs as the account this phone is the primary device of.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.identity.pair.private_key().calculate_signature(message, &mut rand::rng())?.to_vec())
    }

    /// What this phone's identity and another's agree on.
    pub(super) fn agree(&self, theirs: &[u8; 32]) -> Result<[u8; 32]> {
        let theirs = wacore_libsignal::protocol::PublicKey::from_djb_public_key_bytes(theirs)?;
        Ok(self.identity.pair.private_key().calculate_agreement(&theirs)?)
    }

    pub(super) fn has_session(&self, peer: &ProtocolAddress) -> bool {
        self.sessions.0.get(peer).is_some_and(|record| record.session_state().is_some())
    }

    pub(super) fn forget(&mut self, peer: &ProtocolAddress) {
        self.sessions.0.remove(peer);
    }

    pub(super) fn forget_all(&mut self) {
        self.sessions.0.clear();
    }

    /// Opens what `peer` sealed; the plaintext with its padding.
    pub(super) fn open(&mut self, peer: &ProtocolAddress, kind: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let message = match kind {
            "pkmsg" => CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(bytes)?),
            "msg" => CiphertextMessage::SignalMessage(SignalMessage::try_from(bytes)?),
            _ => return Err(Error::Malformed("an unknown kind of encryption")),
        };
        let mut rng = rand::rng();
        let opened = signal::message_decrypt(
            &message,
            peer,
            &mut self.sessions,
            &mut self.identity,
            &mut self.prekeys,
            &self.signed,
            &mut rng,
            UsePQRatchet::No,
        );
        Ok(opened.now_or_never().ok_or(Error::Waited)??.plaintext)
    }

    /// Starts a session with a device from its public keys.
    pub(super) fn meet(&mut self, peer: &ProtocolAddress, bundle: &Bundle) -> Result<()> {
        let key = |bytes: &[u8; 32]| wacore_libsignal::protocol::PublicKey::from_djb_public_key_bytes(bytes);
        let prekey = match &bundle.prekey {
            Some((id, bytes)) => Some((PreKeyId::from(*id), key(bytes)?)),
            None => None,
        };
        let (signed_id, signed, signature) = &bundle.signed;
        let bundle = PreKeyBundle::new(
            bundle.registration_id,
            peer.device_id(),
            prekey,
            SignedPreKeyId::from(*signed_id),
            key(signed)?,
            signature.clone(),
            IdentityKey::new(key(&bundle.identity)?),
        )?;
        let mut rng = rand::rng();
        let met = signal::process_prekey_bundle(peer, &mut self.sessions, &mut self.identity, &bundle, &mut rng, UsePQRatchet::No);
        met.now_or_never().ok_or(Error::Waited)??;
        Ok(())
    }

    /// Seals a padded plaintext for a device there is a session with.
    pub(super) fn seal(&mut self, peer: &ProtocolAddress, plaintext: &[u8]) -> Result<Sealed> {
        let sealed = signal::message_encrypt(plaintext, peer, &mut self.sessions, &mut self.identity);
        let sealed = sealed.now_or_never().ok_or(Error::Waited)??;
        let kind = if matches!(sealed, CiphertextMessage::PreKeySignalMessage(_)) { "pkmsg" } else { "msg" };
        Ok(Sealed { kind, bytes: sealed.serialize().to_vec() })
    }
}

impl PreKeys {
    fn pair(&self, id: u32) -> Result<KeyPair> {
        use hmac::{KeyInit as _, Mac as _};
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&self.seed).expect("HMAC takes keys of any length");
        mac.update(&id.to_be_bytes());
        key_pair(&mac.finalize().into_bytes().into())
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> SignalResult<Option<SessionRecord>> {
        Ok(self.0.get(address).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> SignalResult<bool> {
        Ok(self.0.contains_key(address))
    }

    async fn store_session(&mut self, address: &ProtocolAddress, record: SessionRecord) -> SignalResult<()> {
        self.0.insert(address.clone(), record);
        Ok(())
    }
}

#[async_trait]
impl IdentityKeyStore for Identity {
    async fn get_identity_key_pair(&self) -> SignalResult<IdentityKeyPair> {
        Ok(self.pair.clone())
    }

    async fn get_local_registration_id(&self) -> SignalResult<u32> {
        Ok(self.registration_id)
    }

    /// Phones take a changed identity as it comes; they only show a note.
    async fn save_identity(&mut self, _: &ProtocolAddress, _: &IdentityKey) -> SignalResult<IdentityChange> {
        Ok(IdentityChange::NewOrUnchanged)
    }

    async fn is_trusted_identity(&self, _: &ProtocolAddress, _: &IdentityKey, _: Direction) -> SignalResult<bool> {
        Ok(true)
    }

    async fn get_identity(&self, _: &ProtocolAddress) -> SignalResult<Option<IdentityKey>> {
        Ok(None)
    }
}

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> SignalResult<PreKeyRecord> {
        let number = u32::from(id);
        let pair = self.pair(number).ok().filter(|_| number < self.next).ok_or(SignalProtocolError::InvalidPreKeyId)?;
        Ok(PreKeyRecord::new(id, &pair))
    }

    async fn save_pre_key(&mut self, _: PreKeyId, _: &PreKeyRecord) -> SignalResult<()> {
        Ok(())
    }

    /// None is handed out twice, so none is used twice.
    async fn remove_pre_key(&mut self, _: PreKeyId) -> SignalResult<()> {
        Ok(())
    }
}

#[async_trait]
impl SignedPreKeyStore for SignedPreKey {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> SignalResult<SignedPreKeyRecord> {
        if u32::from(id) != SIGNED_PREKEY {
            return Err(SignalProtocolError::InvalidSignedPreKeyId);
        }
        Ok(SignedPreKeyRecord::new(id, Timestamp::from_epoch_millis(0), &self.pair, &self.signature))
    }

    async fn save_signed_pre_key(&mut self, _: SignedPreKeyId, _: &SignedPreKeyRecord) -> SignalResult<()> {
        Ok(())
    }
}
