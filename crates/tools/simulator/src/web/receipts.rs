//! Receipts both ways: from phones for what a business sent, and from linked devices for what they were sent.

use std::sync::Arc;

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{
    deliver, disturb, lid,
    people::number_of,
    queue::Class,
    session::Session,
    stanza::{children, jid, owned, text},
};
use crate::{
    faults::Subject,
    phone::{Step, Via, Wire},
    world::World,
};

/// A phone tells the business's devices what became of a message.
pub(crate) fn told(world: &World, wire: &Arc<Wire>, step: Step) {
    let (kind, subject) = match step {
        Step::Sent => return,
        Step::Delivered => (None, Subject::Delivered),
        Step::Read => (Some("read"), Subject::Read),
    };
    let fault = world.faults.on_web_news(subject, &wire.phone_number_id, &wire.wa_id);
    let wire = Arc::clone(wire);
    disturb::or_later(world, fault.as_ref(), move |world| tell(world, &wire, kind));
}

pub(super) fn tell(world: &World, wire: &Wire, kind: Option<&'static str>) {
    let Some(person) = world.web.people.find(&wire.phone_number_id) else { return };
    let from = match wire.via {
        Via::Web { lid: true } => wacore_binary::Jid::new(lid::of(&wire.wa_id).unwrap_or_default().as_str(), wacore_binary::Server::Lid),
        _ => wacore_binary::Jid::new(wire.wa_id.as_str(), wacore_binary::Server::Pn),
    };
    let mut receipt = NodeBuilder::new("receipt").attr("from", from).attr("id", wire.wamid.as_str());
    if let Some(kind) = kind {
        receipt = receipt.attr("type", kind);
    }
    let stanza = receipt.attr("t", world.now().timestamp()).build();
    for device in person.lock().devices.values_mut() {
        device.push(Class::Receipt, wire.wamid.clone(), stanza.clone());
    }
}

/// A linked device tells what became of messages from phones.
pub(super) fn take(session: &Session, node: &NodeRef<'_>) -> Vec<Node> {
    let kind = text(node, "type").map(std::borrow::Cow::into_owned);
    let mut ids = vec![owned(node, "id")];
    ids.extend(node.get_optional_child("list").map(children).unwrap_or_default().iter().map(|item| owned(item, "id")));
    let now = session.world.now();
    let chat = jid(node, "to").and_then(|to| number_of(&to));
    for id in &ids {
        session.with(|device| {
            device.last_ack = Some(now);
            device.queue.acknowledge(Class::Message, id, None);
        });
        if let Some(phone) = chat.as_deref().filter(|phone| *phone != session.number) {
            mark(session, phone, id, kind.as_deref());
        }
    }
    if kind.as_deref() == Some("retry")
        && let Some(phone) = &chat
        && let Err(error) = deliver::again(session, phone, &ids[0])
    {
        tracing::warn!(%error, phone, "a message was not sealed again");
    }
    let mut ack = NodeBuilder::new("ack").attr("class", "receipt").attr("id", ids[0].as_str());
    if let Some(to) = jid(node, "to") {
        ack = ack.attr("from", to);
    }
    if let Some(kind) = kind {
        ack = ack.attr("type", kind);
    }
    vec![ack.build()]
}

/// The phone's own message was delivered or read.
fn mark(session: &Session, phone: &str, id: &str, kind: Option<&str>) {
    let now = session.world.now();
    session.world.phones.change(phone, |phone| {
        let Some(message) = phone.messages.iter_mut().rev().find(|message| message.from_phone && message.wire.wamid == id) else { return };
        match kind {
            None | Some("inactive") => message.delivered_at = message.delivered_at.or(Some(now)),
            Some("read") | Some("played") => {
                message.delivered_at = message.delivered_at.or(Some(now));
                message.read_at = message.read_at.or(Some(now));
            }
            Some(_) => {}
        }
    });
}
