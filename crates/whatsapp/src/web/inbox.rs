//! The queue between a connection and whoever reads what it tells.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Ordered. It takes whatever comes, because the library cannot wait; the socket is not read while it holds `limit` or more, so it
/// holds at most that plus what one read brings.
pub(super) struct Inbox<T> {
    state: Mutex<State<T>>,
    limit: usize,
    /// Something came, or the end.
    filled: Notify,
    /// Something was taken, or the end.
    taken: Notify,
}

struct State<T> {
    waiting: VecDeque<T>,
    has_ended: bool,
}

impl<T> Inbox<T> {
    pub fn new(limit: usize) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), has_ended: false });
        Self { state, limit: limit.max(1), filled: Notify::new(), taken: Notify::new() }
    }

    pub fn push(&self, told: T) {
        self.add(told, false);
    }

    /// Nothing comes after this.
    pub fn end(&self, told: T) {
        self.add(told, true);
        self.taken.notify_waiters();
    }

    fn add(&self, told: T, is_last: bool) {
        {
            let mut state = self.state.lock();
            if state.has_ended {
                return;
            }
            state.has_ended = is_last;
            state.waiting.push_back(told);
        }
        self.filled.notify_one();
    }

    /// The next; `None` after the end. Safe to drop: what is not returned stays.
    pub async fn next(&self) -> Option<T> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.state.lock();
                if let Some(told) = state.waiting.pop_front() {
                    if state.waiting.is_empty() {
                        state.waiting.shrink_to(4);
                    }
                    self.taken.notify_waiters();
                    return Some(told);
                }
                if state.has_ended {
                    // So that whoever else asks learns it as well.
                    self.filled.notify_one();
                    return None;
                }
            }
            filled.await;
        }
    }

    /// Everything that waits.
    pub fn drain(&self) -> Vec<T> {
        let drained = self.state.lock().waiting.drain(..).collect();
        self.taken.notify_waiters();
        drained
    }

    /// Waits until less than the limit waits.
    pub async fn room(&self) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            {
                let state = self.state.lock();
                if state.waiting.len() < self.limit || state.has_ended {
                    return;
                }
            }
            taken.await;
        }
    }

    pub fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn things_come_in_order_and_then_the_end() {
        let inbox = Inbox::new(2);
        inbox.push("a");
        inbox.push("b");
        assert!(inbox.room().now_or_never().is_none(), "full");
        assert_eq!(inbox.next().await, Some("a"));
        assert!(inbox.room().now_or_never().is_some());
        inbox.end("end");
        inbox.push("late");
        inbox.end("again");
        assert_eq!(inbox.drain(), ["b", "end"]);
        assert_eq!((inbox.next().await, inbox.next().await), (None, None));
    }

    #[tokio::test]
    async fn whoever_waits_for_room_is_woken() {
        let inbox = std::sync::Arc::new(Inbox::new(1));
        inbox.push("a");
        let waiting = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        inbox.next().await;
        waiting.await.unwrap();
    }
}
