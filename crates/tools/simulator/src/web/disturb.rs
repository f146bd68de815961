//! Faults of the Web protocol: what an armed one does to a message, a receipt, a login or a connection.

use std::{sync::Arc, time::Duration};

use wacore_binary::{Node, builder::NodeBuilder};

use super::{
    login::{failure, replaced},
    mailbox::Out,
    people::Shared,
    person::Device,
};
use crate::{
    faults::{Armed, Kind},
    flow::Event,
    world::World,
};

/// How long a `web_delay` holds back when it is not told.
const HELD: Duration = Duration::from_secs(2);
/// How long a temporary ban lasts, and WhatsApp's sub-code for one, when not told.
const BAN: Duration = Duration::from_secs(3600);
const BAN_CODE: u32 = 101;
const BANNED: u16 = 402;
const UNAVAILABLE: u16 = 503;

/// Does something now, or later if a fault holds it back; or never, if one swallows it.
pub(super) fn or_later(world: &World, fault: Option<&Armed>, act: impl FnOnce(&World) + Send + 'static) {
    match fault {
        None => act(world),
        Some(fault) if fault.kind == Kind::WebDelay => world.timer.after(fault.delay(HELD), Event::Later(Box::new(act))),
        Some(_) => {}
    }
}

/// What a connection fault leaves behind as the last thing sent; removes the device if it is that kind.
pub(super) fn end(fault: &Armed) -> Option<Out> {
    let code = fault.code.unwrap_or(u32::from(UNAVAILABLE));
    Some(match fault.kind {
        Kind::WebClose => Out::End(None),
        Kind::WebGarbage => Out::Garbage,
        Kind::WebReplaced => Out::End(Some(replaced())),
        Kind::WebRemoved => Out::End(Some(removed())),
        Kind::WebStreamError => Out::End(Some(NodeBuilder::new("stream:error").attr("code", code).build())),
        Kind::WebBan => Out::End(Some(banned(fault))),
        Kind::WebRefused => Out::End(Some(failure(u16::try_from(code).unwrap_or(UNAVAILABLE)))),
        _ => return None,
    })
}

pub(super) fn removed() -> Node {
    let conflict = NodeBuilder::new("conflict").attr("type", "device_removed").build();
    NodeBuilder::new("stream:error").attr("code", 401_u32).children([conflict]).build()
}

fn banned(fault: &Armed) -> Node {
    let seconds = fault.delay_ms.map_or(BAN, Duration::from_millis).as_secs();
    let mut ban = failure(BANNED);
    ban.attrs.insert("code", fault.code.unwrap_or(BAN_CODE));
    ban.attrs.insert("expire", seconds);
    ban
}

/// Does to a device what a connection fault says.
pub(super) fn strike(person: &Shared, device: u16, fault: &Armed, now: i64) {
    let mut person = person.lock();
    let mailbox = if fault.kind == Kind::WebRemoved {
        person.unlink(device, now)
    } else {
        person.devices.get(&device).and_then(|device| device.online.clone())
    };
    if let (Some(mailbox), Some(out)) = (mailbox, end(fault)) {
        mailbox.put(out);
    }
}

/// Strikes devices that are connected now, at most as many as the fault counts; how many there were.
pub(crate) fn now(world: &Arc<World>, fault: &Armed) -> u64 {
    let people = match &fault.number {
        Some(number) => world.web.people.find(number).into_iter().collect(),
        None => world.web.people.all(),
    };
    let mut struck = 0;
    for person in people {
        let online: Vec<u16> = {
            let person = person.lock();
            let online = |device: &&Device| device.online.is_some();
            person.devices.values().filter(online).map(|device| device.id).collect()
        };
        for device in online {
            if fault.count.is_some_and(|count| struck >= count) {
                return struck;
            }
            strike(&person, device, fault, world.now().timestamp());
            struck += 1;
        }
    }
    struck
}
