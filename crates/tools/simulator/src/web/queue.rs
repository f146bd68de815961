//! Stanzas for one device until it acknowledges them, over any number of connections.

use std::collections::VecDeque;

use wacore_binary::Node;

/// Stanzas kept per device; beyond it the oldest are lost, as they are for a device that stays away too long.
const MOST: usize = 10_000;

/// What a stanza is acknowledged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Message,
    Receipt,
    Notification,
}

impl Class {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Receipt => "receipt",
            Self::Notification => "notification",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::Message, Self::Receipt, Self::Notification].into_iter().find(|class| class.name() == name)
    }
}

pub(super) struct Item {
    pub(super) class: Class,
    pub(super) id: String,
    pub(super) stanza: Node,
    /// On the connection there is now.
    sent: bool,
}

#[derive(Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// While a backlog is handed out, in the portions the client asks for: how many more it wants by now.
    backlog: Option<usize>,
}

impl Queue {
    pub(super) fn push(&mut self, class: Class, id: String, stanza: Node) {
        if self.items.len() >= MOST {
            self.items.pop_front();
        }
        self.items.push_back(Item { class, id, stanza, sent: false });
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Stanzas of a class that wait.
    pub(super) fn count(&self, class: Class) -> usize {
        self.items.iter().filter(|item| item.class == class).count()
    }

    /// Forgets the stanza of this class and id; of several, the one of this type, else the first. True if there was one.
    pub(super) fn acknowledge(&mut self, class: Class, id: &str, kind: Option<&str>) -> bool {
        let fits = |item: &&Item| item.class == class && item.id == id && item.sent;
        let typed = |item: &Item| item.stanza.attrs.get("type").is_some_and(|value| Some(value.as_str().as_ref()) == kind);
        let exact =
            self.items.iter().position(|item| fits(&item) && (typed(item) || (kind.is_none() && item.stanza.attrs.get("type").is_none())));
        let found = exact.or_else(|| self.items.iter().position(|item| fits(&item)));
        found.and_then(|index| self.items.remove(index)).is_some()
    }

    /// A new connection: all is unsent, and a backlog waits to be asked for.
    pub(super) fn restart(&mut self) -> usize {
        for item in &mut self.items {
            item.sent = false;
        }
        self.backlog = (!self.items.is_empty()).then_some(0);
        self.items.len()
    }

    pub(super) fn want(&mut self, count: usize) {
        if let Some(wanted) = &mut self.backlog {
            *wanted += count;
        }
    }

    /// The next stanzas to send, and whether the backlog ended with them.
    pub(super) fn take(&mut self, most: usize) -> (Vec<Node>, bool) {
        let offline = self.backlog.is_some();
        let room = self.backlog.map_or(most, |wanted| wanted.min(most));
        let mut taken = Vec::new();
        for item in self.items.iter_mut().filter(|item| !item.sent).take(room) {
            item.sent = true;
            let mut stanza = item.stanza.clone();
            if offline {
                stanza.attrs.insert("offline", "0");
            }
            taken.push(stanza);
        }
        if let Some(wanted) = &mut self.backlog {
            *wanted -= taken.len();
        }
        let ended = offline && self.items.iter().all(|item| item.sent);
        if ended {
            self.backlog = None;
        }
        (taken, ended)
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::builder::NodeBuilder;

    use super::*;

    fn receipt(kind: &str) -> Node {
        NodeBuilder::new("receipt").attr("type", kind).build()
    }

    #[test]
    fn what_is_not_acknowledged_comes_again() {
        let mut queue = Queue::default();
        queue.push(Class::Message, "1".into(), NodeBuilder::new("message").build());
        assert_eq!(queue.take(10).0.len(), 1);
        assert!(queue.take(10).0.is_empty());
        assert_eq!(queue.restart(), 1);
        queue.want(5);
        let (again, ended) = queue.take(10);
        assert!(ended && again[0].attrs.contains_key("offline"));
        assert!(queue.acknowledge(Class::Message, "1", None));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn receipts_of_one_message_are_told_apart_by_type() {
        let mut queue = Queue::default();
        queue.push(Class::Receipt, "1".into(), receipt("delivered"));
        queue.push(Class::Receipt, "1".into(), receipt("read"));
        queue.take(10);
        assert!(queue.acknowledge(Class::Receipt, "1", Some("read")));
        assert!(queue.items().next().unwrap().stanza.attrs.get("type").unwrap().as_str() == "delivered");
    }

    #[test]
    fn a_backlog_comes_as_it_is_asked_for() {
        let mut queue = Queue::default();
        for id in 0..5 {
            queue.push(Class::Message, id.to_string(), NodeBuilder::new("message").build());
        }
        assert_eq!(queue.restart(), 5);
        assert!(queue.take(10).0.is_empty());
        queue.want(3);
        let (first, ended) = queue.take(10);
        assert!(first.len() == 3 && !ended);
        queue.want(200);
        let (rest, ended) = queue.take(10);
        assert!(rest.len() == 2 && ended);
    }
}
