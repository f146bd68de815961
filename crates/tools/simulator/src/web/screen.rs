//! What a phone's screen shows of messages that came over the Web protocol.

use std::sync::Arc;

use waproto::whatsapp::Message as Proto;

use super::content::{Content, content, inner, medium};
use crate::{
    flow,
    phone::{Message, Phone, Shown, Step, Via, Wire},
    world::World,
};

/// Shows a message of the business `from` on the phone `to`, or changes one that is shown. The same id shows once.
pub(super) fn show(world: &World, from: &str, to: &str, id: &str, lid: bool, message: &Proto) {
    match content(message) {
        Content::Show(mut shown) => {
            fetch(world, &mut shown, message);
            add(world, from, to, id, lid, *shown);
        }
        Content::React { target, emoji } => change(world, to, &target, |message| message.reaction = (!emoji.is_empty()).then_some(emoji)),
        Content::Edit { target, shown } => change(world, to, &target, |message| {
            message.shown.text = shown.text;
            message.edited = true;
        }),
        Content::Delete { target } => change(world, to, &target, |message| message.deleted = true),
        Content::Silent => {}
    }
}

/// The phone fetches the medium, and keeps it where `/sim/media/{id}` serves it.
fn fetch(world: &World, shown: &mut Shown, message: &Proto) {
    let (Some(media), Some(medium)) = (&mut shown.media, medium(inner(message))) else { return };
    match world.web.media.open(&medium) {
        Some(plain) => {
            let kept = world.media.add("", &media.mime, plain.into(), world.config.meta.media_bytes);
            media.link = Some(format!("http://{}/sim/web/media/{}", world.media_host, kept.id));
            media.id = Some(kept.id.clone());
            media.sha256 = Some(kept.sha256.clone());
        }
        None => world.stats.unfetched.up(),
    }
}

fn add(world: &World, from: &str, to: &str, id: &str, lid: bool, shown: Shown) {
    let now = world.now();
    let config = &world.config.phones;
    let added = world.phones.change(to, |phone| {
        let wire = Wire {
            wamid: id.to_owned(),
            phone_number_id: from.to_owned(),
            wa_id: to.to_owned(),
            sequence: phone.next_sequence(),
            opaque: None,
            category: "service".into(),
            via: Via::Web { lid },
        };
        let arrival = wire.arrival().unwrap_or_default();
        if phone.count_arrival(&arrival, config.ids_kept) > 1 {
            return (false, earlier(phone, id, from));
        }
        let wire = Arc::new(wire);
        let message = Message { sent_at: Some(now), ..Message::accepted(Arc::clone(&wire), shown, now) };
        phone.add(message, config.messages_kept);
        (true, Some(wire))
    });
    let Some((new, wire)) = added else { return };
    world.stats.accepted.up();
    if new {
        world.stats.distinct.up()
    } else {
        world.stats.repeated.up()
    }
    if let Some(wire) = wire {
        flow::schedule(world, wire, flow::Line::Web, Step::Delivered);
    }
}

/// The message of this id that came before.
fn earlier(phone: &Phone, id: &str, from: &str) -> Option<Arc<Wire>> {
    let shown = phone.messages.iter().rev().find(|message| message.wire.wamid == id && message.wire.phone_number_id == from);
    shown.map(|message| Arc::clone(&message.wire))
}

fn change(world: &World, phone: &str, id: &str, act: impl FnOnce(&mut Message)) {
    world.phones.change(phone, |phone| {
        if let Some(message) = phone.messages.iter_mut().rev().find(|message| message.wire.wamid == id) {
            act(message);
        }
    });
}
