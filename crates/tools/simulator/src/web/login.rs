//! Letting a linked device in, or not.

use std::sync::Arc;

use wacore_binary::{Node, builder::NodeBuilder};
use waproto::whatsapp::ClientPayload;

use super::{
    disturb,
    link::Client,
    mailbox::{Mailbox, Out},
    session::Session,
};
use crate::world::World;

/// WhatsApp's reason for a device that is no longer linked.
const LOGGED_OUT: u16 = 401;

pub(super) enum Login {
    Welcome { session: Session, success: Node },
    Refused(Node),
}

pub(super) fn login(world: &Arc<World>, client: &Client, payload: &ClientPayload, mailbox: &Arc<Mailbox>) -> Login {
    let number = payload.username.unwrap_or_default().to_string();
    let id = payload.device.and_then(|device| u16::try_from(device).ok()).unwrap_or_default();
    let Some(person) = world.web.people.find(&number) else { return Login::Refused(failure(LOGGED_OUT)) };
    let mut someone = person.lock();
    let lid = someone.lid_jid(id);
    let Some(device) = someone.devices.get_mut(&id).filter(|device| device.noise == client.key) else {
        return Login::Refused(failure(LOGGED_OUT));
    };
    if let Some(before) = device.online.replace(Arc::clone(mailbox)) {
        before.put(Out::End(Some(replaced())));
    }
    if let Some(out) = world.faults.on_web_login(&number).and_then(|fault| disturb::end(&fault)) {
        match out {
            Out::End(Some(refusal)) if &*refusal.tag == "failure" => return Login::Refused(refusal),
            out => mailbox.put(out),
        }
    }
    device.active = false;
    device.queue.restart();
    device.logins += 1;
    device.handshake = Some(client.pattern);
    device.last_login = Some(world.now());
    tracing::debug!(number, device = id, pattern = ?client.pattern, "logged in");
    drop(someone);
    let success = NodeBuilder::new("success").attr("t", world.now().timestamp()).attr("lid", lid).attr("location", "box").build();
    let session = Session { world: Arc::clone(world), number, device: id, person, mailbox: Arc::clone(mailbox) };
    Login::Welcome { session, success }
}

pub(super) fn failure(reason: u16) -> Node {
    NodeBuilder::new("failure").attr("reason", reason).attr("location", "box").build()
}

pub(super) fn replaced() -> Node {
    NodeBuilder::new("stream:error").children([NodeBuilder::new("conflict").attr("type", "replaced").build()]).build()
}
