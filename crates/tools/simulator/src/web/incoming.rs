//! Messages from a linked device: each part goes to the device it is sealed for, and the server acknowledges the whole.

use std::sync::Arc;

use wacore_binary::{Jid, Node, NodeRef, Server, builder::NodeBuilder};

use super::{
    deliver, disturb,
    error::{Error, Result},
    mailbox::Out,
    people::number_of,
    queue::Class,
    screen,
    session::Session,
    signal::address,
    stanza::{children, jid, owned, text},
};
use crate::faults::{Kind, Moment};

/// What a message is, apart from whom its parts are sealed for.
pub(super) struct Envelope<'a> {
    pub(super) id: &'a str,
    /// The chat as the sender names it.
    pub(super) to: &'a Jid,
    pub(super) node: &'a NodeRef<'a>,
}

pub(super) fn take(session: &Session, node: &NodeRef<'_>) -> Vec<Node> {
    let (Some(to), id) = (jid(node, "to"), owned(node, "id")) else {
        session.world.web.unknown.count(node);
        return Vec::new();
    };
    let envelope = Envelope { id: &id, to: &to, node };
    let ack = acknowledgement(session, &id, &to, None);
    let recipient = number_of(&to).unwrap_or_else(|| to.user.to_string());
    // What devices of one account tell each other is not what faults are armed for.
    let peer = recipient == session.number;
    let Some(fault) = (!peer).then(|| session.world.faults.on_web_message(&session.number, &recipient)).flatten() else {
        hand_over(session, &envelope);
        return vec![ack];
    };
    match fault.kind {
        Kind::WebNack => {
            let code = fault.code.and_then(|code| u16::try_from(code).ok());
            vec![acknowledgement(session, &id, &to, code)]
        }
        Kind::WebNoAck => {
            hand_over(session, &envelope);
            Vec::new()
        }
        Kind::WebDelay => {
            hand_over(session, &envelope);
            let mailbox = Arc::clone(&session.mailbox);
            disturb::or_later(&session.world, Some(&fault), move |_| mailbox.put(Out::Stanza(ack)));
            Vec::new()
        }
        _ => {
            if fault.moment() == Moment::Accepted {
                hand_over(session, &envelope);
            }
            disturb::strike(&session.person, session.device, &fault, session.world.now().timestamp());
            Vec::new()
        }
    }
}

pub(super) fn acknowledgement(session: &Session, id: &str, to: &Jid, error: Option<u16>) -> Node {
    let mut ack = NodeBuilder::new("ack").attr("class", "message").attr("id", id).attr("from", to.clone());
    if let Some(code) = error {
        ack = ack.attr("error", code);
    }
    ack.attr("t", session.world.now().timestamp()).build()
}

/// Gives every device its part.
fn hand_over(session: &Session, envelope: &Envelope<'_>) {
    let sealed = envelope.node.get_optional_child("participants").map(children).unwrap_or_default();
    for part in sealed {
        let (Some(device), Some(enc)) = (jid(part, "jid"), part.get_optional_child("enc")) else { continue };
        hand_part(session, envelope, &device, enc);
    }
    for enc in envelope.node.get_children_by_tag("enc") {
        hand_part(session, envelope, envelope.to, enc);
    }
}

fn hand_part(session: &Session, envelope: &Envelope<'_>, device: &Jid, enc: &NodeRef<'_>) {
    let Some(number) = number_of(device) else { return };
    let handed = if device.device == 0 {
        to_phone(session, envelope, &number, device, enc)
    } else {
        to_device(session, envelope, &number, device, enc)
    };
    if let Err(error) = handed {
        tracing::debug!(%error, id = envelope.id, "a part of a message was not taken");
    }
}

/// The phone opens its part and shows it; what it cannot open it asks for again.
fn to_phone(session: &Session, envelope: &Envelope<'_>, number: &str, device: &Jid, enc: &NodeRef<'_>) -> Result<()> {
    let world = &session.world;
    if !world.on_whatsapp(number) {
        return Ok(());
    }
    let kind = text(enc, "type").unwrap_or_default();
    let sealed = enc.content_bytes().ok_or(Error::Malformed("an <enc> without content"))?;
    let person = world.web.people.get(&world.web.keys, number)?;
    let opened = {
        let mut person = person.lock();
        if person.blocked.contains(&session.number) {
            return Ok(());
        }
        person.signal.open(&address(&session.number, session.device), &kind, sealed)
    };
    let padded = match opened {
        Ok(padded) => padded,
        Err(error) => {
            tracing::debug!(%error, number, id = envelope.id, "a phone cannot open a message");
            world.stats.unopened.up();
            return deliver::ask_again(session, envelope.id, number, device);
        }
    };
    let message = wacore::messages::decode_plaintext(&padded, 2).map_err(|_| Error::Malformed("the plaintext of a message"))?;
    if number == session.number {
        return deliver::own_phone(session, &message);
    }
    screen::show(world, &session.number, number, envelope.id, device.server == Server::Lid, &message);
    Ok(())
}

/// A linked device gets its part as it is.
fn to_device(session: &Session, envelope: &Envelope<'_>, number: &str, device: &Jid, enc: &NodeRef<'_>) -> Result<()> {
    let Some(person) = session.world.web.people.find(number) else { return Ok(()) };
    let lid = device.server == Server::Lid;
    let from = {
        let sender = session.person.lock();
        if lid { sender.lid_jid(session.device) } else { sender.jid(session.device) }
    };
    let mut message = NodeBuilder::new("message")
        .attr("from", from)
        .attr("id", envelope.id)
        .attr("t", session.world.now().timestamp())
        .attr("type", text(envelope.node, "type").unwrap_or_default().into_owned());
    if let Some(category) = text(envelope.node, "category") {
        message = message.attr("category", category.into_owned());
    }
    if number == session.number {
        message = message.attr("recipient", envelope.to.clone());
    }
    let identity = envelope.node.get_optional_child("device-identity").map(NodeRef::to_owned);
    let stanza = message.children(std::iter::once(enc.to_owned()).chain(identity)).build();
    if let Some(device) = person.lock().devices.get_mut(&device.device) {
        device.push(Class::Message, envelope.id.to_owned(), stanza);
    }
    Ok(())
}
