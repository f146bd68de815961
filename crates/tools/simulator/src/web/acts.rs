//! What a person does with a phone besides writing: react, edit, delete, listen, block, install the app anew.

use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;
use waproto::{
    buffa::MessageField,
    whatsapp::{
        Message as Proto, MessageKey,
        message::{ProtocolMessage, ReactionMessage, protocol_message::Type},
    },
};

use super::{
    deliver::{Letter, message_id, post},
    disturb::removed,
    mailbox::Out,
    queue::Class,
    receipts,
};
use crate::world::World;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Act {
    /// Puts an emoji on a message, or takes it back with an empty one.
    React {
        message: String,
        emoji: String,
    },
    /// Changes the text of an own message.
    Edit {
        message: String,
        text: String,
    },
    /// Takes an own message back.
    Delete {
        message: String,
    },
    /// Listens to a voice message.
    Play {
        message: String,
    },
    Block {
        number: String,
    },
    Unblock {
        number: String,
    },
    /// Deletes the app and installs it again: with other keys, and without linked devices.
    Reinstall,
}

/// # Errors
/// A sentence for the caller when the phone does not have that message.
pub(crate) fn act(world: &World, phone: &str, act: Act) -> Result<Value, String> {
    match act {
        Act::React { message, emoji } => {
            let (number, from_phone) = find(world, phone, &message)?;
            let key = key(&number, &message, from_phone);
            let now = world.now().timestamp_millis();
            let reaction = ReactionMessage { key, text: Some(emoji.clone()), sender_timestamp_ms: Some(now), ..Default::default() };
            change(world, phone, &message, |shown| shown.reaction = (!emoji.is_empty()).then_some(emoji));
            let proto = Proto { reaction_message: MessageField::some(reaction), ..Default::default() };
            tell(world, phone, &number, "reaction", None, &proto)
        }
        Act::Edit { message, text } => {
            let (number, from_phone) = find(world, phone, &message)?;
            if !from_phone {
                return Err("only an own message can be edited".into());
            }
            let edited = Proto { conversation: Some(text.clone()), ..Default::default() };
            let protocol = ProtocolMessage {
                key: key(&number, &message, true),
                r#type: Some(Type::MESSAGE_EDIT),
                edited_message: MessageField::some(edited),
                timestamp_ms: Some(world.now().timestamp_millis()),
                ..Default::default()
            };
            change(world, phone, &message, |shown| {
                shown.shown.text = text;
                shown.edited = true;
            });
            let proto = Proto { protocol_message: MessageField::some(protocol), ..Default::default() };
            tell(world, phone, &number, "text", Some("1"), &proto)
        }
        Act::Delete { message } => {
            let (number, from_phone) = find(world, phone, &message)?;
            if !from_phone {
                return Err("only an own message can be deleted for everybody".into());
            }
            let protocol = ProtocolMessage { key: key(&number, &message, true), r#type: Some(Type::REVOKE), ..Default::default() };
            change(world, phone, &message, |shown| shown.deleted = true);
            let proto = Proto { protocol_message: MessageField::some(protocol), ..Default::default() };
            tell(world, phone, &number, "text", Some("7"), &proto)
        }
        Act::Play { message } => {
            let found = world.phones.look(phone, |phone| {
                let shown = phone.messages.iter().rev().find(|shown| !shown.from_phone && shown.wire.wamid == message);
                shown.map(|shown| std::sync::Arc::clone(&shown.wire))
            });
            let wire = found.flatten().ok_or("the phone does not show this message")?;
            receipts::tell(world, &wire, Some("played"));
            Ok(json!({"success": true}))
        }
        Act::Block { number } => block(world, phone, &number, true),
        Act::Unblock { number } => block(world, phone, &number, false),
        Act::Reinstall => reinstall(world, phone),
    }
}

/// The business that a message is from or to, and whether the phone sent it.
fn find(world: &World, phone: &str, id: &str) -> Result<(String, bool), String> {
    let found = world.phones.look(phone, |phone| {
        let shown = phone.messages.iter().rev().find(|message| message.wire.wamid == id);
        shown.map(|message| (message.wire.phone_number_id.clone(), message.from_phone))
    });
    found.flatten().ok_or_else(|| "the phone does not show this message".into())
}

fn change(world: &World, phone: &str, id: &str, act: impl FnOnce(&mut crate::phone::Message)) {
    world.phones.change(phone, |phone| {
        if let Some(message) = phone.messages.iter_mut().rev().find(|message| message.wire.wamid == id) {
            act(message);
        }
    });
}

/// The name of a message in a chat with the business, as the customer's phone writes it.
fn key(business: &str, id: &str, from_me: bool) -> MessageField<MessageKey> {
    MessageField::some(MessageKey {
        remote_jid: Some(format!("{business}@s.whatsapp.net")),
        from_me: Some(from_me),
        id: Some(id.to_owned()),
        participant: None,
    })
}

fn tell(world: &World, from: &str, to: &str, kind: &str, edit: Option<&str>, proto: &Proto) -> Result<Value, String> {
    let id = message_id();
    let name = world.phones.look(from, |phone| phone.name.clone());
    let letter = Letter { id: &id, from, to, kind, message: proto, edit, name, peer: false };
    let devices = post(world, &letter).map_err(|error| error.to_string())?;
    world.stats.inbound.up();
    Ok(json!({"id": id, "devices": devices}))
}

fn block(world: &World, phone: &str, number: &str, blocked: bool) -> Result<Value, String> {
    let person = world.web.people.get(&world.web.keys, phone).map_err(|error| error.to_string())?;
    let mut person = person.lock();
    if blocked {
        person.blocked.insert(number.to_owned());
    } else {
        person.blocked.remove(number);
    }
    Ok(json!({"blocked": person.blocked}))
}

/// Everybody who has a chat with the phone is told that its keys changed, as WhatsApp does it.
fn reinstall(world: &World, phone: &str) -> Result<Value, String> {
    let person = world.web.people.get(&world.web.keys, phone).map_err(|error| error.to_string())?;
    let (jid, installs) = {
        let mut person = person.lock();
        person.reinstall(&world.web.keys).map_err(|error| error.to_string())?;
        for device in std::mem::take(&mut person.devices).into_values() {
            if let Some(mailbox) = device.online {
                mailbox.put(Out::End(Some(removed())));
            }
        }
        (person.jid(0), person.installs)
    };
    let mut businesses: Vec<String> = world
        .phones
        .look(phone, |phone| phone.messages.iter().map(|message| message.wire.phone_number_id.clone()).collect())
        .unwrap_or_default();
    businesses.sort_unstable();
    businesses.dedup();
    for business in businesses {
        let Some(person) = world.web.people.find(&business) else { continue };
        for device in person.lock().devices.values_mut() {
            let id = world.web.next().to_string();
            let notice = NodeBuilder::new("notification")
                .attr("from", jid.clone())
                .attr("id", id.as_str())
                .attr("type", "encrypt")
                .attr("t", world.now().timestamp())
                .children([NodeBuilder::new("identity").build()]);
            device.push(Class::Notification, id, notice.build());
        }
    }
    Ok(json!({"installs": installs}))
}
