//! One queue for everything that is to happen later, instead of a task per message.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// Events ordered by the time they are due; among equals, by the order they were added.
pub(crate) struct Timer<E> {
    state: Mutex<State<E>>,
    wake: Notify,
}

struct State<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    added: u64,
}

struct Entry<E> {
    due: Instant,
    order: u64,
    event: E,
}

impl<E> Timer<E> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { heap: BinaryHeap::new(), added: 0 }), wake: Notify::new() }
    }

    pub(crate) fn after(&self, delay: Duration, event: E) {
        let due = Instant::now() + delay;
        let mut state = self.state.lock();
        let earliest = state.heap.peek().is_none_or(|first| due < first.0.due);
        state.added += 1;
        let order = state.added;
        state.heap.push(Reverse(Entry { due, order, event }));
        drop(state);
        if earliest {
            self.wake.notify_one();
        }
    }

    /// Waits until something is due, and takes all that is. Safe to drop: nothing is taken before it is returned.
    pub(crate) async fn due(&self) -> Vec<E> {
        loop {
            let next = {
                let mut state = self.state.lock();
                let now = Instant::now();
                let mut taken = Vec::new();
                while state.heap.peek().is_some_and(|first| first.0.due <= now) {
                    taken.extend(state.heap.pop().map(|first| first.0.event));
                }
                if !taken.is_empty() {
                    return taken;
                }
                state.heap.peek().map(|first| first.0.due)
            };
            match next {
                None => self.wake.notified().await,
                Some(due) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.state.lock().heap.clear();
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_come_in_the_order_they_are_due() {
        let timer = Timer::new();
        timer.after(Duration::from_millis(20), "later");
        timer.after(Duration::ZERO, "first");
        timer.after(Duration::ZERO, "second");
        assert_eq!(timer.due().await, ["first", "second"]);
        assert_eq!(timer.due().await, ["later"]);
    }
}
