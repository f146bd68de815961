//! What a primary phone signs for its linked devices: their identities, and the list of those that are valid.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use waproto::{
    buffa::Message as _,
    whatsapp::{ADVDeviceIdentity, ADVKeyIndexList, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC, ADVSignedKeyIndexList},
};

use super::{error::Result, signal::Signal};

/// Domain separators of the signatures.
const ACCOUNT: [u8; 2] = [6, 0];
const DEVICE: [u8; 2] = [6, 1];
const KEY_INDEX: [u8; 2] = [6, 2];

/// The identity of a new device, signed by its account and sealed with the secret that the device showed or agreed on.
pub(super) fn introduce(account: &Signal, raw_id: u32, key_index: u32, now: u64, device: &[u8; 32], secret: &[u8]) -> Result<Vec<u8>> {
    let details = ADVDeviceIdentity { raw_id: Some(raw_id), timestamp: Some(now), key_index: Some(key_index), ..Default::default() };
    let details = details.encode_to_vec();
    let signed = ADVSignedDeviceIdentity {
        account_signature_key: Some(account.identity_key().to_vec()),
        account_signature: Some(account.sign(&[&ACCOUNT[..], &details, device].concat())?),
        details: Some(details),
        device_signature: None,
    };
    let signed = signed.encode_to_vec();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(&signed);
    let sealed =
        ADVSignedDeviceIdentityHMAC { details: Some(signed), hmac: Some(mac.finalize().into_bytes().to_vec()), ..Default::default() };
    Ok(sealed.encode_to_vec())
}

/// Whether a device signed the identity it was given.
pub(super) fn accepted(identity: &[u8], device: &[u8; 32], account: &[u8; 32]) -> bool {
    let Ok(signed) = ADVSignedDeviceIdentity::decode_from_slice(identity) else { return false };
    let (Some(details), Some(signature)) = (signed.details, signed.device_signature) else { return false };
    let Ok(key) = wacore_libsignal::protocol::PublicKey::from_djb_public_key_bytes(device) else { return false };
    key.verify_signature(&device_message(&details, device, account), &signature)
}

/// What a device signs to accept its account.
pub(super) fn device_message(details: &[u8], device: &[u8; 32], account: &[u8; 32]) -> Vec<u8> {
    [&DEVICE[..], details, device, account].concat()
}

/// The signed list of valid devices.
pub(super) fn key_indexes(account: &Signal, raw_id: u32, current: u32, valid: Vec<u32>, now: u64) -> Result<Vec<u8>> {
    let details = ADVKeyIndexList {
        raw_id: Some(raw_id),
        timestamp: Some(now),
        current_index: Some(current),
        valid_indexes: valid,
        ..Default::default()
    };
    let details = details.encode_to_vec();
    let signature = account.sign(&[&KEY_INDEX[..], &details].concat())?;
    let signed = ADVSignedKeyIndexList { account_signature: Some(signature), details: Some(details), account_signature_key: None };
    Ok(signed.encode_to_vec())
}
