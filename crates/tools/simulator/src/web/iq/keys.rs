//! Public keys: a device leaves its own with the server, and asks for those of others.

use wacore::prekeys::compute_key_bundle_digest;
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use crate::web::{
    deliver,
    error::Result,
    people::number_of,
    person::Device,
    session::Session,
    signal::Bundle,
    stanza::{bytes, children, error, id, jid, result, uint, value},
};

/// WhatsApp's code for a device that there is not.
const NOT_ACCEPTABLE: u16 = 406;
/// Curve25519 keys.
const KEY_TYPE: u8 = 5;

pub(super) fn answer(session: &Session, request: &NodeRef<'_>, set: bool, what: &str) -> Option<Node> {
    match (set, what) {
        (false, "count") => {
            let count = session.with(|device| device.prekeys.len()).unwrap_or(0);
            Some(result(request, [NodeBuilder::new("count").attr("value", count).build()]))
        }
        (false, "digest") => {
            let digest = session.with(|device| digest(device))?;
            Some(digest.map_or_else(|| error(request, 404, "item-not-found"), |digest| result(request, [digest])))
        }
        (false, "key" | "key_fetch") => Some(fetch(session, request)),
        (false, "identity") => Some(identities(session, request)),
        (true, "rotate") => {
            let skey = request.get_optional_child("rotate")?.get_optional_child("skey")?;
            session.with(|device| signed(skey).map(|signed| device.signed_prekey = signed))??;
            Some(result(request, []))
        }
        (true, _) => upload(session, request),
        _ => None,
    }
}

fn key32(node: &NodeRef<'_>, name: &str) -> Option<[u8; 32]> {
    bytes(node, name)?.try_into().ok()
}

fn signed(skey: &NodeRef<'_>) -> Option<(u32, [u8; 32], Vec<u8>)> {
    Some((uint(skey, "id")?, key32(skey, "value")?, bytes(skey, "signature")?.to_vec()))
}

fn upload(session: &Session, request: &NodeRef<'_>) -> Option<Node> {
    let registration_id = uint(request, "registration")?;
    let identity = key32(request, "identity")?;
    let signed = signed(request.get_optional_child("skey")?)?;
    let keys = children(request.get_optional_child("list")?).iter().filter_map(|key| Some((uint(key, "id")?, key32(key, "value")?)));
    let keys: Vec<_> = keys.collect();
    let welcome = session.with(|device| {
        device.registration_id = registration_id;
        device.identity = identity;
        device.signed_prekey = signed;
        // A key uploaded again takes the place of the earlier one.
        device.prekeys.retain(|(kept, _)| keys.iter().all(|(id, _)| id != kept));
        device.prekeys.extend(keys);
        !std::mem::replace(&mut device.welcomed, true)
    })?;
    if welcome && let Err(problem) = deliver::welcome(session) {
        tracing::warn!(%problem, "a new device was not welcomed");
    }
    Some(result(request, []))
}

fn digest(device: &Device) -> Option<Node> {
    if device.prekeys.is_empty() {
        return None;
    }
    let (signed_id, signed, signature) = &device.signed_prekey;
    let keys: Vec<&[u8]> = device.prekeys.iter().map(|(_, key)| &key[..]).collect();
    let hash = compute_key_bundle_digest(&device.identity, signed, signature, &keys);
    let list = NodeBuilder::new("list").children(device.prekeys.iter().map(|(number, _)| id(*number))).build();
    let skey = NodeBuilder::new("skey").children([id(*signed_id), value("value", *signed), value("signature", signature.clone())]).build();
    let parts = [
        value("registration", device.registration_id.to_be_bytes()),
        value("type", [KEY_TYPE]),
        value("identity", device.identity),
        skey,
        list,
        value("hash", hash),
    ];
    Some(NodeBuilder::new("digest").children(parts).build())
}

fn fetch(session: &Session, request: &NodeRef<'_>) -> Node {
    let asked = children(request).first().map(children).unwrap_or_default();
    let users = asked.iter().filter_map(|user| {
        let wanted = jid(user, "jid")?;
        let answer = NodeBuilder::new("user").attr("jid", wanted.clone());
        let found = number_of(&wanted).and_then(|number| bundle(session, &number, wanted.device).unwrap_or_default());
        Some(match found {
            Some((bundle, certificate)) => answer.children(bundle_nodes(&bundle, certificate)).build(),
            None => {
                let error = NodeBuilder::new("error").attr("code", NOT_ACCEPTABLE).attr("text", "not-acceptable");
                answer.children([error.build()]).build()
            }
        })
    });
    let list = NodeBuilder::new("list").children(users.collect::<Vec<_>>()).build();
    result(request, [list])
}

/// The keys of a device, and the certificate of a linked one; none of somebody who is not on WhatsApp.
fn bundle(session: &Session, number: &str, device: u16) -> Result<Option<(Bundle, Option<Vec<u8>>)>> {
    let world = &session.world;
    if !world.on_whatsapp(number) {
        return Ok(None);
    }
    let person = world.web.people.get(&world.web.keys, number)?;
    let mut person = person.lock();
    let Some(bundle) = person.bundle(device)? else { return Ok(None) };
    let certificate = person.devices.get(&device).map(|device| device.certificate.clone());
    Ok(Some((bundle, certificate)))
}

/// A bundle as key answers and retry receipts carry it.
pub(super) fn bundle_nodes(bundle: &Bundle, certificate: Option<Vec<u8>>) -> Vec<Node> {
    let mut nodes = vec![value("registration", bundle.registration_id.to_be_bytes())];
    nodes.extend(key_nodes(bundle));
    nodes.extend(certificate.map(|certificate| value("device-identity", certificate)));
    nodes
}

pub(super) fn key_nodes(bundle: &Bundle) -> Vec<Node> {
    let (signed_id, signed, signature) = &bundle.signed;
    let skey = NodeBuilder::new("skey").children([id(*signed_id), value("value", *signed), value("signature", signature.clone())]);
    let mut nodes = vec![value("type", [KEY_TYPE]), value("identity", bundle.identity)];
    if let Some((number, key)) = &bundle.prekey {
        nodes.push(NodeBuilder::new("key").children([id(*number), value("value", *key)]).build());
    }
    nodes.push(skey.build());
    nodes
}

fn identities(session: &Session, request: &NodeRef<'_>) -> Node {
    let asked = children(request).first().map(children).unwrap_or_default();
    let users = asked.iter().filter_map(|user| {
        let wanted = jid(user, "jid")?;
        let person = session.world.web.people.get(&session.world.web.keys, &number_of(&wanted)?).ok()?;
        let person = person.lock();
        let key = if wanted.device == 0 { person.signal.identity_key() } else { person.devices.get(&wanted.device)?.identity };
        let parts = [value("type", [KEY_TYPE]), value("identity", key)];
        Some(NodeBuilder::new("user").attr("jid", wanted).children(parts).build())
    });
    result(request, [NodeBuilder::new("list").children(users.collect::<Vec<_>>()).build()])
}
