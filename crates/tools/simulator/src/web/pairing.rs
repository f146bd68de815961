//! Linking a device: it shows a code, a phone reads it, and the server introduces them.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use parking_lot::Mutex;
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};
use waproto::{
    buffa::Message as _,
    whatsapp::{ClientPairingProps, ClientPayload, DeviceProps},
};

pub(super) use super::done::{self, Outcome};
use super::{
    adv, deliver,
    error::Result,
    link::Client,
    link_code::LinkCode,
    mailbox::{Mailbox, Out},
    passkey::Passkey,
    person::Device,
    queue::Queue,
    settings,
    stanza::{owned, result, server, text, value},
};
use crate::world::World;

/// Codes shown one after the other; one connection has no more.
const REFS: usize = 6;
/// What a native camera puts before the code.
const DEEP_LINK: &str = "https://wa.me/settings/linked_devices#";
/// The stream's end after a successful pairing: the device is to log in now.
const RESTART: u16 = 515;

/// Connections that wait for a phone, by the codes they show.
#[derive(Default)]
pub(super) struct Pairings(Mutex<HashMap<String, Arc<Waiting>>>);

/// A device that is not linked yet.
pub(super) struct Waiting {
    pub(super) mailbox: Arc<Mailbox>,
    link_code: LinkCode,
    passkey: Passkey,
    refs: Vec<String>,
    noise: [u8; 32],
    identity: [u8; 32],
    registration_id: u32,
    signed_prekey: (u32, [u8; 32], Vec<u8>),
    name: String,
    scanned: Mutex<Option<Scanned>>,
}

/// A phone has read the code; the device has yet to accept.
struct Scanned {
    request: String,
    number: String,
    device: u16,
    key_index: u32,
    done: done::Sender,
}

/// A device that was linked.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Linked {
    pub(crate) number: String,
    pub(crate) device: u16,
    pub(crate) jid: String,
    pub(crate) lid: String,
    /// With a passkey: what device and phone both show, for a person to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verification_code: Option<String>,
}

/// The connection of a device that is not linked yet.
pub(super) struct Pairing {
    world: Arc<World>,
    waiting: Arc<Waiting>,
}

impl Pairing {
    /// Starts showing codes; none if the client did not say who it is.
    pub(super) fn new(world: Arc<World>, client: &Client, payload: &ClientPayload, mailbox: Arc<Mailbox>) -> Option<Self> {
        let data = payload.device_pairing_data.as_option()?;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let props = DeviceProps::decode_from_slice(data.device_props.as_deref().unwrap_or_default()).unwrap_or_default();
        let refs: Vec<String> = (0..REFS).map(|_| format!("2@{}", BASE64_STANDARD.encode(rand::random::<[u8; 48]>()))).collect();
        let waiting = Arc::new(Waiting {
            mailbox: Arc::clone(&mailbox),
            link_code: LinkCode::default(),
            passkey: Passkey::default(),
            noise: client.key,
            identity: data.e_ident.as_deref()?.try_into().ok()?,
            registration_id: number(data.e_regid.as_deref()?),
            signed_prekey: (number(data.e_skey_id.as_deref()?), data.e_skey_val.as_deref()?.try_into().ok()?, data.e_skey_sig.clone()?),
            name: props.os.unwrap_or_default(),
            refs,
            scanned: Mutex::default(),
        });
        let mut pairings = world.web.pairings.0.lock();
        pairings.extend(waiting.refs.iter().map(|code| (code.clone(), Arc::clone(&waiting))));
        drop(pairings);
        let refs = waiting.refs.iter().map(|code| value("ref", code.as_bytes().to_vec()));
        let codes = NodeBuilder::new("pair-device").children(refs).build();
        mailbox.put(Out::Stanza(request(world.web.next().to_string(), codes)));
        Some(Self { world, waiting })
    }

    pub(super) fn handle(&self, node: &NodeRef<'_>) -> Vec<Node> {
        if &*node.tag != "iq" {
            return Vec::new();
        }
        match text(node, "type").as_deref() {
            Some("result") => {
                if let Some(sign) = node.get_optional_child("pair-device-sign") {
                    self.signed(node, sign);
                }
                Vec::new()
            }
            Some("error") => {
                self.end(&owned(node, "id"), Err("the device refused the introduction".into()));
                Vec::new()
            }
            _ => vec![self.answer(node)],
        }
    }

    fn answer(&self, request: &NodeRef<'_>) -> Node {
        let what = super::stanza::children(request).first().map_or("", |child| &*child.tag);
        let answered = match text(request, "xmlns").as_deref() {
            Some("w:p" | "urn:xmpp:ping") => Some(result(request, [])),
            Some("md") if what == "link_code_companion_reg" => self.waiting.link_code.answer(&self.world, &self.waiting, request),
            Some("md") => self.waiting.passkey.answer(&self.world, &self.waiting, request, what),
            _ => None,
        };
        answered.unwrap_or_else(|| {
            self.world.web.unknown.count(request);
            super::stanza::error(request, 501, "feature-not-implemented")
        })
    }

    /// The device signed what the phone introduced it with: it is linked, and is to log in.
    fn signed(&self, node: &NodeRef<'_>, sign: &NodeRef<'_>) {
        let certificate = sign.get_optional_child("device-identity").and_then(|identity| identity.content_bytes()).unwrap_or_default();
        let Some(scanned) = self.scanned(&owned(node, "id")) else { return };
        let linked = link(&self.world, &self.waiting, &scanned, certificate);
        let well = linked.is_ok();
        scanned.done.tell(linked);
        let last = NodeBuilder::new("stream:error").attr("code", RESTART).build();
        self.waiting.mailbox.put(Out::End(well.then_some(last)));
    }

    fn scanned(&self, request: &str) -> Option<Scanned> {
        let mut scanned = self.waiting.scanned.lock();
        scanned.take_if(|scanned| scanned.request == request)
    }

    fn end(&self, request: &str, outcome: std::result::Result<Linked, String>) {
        if let Some(scanned) = self.scanned(request) {
            scanned.done.tell(outcome);
        }
    }
}

impl Drop for Pairing {
    fn drop(&mut self) {
        let mut pairings = self.world.web.pairings.0.lock();
        for code in &self.waiting.refs {
            pairings.remove(code);
        }
    }
}

fn request(id: String, content: Node) -> Node {
    NodeBuilder::new("iq").attr("from", server()).attr("id", id).attr("type", "set").attr("xmlns", "md").children([content]).build()
}

/// Adds the device to the account.
fn link(world: &World, waiting: &Waiting, scanned: &Scanned, certificate: &[u8]) -> std::result::Result<Linked, String> {
    let person = world.web.people.find(&scanned.number).ok_or("the account is gone")?;
    let mut person = person.lock();
    if !adv::accepted(certificate, &waiting.identity, &person.signal.identity_key()) {
        return Err("the device's signature is wrong".into());
    }
    let device = Device {
        id: scanned.device,
        key_index: scanned.key_index,
        name: waiting.name.clone(),
        noise: waiting.noise,
        identity: waiting.identity,
        certificate: certificate.to_vec(),
        registration_id: waiting.registration_id,
        signed_prekey: waiting.signed_prekey.clone(),
        prekeys: std::collections::VecDeque::new(),
        welcomed: false,
        linked_at: world.now(),
        logins: 0,
        handshake: None,
        last_login: None,
        last_ack: None,
        queue: Queue::default(),
        online: None,
        active: false,
    };
    person.devices.insert(scanned.device, device);
    person.tell_devices(scanned.device, world.now().timestamp());
    let linked = Linked {
        number: person.number.clone(),
        device: scanned.device,
        jid: person.jid(scanned.device).to_string(),
        lid: person.lid_jid(scanned.device).to_string(),
        verification_code: None,
    };
    Ok(linked)
}

/// The phone of `number` reads a code. The receiver tells whether the device was linked in the end.
///
/// # Errors
/// A sentence for the caller when the code is not one that a device shows now.
pub(crate) fn scan(world: &World, number: &str, code: &str) -> std::result::Result<Outcome, String> {
    let code = code.trim();
    let fields: Vec<&str> = code.strip_prefix(DEEP_LINK).unwrap_or(code).split(',').collect();
    let [reference, noise, identity, secret, ..] = fields.as_slice() else {
        return Err("a code consists of a reference and three keys, with commas between".into());
    };
    let key = |field: &str| BASE64_STANDARD.decode(field).map_err(|_| "a key in the code is not base64".to_owned());
    let waiting = world.web.pairings.0.lock().get(*reference).cloned();
    let waiting = waiting.ok_or("no device shows this code now")?;
    if key(noise)? != waiting.noise || key(identity)? != waiting.identity {
        return Err("the keys in the code are not those of the device that shows it".into());
    }
    if world.web.asks_for_passkey(number) {
        return Ok(waiting.passkey.ask(world, &waiting, number));
    }
    let (done, outcome) = done::channel();
    introduce(world, &waiting, number, &key(secret)?, done).map_err(|error| error.to_string())?;
    Ok(outcome)
}

/// A person types the code that a device shows into the phone of `number`.
///
/// # Errors
/// A sentence for the caller when no device waits for this phone. A wrong code shows in the outcome.
pub(crate) fn enter(world: &World, number: &str, code: &str) -> std::result::Result<Outcome, String> {
    let waiting = world.web.pairings.0.lock().values().find(|waiting| waiting.link_code.waits_for(number)).cloned();
    let waiting = waiting.ok_or("no device waits for this phone")?;
    waiting.link_code.enter(world, &waiting, code)
}

/// Tells the device who its account is.
pub(super) fn introduce(world: &World, waiting: &Waiting, number: &str, secret: &[u8], done: done::Sender) -> Result<()> {
    let person = world.web.people.get(&world.web.keys, number)?;
    person.lock().account();
    if person.lock().collections.version(settings::NAME) == 0 {
        deliver::write_name(world, number)?;
    }
    let mut person = person.lock();
    let account = person.account();
    account.last_device += 1;
    account.last_key_index += 1;
    let (device, key_index) = (account.last_device, account.last_key_index);
    let (name, platform, lid_addressing) = (account.name.clone(), account.platform.clone(), account.lid_addressing);
    let now = world.now().timestamp().unsigned_abs();
    let identity = adv::introduce(&person.signal, person.raw_id(), key_index, now, &waiting.identity, secret)?;
    let props = ClientPairingProps { is_chat_db_lid_migrated: Some(lid_addressing), ..Default::default() };
    let parts = [
        value("device-identity", identity),
        NodeBuilder::new("biz").attr("name", name).build(),
        NodeBuilder::new("device").attr("jid", person.jid(device)).attr("lid", person.lid_jid(device)).build(),
        NodeBuilder::new("platform").attr("name", platform).build(),
        value("client-props", props.encode_to_vec()),
    ];
    let id = world.web.next().to_string();
    *waiting.scanned.lock() = Some(Scanned { request: id.clone(), number: number.to_owned(), device, key_index, done });
    let mut success = request(id, NodeBuilder::new("pair-success").children(parts).build());
    success.attrs.insert("t", now);
    waiting.mailbox.put(Out::Stanza(success));
    Ok(())
}
