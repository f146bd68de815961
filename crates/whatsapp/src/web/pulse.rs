//! Whether the other side lives: when it last said anything, and how it ended.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Pulse {
    last: Mutex<Option<Instant>>,
    ended: Mutex<Option<String>>,
}

impl Pulse {
    /// Something came: an ack, a pong, or a message.
    pub fn beat(&self) {
        *self.last.lock() = Some(Instant::now());
    }

    /// The other side ended it, and how.
    pub fn stop(&self, how: String) {
        self.ended.lock().get_or_insert(how);
    }

    pub fn age(&self) -> Option<Duration> {
        self.last.lock().map(|last| last.elapsed())
    }

    pub fn ended(&self) -> Option<String> {
        self.ended.lock().clone()
    }
}
