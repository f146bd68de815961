//! Many linked devices at once, for measurements: made by the server with all their keys, ready to log in.

use std::collections::VecDeque;

use serde_json::{Value, json};
use waproto::{
    buffa::Message as _,
    whatsapp::{ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC},
};

use super::{
    adv,
    error::{Error, Result},
    keys::{key_pair, public},
    person::Device,
    queue::Queue,
};
use crate::world::World;

/// Links a new device to each of `count` numbers from `first` on, and tells the keys of each.
pub(crate) fn provision(world: &World, first: u64, count: u64) -> Result<Vec<Value>> {
    (first..first.saturating_add(count)).map(|number| one(world, &number.to_string())).collect()
}

fn one(world: &World, number: &str) -> Result<Value> {
    let secrets = [(); 3].map(|()| rand::random::<[u8; 32]>());
    let [noise, identity, signed] = [key_pair(&secrets[0])?, key_pair(&secrets[1])?, key_pair(&secrets[2])?];
    let adv_secret: [u8; 32] = rand::random();
    let registration_id = rand::random_range(1..0x3fff_u32);
    let signature = identity.calculate_signature(&signed.public_key.serialize(), &mut rand::rng())?.to_vec();
    let person = world.web.people.get(&world.web.keys, number)?;
    let mut person = person.lock();
    let account = person.account();
    account.last_device += 1;
    account.last_key_index += 1;
    let (id, key_index, name) = (account.last_device, account.last_key_index, account.name.clone());
    let now = world.now();
    let sealed =
        adv::introduce(&person.signal, person.raw_id(), key_index, now.timestamp().unsigned_abs(), &public(&identity), &adv_secret)?;
    let sealed = ADVSignedDeviceIdentityHMAC::decode_from_slice(&sealed)?;
    let mut certificate = ADVSignedDeviceIdentity::decode_from_slice(sealed.details.as_deref().ok_or(Error::Malformed("no identity"))?)?;
    let account_key = person.signal.identity_key();
    let message = adv::device_message(certificate.details.as_deref().unwrap_or_default(), &public(&identity), &account_key);
    certificate.device_signature = Some(identity.calculate_signature(&message, &mut rand::rng())?.to_vec());
    let certificate = certificate.encode_to_vec();
    let told = json!({
        "number": number,
        "name": name,
        "device": id,
        "jid": person.jid(id).to_string(),
        "lid": person.lid_jid(id).to_string(),
        "registration_id": registration_id,
        "noise_private": hex::encode(secrets[0]),
        "identity_private": hex::encode(secrets[1]),
        "signed_prekey_id": 1,
        "signed_prekey_private": hex::encode(secrets[2]),
        "signed_prekey_signature": hex::encode(&signature),
        "adv_secret": hex::encode(adv_secret),
        "account": hex::encode(&certificate),
    });
    let device = Device {
        id,
        key_index,
        name: "provisioned".into(),
        noise: public(&noise),
        identity: public(&identity),
        certificate,
        registration_id,
        signed_prekey: (1, public(&signed), signature),
        prekeys: VecDeque::new(),
        welcomed: false,
        linked_at: now,
        logins: 0,
        handshake: None,
        last_login: None,
        last_ack: None,
        queue: Queue::default(),
        online: None,
        active: false,
    };
    person.devices.insert(id, device);
    Ok(told)
}
