//! A logged-in device: what it sends is handled, and its queue handed out.

use std::sync::Arc;

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{
    incoming, iq,
    mailbox::{Mailbox, Out},
    people::Shared,
    person::Device,
    queue::{Class, Queue},
    receipts,
    stanza::{owned, server, text},
};
use crate::world::World;

pub(super) struct Session {
    pub(super) world: Arc<World>,
    pub(super) number: String,
    pub(super) device: u16,
    /// Of whose devices it is one.
    pub(super) person: Shared,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Session {
    /// What a stanza is answered with at once.
    pub(super) fn handle(&self, node: &NodeRef<'_>) -> Vec<Node> {
        match &*node.tag {
            "iq" => match text(node, "type").as_deref() {
                Some("get" | "set") => vec![iq::answer(self, node)],
                _ => Vec::new(),
            },
            "message" => incoming::take(self, node),
            "receipt" => receipts::take(self, node),
            "ack" => {
                self.acknowledged(node);
                Vec::new()
            }
            "ib" => self.informed(node),
            "presence" | "chatstate" => Vec::new(),
            _ => {
                self.world.web.unknown.count(node);
                Vec::new()
            }
        }
    }

    /// Looks at or changes the device, unless it was removed or has another connection by now.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Device) -> T) -> Option<T> {
        let mut person = self.person.lock();
        let device = person.devices.get_mut(&self.device)?;
        let mine = device.online.as_ref().is_some_and(|mailbox| mailbox.connection == self.mailbox.connection);
        mine.then(|| act(device))
    }

    /// The next stanzas of the device's queue.
    pub(super) fn queued(&self, most: usize) -> Vec<Node> {
        let taken = self.with(|device| if device.active { device.queue.take(most) } else { (Vec::new(), false) });
        let (mut stanzas, ended) = taken.unwrap_or_default();
        if stanzas.len() > 1 && self.world.faults.on_web_portion(&self.number) {
            stanzas.reverse();
        }
        if ended {
            stanzas.push(offline_end(stanzas.len()));
        }
        stanzas
    }

    /// The device wants its stanzas from now on.
    pub(super) fn activate(&self) {
        let notice = self.with(|device| {
            if std::mem::replace(&mut device.active, true) {
                return None;
            }
            Some(if device.queue.len() == 0 { offline_end(0) } else { preview(&device.queue) })
        });
        if let Some(Some(notice)) = notice {
            self.mailbox.put(Out::Stanza(notice));
        }
    }

    /// The device logs itself out.
    pub(super) fn unlink(&self) {
        if self.person.lock().unlink(self.device, self.world.now().timestamp()).is_some() {
            self.mailbox.put(Out::End(None));
        }
    }

    fn acknowledged(&self, node: &NodeRef<'_>) {
        let Some(class) = text(node, "class").and_then(|class| Class::of(&class)) else { return };
        let now = self.world.now();
        let kind = text(node, "type");
        self.with(|device| {
            device.last_ack = Some(now);
            device.queue.acknowledge(class, &owned(node, "id"), kind.as_deref());
        });
    }

    fn informed(&self, node: &NodeRef<'_>) -> Vec<Node> {
        if let Some(batch) = node.get_optional_child("offline_batch") {
            let count = text(batch, "count").and_then(|count| count.parse().ok()).unwrap_or(0);
            self.with(|device| device.queue.want(count));
            self.mailbox.wake();
        } else if node.get_optional_child("unified_session").is_none() {
            self.world.web.unknown.count(node);
        }
        Vec::new()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.with(|device| {
            device.online = None;
            device.active = false;
        });
    }
}

fn offline_end(count: usize) -> Node {
    let offline = NodeBuilder::new("offline").attr("count", count).build();
    NodeBuilder::new("ib").attr("from", server()).children([offline]).build()
}

fn preview(queue: &Queue) -> Node {
    let preview = NodeBuilder::new("offline_preview")
        .attr("count", queue.len())
        .attr("message", queue.count(Class::Message))
        .attr("receipt", queue.count(Class::Receipt))
        .attr("notification", queue.count(Class::Notification))
        .attr("appdata", 0_u32)
        .build();
    NodeBuilder::new("ib").attr("from", server()).children([preview]).build()
}
