//! Holds back what a connection writes while something it heard is not durable yet.
//!
//! The library confirms a receipt to WhatsApp by itself, right after it has told of it, and what is confirmed is not told again. Its frames
//! cannot be told apart, so none leaves before everything heard earlier is known to be kept.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Barrier {
    state: Mutex<State>,
    released: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    held: BTreeSet<u64>,
}

/// Something that is not durable yet. Dropping it releases nothing: who loses it does not know whether it was kept.
#[derive(Clone)]
pub struct Hold {
    barrier: Arc<Barrier>,
    number: u64,
}

impl Barrier {
    pub fn hold(self: &Arc<Self>) -> Hold {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.held.insert(number);
        Hold { barrier: self.clone(), number }
    }

    /// Waits until everything that is held now was released.
    pub async fn clear(&self) {
        let until = self.state.lock().next;
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if self.state.lock().held.first().is_none_or(|first| *first >= until) {
                return;
            }
            released.await;
        }
    }
}

impl Hold {
    /// It is durable, or nothing will ever make it so.
    pub fn release(&self) {
        self.barrier.state.lock().held.remove(&self.number);
        self.barrier.released.notify_waiters();
    }
}

/// Who waits for something is no part of what it says.
impl PartialEq for Hold {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Hold {}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_comes_later_is_not_waited_for() {
        let barrier = Arc::new(Barrier::default());
        barrier.clear().await;
        let (first, second) = (barrier.hold(), barrier.hold());
        let mut clear = std::pin::pin!(barrier.clear());
        assert!(clear.as_mut().now_or_never().is_none());
        let later = barrier.hold();
        second.release();
        assert!(clear.as_mut().now_or_never().is_none());
        first.release();
        clear.await;
        assert!(barrier.clear().now_or_never().is_none());
        drop(later);
        assert!(barrier.clear().now_or_never().is_none(), "what was lost may not have been kept");
    }
}
