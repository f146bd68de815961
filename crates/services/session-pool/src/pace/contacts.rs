//! How many customers a session writes to for the first time.

use std::time::Duration;

use super::{Answer, Bucket, Limit};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The budget for messages to customers that were never talked to: so many in any 24 hours, a quarter of them at once at most. Two numbers
/// are all it keeps, whatever the customers; whether one was talked to, the caller knows.
#[derive(Clone, Copy, Debug)]
pub struct FirstContacts {
    bucket: Option<Bucket>,
}

impl FirstContacts {
    /// With `used` of the last 24 hours' budget already spent, as far as is known: a take-over is no new day.
    pub fn new(per_day: Option<u32>, used: u32, now: Duration) -> Self {
        let bucket = per_day.map(|most| {
            let mut bucket = Bucket::within(most, DAY, now);
            bucket.spend(f64::from(used.min(most)));
            bucket
        });
        Self { bucket }
    }

    /// Changes the budget, as the number gets older.
    pub fn set(&mut self, per_day: Option<u32>, now: Duration) {
        match (&mut self.bucket, per_day) {
            (bucket, None) => *bucket = None,
            (Some(bucket), Some(most)) => bucket.set_within(most, DAY, now),
            (bucket @ None, Some(most)) => *bucket = Some(Bucket::within(most, DAY, now)),
        }
    }

    pub fn ask(&mut self, now: Duration) -> Answer {
        self.bucket.as_mut().map_or(Answer::Now, |bucket| Answer::after(bucket.wait(now), now, Limit::FirstContact))
    }

    /// A new customer was written to.
    pub fn sent(&mut self) {
        if let Some(bucket) = &mut self.bucket {
            bucket.spend(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(contacts: &mut FirstContacts, now: Duration) -> Option<Duration> {
        match contacts.ask(now) {
            Answer::Now => None,
            Answer::NotBefore { at, because } => {
                assert_eq!(because, Limit::FirstContact);
                Some(at)
            }
        }
    }

    #[test]
    fn a_day_has_only_so_many_and_they_spread() {
        let mut contacts = FirstContacts::new(Some(10), 0, Duration::ZERO);
        let mut sent = 0;
        for minute in 0..24 * 60 {
            if waits(&mut contacts, Duration::from_secs(minute * 60)).is_none() {
                contacts.sent();
                sent += 1;
            }
            assert!(minute > 0 || waits(&mut contacts, Duration::ZERO).is_none(), "two at once");
        }
        assert!((9..=10).contains(&sent), "{sent}");
    }

    #[test]
    fn what_was_used_before_counts_and_no_budget_is_no_limit() {
        let mut contacts = FirstContacts::new(Some(10), 10, Duration::ZERO);
        assert!(waits(&mut contacts, Duration::ZERO).is_some_and(|at| at > Duration::from_secs(20 * 3600)));
        contacts.set(None, Duration::ZERO);
        assert_eq!(waits(&mut contacts, Duration::ZERO), None);
        let mut none = FirstContacts::new(Some(0), 0, Duration::ZERO);
        assert_eq!(waits(&mut none, DAY * 3), Some(DAY * 4), "nobody, today as tomorrow");
    }
}
