//! A bucket of tokens: fills at a rate up to a brim.

use std::time::Duration;

/// What a bucket that never fills answers instead of for ever.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    brim: f64,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(per_second: f64, brim: f64, now: Duration) -> Self {
        Self { per_second, brim, tokens: brim, at: now }
    }

    /// One that gives no more than `most` in any `period`: a quarter may go at once, the rest spreads.
    pub(crate) fn within(most: u32, period: Duration, now: Duration) -> Self {
        let mut bucket = Self::new(0.0, 0.0, now);
        bucket.set_within(most, period, now);
        bucket.tokens = bucket.brim;
        bucket
    }

    pub(crate) fn set_within(&mut self, most: u32, period: Duration, now: Duration) {
        let most = f64::from(most);
        let brim = (most / 4.0).max(1.0).min(most);
        // What is there at the beginning of a period and what comes in it are `most` together. A single one fills it again.
        let refill = if most > 1.0 { most - brim } else { most };
        self.set(refill / period.as_secs_f64(), brim, now);
    }

    /// Changes the rate from now on.
    pub(crate) fn set(&mut self, per_second: f64, brim: f64, now: Duration) {
        self.advance(now);
        (self.per_second, self.brim) = (per_second, brim);
        self.tokens = self.tokens.min(brim);
    }

    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.brim);
        self.at = self.at.max(now);
    }

    /// How many may go now.
    pub(crate) fn room(&mut self, now: Duration) -> u32 {
        self.advance(now);
        // At most thousands.
        self.tokens.max(0.0) as u32
    }

    pub(crate) fn spend(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }

    /// How long until it is full; a day when it is longer.
    pub(crate) fn fills(&mut self, now: Duration) -> Duration {
        self.advance(now);
        let missing = self.brim - self.tokens;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / self.per_second).map_or(LONGEST, |fills| fills.min(LONGEST))
    }

    /// Takes out what comes within this time.
    pub(crate) fn spend_of(&mut self, time: Duration) {
        self.tokens -= time.as_secs_f64() * self.per_second;
    }

    /// How long until one may go; a day when it is longer.
    pub(crate) fn wait(&mut self, now: Duration) -> Duration {
        self.advance(now);
        let missing = 1.0 - self.tokens;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        // A nanosecond more, so that rounding leaves nothing missing then.
        Duration::try_from_secs_f64(missing / self.per_second).map_or(LONGEST, |wait| LONGEST.min(wait + Duration::from_nanos(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_period_has_more_than_it_may(most in 0u32..400, pauses in proptest::collection::vec(0u64..2000, 1..600)) {
            let period = Duration::from_secs(3600);
            let mut now = Duration::from_secs(5);
            let mut bucket = Bucket::within(most, period, now);
            let mut sent: Vec<Duration> = Vec::new();
            for pause in pauses {
                now += Duration::from_secs(pause);
                // As many as may go, and then once more exactly when the next may.
                for _ in 0..bucket.room(now) {
                    bucket.spend(1.0);
                    sent.push(now);
                }
                let wait = bucket.wait(now);
                prop_assert!(wait > Duration::ZERO);
                if wait < LONGEST {
                    let mut later = bucket;
                    prop_assert_eq!(later.room(now + wait), 1);
                }
            }
            for (index, first) in sent.iter().enumerate() {
                let within = sent[index..].iter().take_while(|at| **at - *first < period).count();
                prop_assert!(within <= most as usize, "{} of {}", within, most);
            }
        }
    }

    #[test]
    fn all_of_a_period_can_be_had_by_one_that_asks_often() {
        for most in [1, 2, 5, 20, 100] {
            let mut bucket = Bucket::within(most, Duration::from_secs(3600), Duration::ZERO);
            let sent: u32 = (0..3600)
                .map(|second| {
                    let room = bucket.room(Duration::from_secs(second));
                    bucket.spend(f64::from(room));
                    room
                })
                .sum();
            assert!(sent >= most - 1 && sent <= most, "{sent} of {most}");
        }
    }
}
