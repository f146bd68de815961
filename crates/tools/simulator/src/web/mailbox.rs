//! What others want a connection to send: it is woken, and takes what there is. Nobody waits for a slow client.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;
use wacore_binary::Node;

/// Past this a client is too slow to be worth keeping.
const MOST: usize = 10_000;

pub(super) enum Out {
    Stanza(Node),
    /// A last stanza, if any, and then the end of the connection.
    End(Option<Node>),
    Garbage,
}

pub(super) struct Mailbox {
    /// Tells connections apart, over all devices.
    pub(super) connection: u64,
    wake: Notify,
    outs: Mutex<VecDeque<Out>>,
}

impl Mailbox {
    pub(super) fn new(connection: u64) -> Self {
        Self { connection, wake: Notify::new(), outs: Mutex::default() }
    }

    pub(super) fn put(&self, out: Out) {
        let mut outs = self.outs.lock();
        if outs.len() >= MOST {
            outs.clear();
            outs.push_back(Out::End(None));
        } else {
            outs.push_back(out);
        }
        drop(outs);
        self.wake.notify_one();
    }

    /// Wakes the connection for what waits in its device's queue.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn take(&self) -> VecDeque<Out> {
        std::mem::take(&mut *self.outs.lock())
    }
}
