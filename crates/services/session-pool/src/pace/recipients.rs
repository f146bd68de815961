//! How soon the same customer is written to again.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use super::{Answer, Limit};

/// Whom a session wrote to within the last `spacing`. It keeps `most` of them; one that wrote to more in so short a time waits for the
/// first of them, which its pace should not let happen: give room for the messages that its pace allows within a spacing.
#[derive(Clone, Debug)]
pub struct Recipients<K> {
    spacing: Duration,
    most: usize,
    free_at: HashMap<K, Duration>,
    /// In the order of their times.
    order: VecDeque<(Duration, K)>,
}

impl<K: Copy + Eq + Hash> Recipients<K> {
    pub fn new(spacing: Duration, most: usize) -> Self {
        Self { spacing, most: most.max(1), free_at: HashMap::new(), order: VecDeque::new() }
    }

    pub fn ask(&mut self, recipient: K, now: Duration) -> Answer {
        self.forget(now);
        let full = || self.order.front().filter(|_| self.free_at.len() >= self.most).map(|(at, _)| *at);
        match self.free_at.get(&recipient).copied().or_else(full) {
            Some(at) => Answer::NotBefore { at, because: Limit::Recipient },
            None => Answer::Now,
        }
    }

    /// It was written to now, asked for or not.
    pub fn sent(&mut self, recipient: K, now: Duration) {
        self.forget(now);
        if self.spacing.is_zero() {
            return;
        }
        if self.order.len() >= 2 * self.most {
            self.drop_first();
        }
        let at = now + self.spacing;
        self.free_at.insert(recipient, at);
        self.order.push_back((at, recipient));
    }

    fn forget(&mut self, now: Duration) {
        while self.order.front().is_some_and(|(at, _)| *at <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some((at, recipient)) = self.order.pop_front() else { return };
        // It may have been written to again since.
        if self.free_at.get(&recipient) == Some(&at) {
            self.free_at.remove(&recipient);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACING: Duration = Duration::from_secs(6);

    #[test]
    fn the_same_customer_waits_and_another_does_not() {
        let mut recipients = Recipients::new(SPACING, 10);
        let now = Duration::from_secs(100);
        recipients.sent('a', now);
        let later = Answer::NotBefore { at: now + SPACING, because: Limit::Recipient };
        assert_eq!((recipients.ask('a', now), recipients.ask('b', now)), (later, Answer::Now));
        assert_eq!(recipients.ask('a', now + SPACING - Duration::from_nanos(1)), later);
        assert_eq!(recipients.ask('a', now + SPACING), Answer::Now);
    }

    #[test]
    fn written_to_again_too_soon_it_waits_from_then() {
        let mut recipients = Recipients::new(SPACING, 10);
        let later = Duration::from_secs(3);
        recipients.sent('a', Duration::ZERO);
        recipients.sent('a', later);
        assert_eq!(recipients.ask('a', SPACING), Answer::NotBefore { at: later + SPACING, because: Limit::Recipient });
    }

    #[test]
    fn no_spacing_is_no_limit() {
        let mut recipients = Recipients::new(Duration::ZERO, 1);
        recipients.sent(1, Duration::ZERO);
        assert_eq!((recipients.ask(1, Duration::ZERO), recipients.ask(2, Duration::ZERO)), (Answer::Now, Answer::Now));
    }

    proptest! {
        /// Also for one that has no room: then others wait too, but never is somebody written to again too soon.
        #[test]
        fn two_messages_to_one_are_never_closer_and_memory_is_bounded(
            most in 1usize..5, tries in proptest::collection::vec((0u8..8, 0u64..4000), 1..200),
        ) {
            let mut recipients = Recipients::new(SPACING, most);
            let mut last: HashMap<u8, Duration> = HashMap::new();
            let mut now = Duration::ZERO;
            for (recipient, pause) in tries {
                now += Duration::from_millis(pause);
                match recipients.ask(recipient, now) {
                    Answer::Now => {
                        if let Some(last) = last.insert(recipient, now) {
                            prop_assert!(now - last >= SPACING);
                        }
                        recipients.sent(recipient, now);
                    }
                    Answer::NotBefore { at, .. } => {
                        prop_assert!(at > now && at <= now + SPACING);
                        let known = last.values().filter(|last| now < **last + SPACING).count();
                        let too_soon = last.get(&recipient).is_some_and(|last| now < *last + SPACING);
                        prop_assert!(known == most || too_soon, "nobody waits for nothing");
                    }
                }
                prop_assert!(recipients.free_at.len() <= most && recipients.order.len() <= 2 * most);
            }
        }
    }
}
