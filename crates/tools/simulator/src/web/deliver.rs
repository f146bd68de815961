//! What phones send to linked devices: messages, the keys a new device needs, and requests to send again.

use wacore::messages::MessageUtils;
use wacore_binary::{Jid, Node, builder::NodeBuilder};
use waproto::{
    buffa::MessageField,
    whatsapp::{
        self as wa, Message,
        message::{
            AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId, AppStateSyncKeyShare, ProtocolMessage,
            protocol_message::Type,
        },
    },
};

use super::{disturb, error::Result, iq::retry_keys, queue::Class, session::Session, settings, signal::address, stanza::value};
use crate::{faults::Subject, world::World};

/// A message from a phone, before it is sealed for each device of the business.
pub(super) struct Letter<'a> {
    pub(super) id: &'a str,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    /// The stanza's type: `text`, `media`, `reaction` ...
    pub(super) kind: &'a str,
    pub(super) message: &'a Message,
    /// WhatsApp's code for what the message does to another: 1 edits, 7 deletes.
    pub(super) edit: Option<&'a str>,
    /// The sender's name.
    pub(super) name: Option<String>,
    /// Between the devices of one account.
    pub(super) peer: bool,
}

/// Seals the letter for every linked device of its addressee and queues it there; how many there are.
pub(super) fn post(world: &World, letter: &Letter<'_>) -> Result<usize> {
    let Some(person) = world.web.people.find(letter.to) else { return Ok(0) };
    let devices: Vec<u16> = {
        let person = person.lock();
        if person.blocked.contains(letter.from) { Vec::new() } else { person.devices.keys().copied().collect() }
    };
    for device in &devices {
        post_to(world, letter, *device)?;
    }
    Ok(devices.len())
}

/// Seals the letter for one device and queues it there.
pub(super) fn post_to(world: &World, letter: &Letter<'_>, device: u16) -> Result<()> {
    let Some(reader) = world.web.people.find(letter.to) else { return Ok(()) };
    let sender = world.web.people.get(&world.web.keys, letter.from)?;
    let peer = address(letter.to, device);
    let known = sender.lock().signal.has_session(&peer);
    let bundle = if known { None } else { reader.lock().bundle(device)? };
    let plaintext = MessageUtils::encode_and_pad(letter.message);
    let (sealed, pn, lid) = {
        let mut sender = sender.lock();
        if let Some(bundle) = &bundle {
            sender.signal.meet(&peer, bundle)?;
        }
        (sender.signal.seal(&peer, &plaintext)?, sender.jid(0), sender.lid_jid(0))
    };
    let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", sealed.kind).bytes(sealed.bytes).build();
    let reader = reader.lock();
    let by_lid = reader.account.as_ref().is_some_and(|account| account.lid_addressing);
    let stanza = envelope(world, letter, pn, lid, by_lid, enc);
    drop(reader);
    let fault = if letter.peer { None } else { world.faults.on_web_news(Subject::Inbound, letter.to, letter.from) };
    let (to, id) = (letter.to.to_owned(), letter.id.to_owned());
    disturb::or_later(world, fault.as_ref(), move |world| {
        if let Some(reader) = world.web.people.find(&to)
            && let Some(device) = reader.lock().devices.get_mut(&device)
        {
            device.push(Class::Message, id, stanza);
        }
    });
    Ok(())
}

fn envelope(world: &World, letter: &Letter<'_>, pn: Jid, lid: Jid, by_lid: bool, enc: Node) -> Node {
    let mut message = NodeBuilder::new("message").attr("id", letter.id).attr("type", letter.kind).attr("t", world.now().timestamp());
    message = if by_lid {
        message.attr("from", lid).attr("sender_pn", pn).attr("addressing_mode", "lid")
    } else {
        message.attr("from", pn).attr("sender_lid", lid)
    };
    if let Some(name) = &letter.name {
        message = message.attr("notify", name.as_str());
    }
    if letter.peer {
        message = message.attr("category", "peer");
    }
    if let Some(edit) = letter.edit {
        message = message.attr("edit", edit);
    }
    message.children([enc]).build()
}

/// An id as phones mint them.
pub(super) fn message_id() -> String {
    format!("3A{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}

/// The phone gives a newly linked device the key of the account's settings, without which its first login stalls.
pub(super) fn welcome(session: &Session) -> Result<()> {
    share_keys(session)
}

fn share_keys(session: &Session) -> Result<()> {
    let world = &session.world;
    let key = settings_key(world, &session.number);
    let fingerprint = AppStateSyncKeyFingerprint { raw_id: Some(1), current_index: Some(0), device_indexes: vec![0] };
    let data = AppStateSyncKeyData {
        key_data: Some(key.secret.to_vec()),
        fingerprint: MessageField::some(fingerprint),
        timestamp: Some(world.now().timestamp_millis()),
    };
    let key = AppStateSyncKey {
        key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(key.id.to_vec()) }),
        key_data: MessageField::some(data),
    };
    let protocol = ProtocolMessage {
        r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
        app_state_sync_key_share: MessageField::some(AppStateSyncKeyShare { keys: vec![key] }),
        ..Default::default()
    };
    let message = Message { protocol_message: MessageField::some(protocol), ..Default::default() };
    let letter = Letter {
        id: &message_id(),
        from: &session.number,
        to: &session.number,
        kind: "text",
        message: &message,
        edit: None,
        name: None,
        peer: true,
    };
    post_to(world, &letter, session.device)
}

/// The key that the settings of an account are sealed with.
pub(super) fn settings_key(world: &World, number: &str) -> settings::Key {
    settings::Key { id: [0, 0, 0, 0, 0, 1], secret: world.web.keys.derive(&format!("{number}/settings")) }
}

/// The devices of an account, but for the one that did it, learn that a collection has changed.
pub(super) fn settings_changed(world: &World, number: &str, collection: &str, by: Option<u16>) {
    let Some(person) = world.web.people.find(number) else { return };
    let mut person = person.lock();
    let (from, version) = (person.jid(0), person.collections.version(collection));
    for device in person.devices.values_mut().filter(|device| Some(device.id) != by) {
        let id = world.web.next().to_string();
        let changed = NodeBuilder::new("collection").attr("name", collection).attr("version", version).build();
        let notice = NodeBuilder::new("notification")
            .attr("from", from.clone())
            .attr("id", id.as_str())
            .attr("type", "server_sync")
            .attr("t", world.now().timestamp())
            .children([changed]);
        device.push(Class::Notification, id, notice.build());
    }
}

/// The phone writes the account's name into its settings, for the devices to take.
pub(crate) fn write_name(world: &World, number: &str) -> Result<()> {
    let Some(person) = world.web.people.find(number) else { return Ok(()) };
    {
        let mut person = person.lock();
        let Some(name) = person.account.as_ref().map(|account| account.name.clone()) else { return Ok(()) };
        person.collections.write_name(&settings_key(world, number), &name, world.now().timestamp_millis())?;
    }
    settings_changed(world, number, settings::NAME, None);
    Ok(())
}

/// What a linked device tells its own phone.
pub(super) fn own_phone(session: &Session, message: &Message) -> Result<()> {
    let protocol = message.protocol_message.as_option();
    if protocol.is_some_and(|protocol| protocol.app_state_sync_key_request.is_set()) {
        return share_keys(session);
    }
    Ok(())
}

/// A phone that cannot open a message asks the device that sent it to seal it again.
pub(super) fn ask_again(session: &Session, id: &str, number: &str, phone: &Jid) -> Result<()> {
    let world = &session.world;
    let person = world.web.people.get(&world.web.keys, number)?;
    let (bundle, count) = {
        let mut person = person.lock();
        person.signal.forget(&address(&session.number, session.device));
        (person.signal.bundle()?, 1_u32)
    };
    let now = world.now().timestamp();
    let retry = NodeBuilder::new("retry").attr("count", count).attr("id", id).attr("t", now).attr("v", "1").build();
    let parts = [retry, value("registration", bundle.registration_id.to_be_bytes()), retry_keys(&bundle)];
    let receipt =
        NodeBuilder::new("receipt").attr("from", phone.clone()).attr("id", id).attr("type", "retry").attr("t", now).children(parts).build();
    session.with(|device| device.push(Class::Receipt, id.to_owned(), receipt));
    Ok(())
}

/// A linked device could not open a phone's message: it is sealed anew, if the phone still has it.
pub(super) fn again(session: &Session, phone: &str, id: &str) -> Result<()> {
    let world = &session.world;
    let sender = world.web.people.get(&world.web.keys, phone)?;
    sender.lock().signal.forget(&address(&session.number, session.device));
    let text = world.phones.look(phone, |phone| {
        phone.messages.iter().rev().find(|message| message.from_phone && message.wire.wamid == id).map(|message| message.shown.text.clone())
    });
    let Some(Some(text)) = text else { return Ok(()) };
    let message = wa::Message { conversation: Some(text), ..Default::default() };
    let letter = Letter { id, from: phone, to: &session.number, kind: "text", message: &message, edit: None, name: None, peer: false };
    post_to(world, &letter, session.device)
}
