//! How a connection ends: the first reason is the true one, whoever notices it.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Closed;

#[derive(Default)]
pub(super) struct Fate {
    reason: Mutex<Option<Closed>>,
    ended: Notify,
}

impl Fate {
    /// Ends the connection, unless it ended already for another reason. A lost lease outdoes every other reason, because it forbids.
    pub fn end(&self, reason: Closed) {
        {
            let mut known = self.reason.lock();
            if known.is_none() || reason == Closed::Stale {
                *known = Some(reason);
            }
        }
        self.ended.notify_waiters();
    }

    pub fn reason(&self) -> Option<Closed> {
        self.reason.lock().clone()
    }

    pub fn is_stale(&self) -> bool {
        *self.reason.lock() == Some(Closed::Stale)
    }

    pub fn is_open(&self) -> bool {
        self.reason.lock().is_none()
    }

    pub async fn ended(&self) -> Closed {
        loop {
            let mut notified = std::pin::pin!(self.ended.notified());
            notified.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stands_except_against_a_lost_lease() {
        let fate = Fate::default();
        assert!(fate.is_open());
        fate.end(Closed::Replaced);
        fate.end(Closed::Silent);
        assert_eq!(fate.ended().await, Closed::Replaced);
        assert!(!fate.is_stale());
        fate.end(Closed::Stale);
        assert!(fate.is_stale() && !fate.is_open());
    }
}
