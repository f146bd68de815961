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
    /// With a budget of which so much is spent that it is whole again in `whole_in`: a take-over is no new day.
    pub fn new(per_day: Option<u32>, whole_in: Duration, now: Duration) -> Self {
        let bucket = per_day.map(|most| {
            let mut bucket = Bucket::within(most, DAY, now);
            bucket.spend_of(whole_in);
            bucket
        });
        Self { bucket }
    }

    /// How long until the budget is whole again, if nobody new is written to.
    pub fn whole_in(&mut self, now: Duration) -> Duration {
        self.bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.fills(now))
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
        let mut contacts = FirstContacts::new(Some(10), Duration::ZERO, Duration::ZERO);
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
    fn no_budget_is_no_limit_and_a_budget_of_none_is_one() {
        let mut contacts = FirstContacts::new(Some(1), DAY, Duration::ZERO);
        assert!(waits(&mut contacts, Duration::ZERO).is_some());
        contacts.set(None, Duration::ZERO);
        assert_eq!((waits(&mut contacts, Duration::ZERO), contacts.whole_in(Duration::ZERO)), (None, Duration::ZERO));
        let mut none = FirstContacts::new(Some(0), Duration::ZERO, Duration::ZERO);
        assert_eq!(waits(&mut none, DAY * 3), Some(DAY * 4), "nobody, today as tomorrow");
        assert_eq!(none.whole_in(DAY * 3), Duration::ZERO);
    }

    #[test]
    fn the_next_owner_goes_on_where_the_last_one_was() {
        let (hour, elsewhere) = (Duration::from_secs(3600), Duration::from_secs(777));
        let mut last = FirstContacts::new(Some(20), Duration::ZERO, Duration::ZERO);
        (0..5).for_each(|_| last.sent());
        let whole_at = last.whole_in(Duration::ZERO);
        for passed in [Duration::ZERO, hour, hour * 2, hour * 4, hour * 30] {
            let mut next = FirstContacts::new(Some(20), whole_at.saturating_sub(passed), elsewhere);
            let (waits_next, waits_last) = (waits(&mut next, elsewhere), waits(&mut last, passed));
            let difference =
                waits_next.map(|at| at - elsewhere).unwrap_or_default().abs_diff(waits_last.map(|at| at - passed).unwrap_or_default());
            assert!(difference < Duration::from_millis(1), "{difference:?} after {passed:?}");
        }
    }
}
