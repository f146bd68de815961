//! Keeps sessions from running against a wall: after failures in a row one rests, longer each time, and then tries carefully. And when it
//! is WhatsApp that is down, none of them is to blame. Pure; times are uptimes.

mod losses;
mod outage;
mod reach;
mod reach_out;

use std::time::Duration;

pub use losses::Losses;
pub use outage::{Outage, OutageRules, Verdict};
pub use reach::Reach;
pub use reach_out::{ReachOut, Refusal};

/// Failures in a row that are still taken for chance.
const CHANCE: u32 = 2;

#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    shortest: Duration,
    longest: Duration,
    failures: u32,
    /// Times it opened without a success since.
    opened: u32,
    until: Duration,
}

impl Default for Breaker {
    /// For requests to the Cloud API.
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(60))
    }
}

impl Breaker {
    fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, failures: 0, opened: 0, until: Duration::ZERO }
    }

    /// Something failed that the message is not to blame for.
    pub fn failed(&mut self, now: Duration) {
        // What was under way when it opened says nothing new.
        if self.is_open(now) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures > CHANCE {
            self.until = now + self.longest.min(self.shortest * (1 << self.opened.min(10)));
            self.opened += 1;
        }
    }

    pub fn succeeded(&mut self) {
        *self = Self::new(self.shortest, self.longest);
    }

    fn is_open(&self, now: Duration) -> bool {
        now < self.until
    }

    /// How many messages may be under way.
    pub fn room(&self, now: Duration) -> u32 {
        match () {
            () if self.is_open(now) => 0,
            () if self.opened > 0 => 1,
            () => u32::MAX,
        }
    }

    /// How long until something may be tried.
    pub fn wait(&self, now: Duration) -> Duration {
        self.until.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_for_twice_as_long_each_time_and_closes_with_a_success() {
        let mut breaker = Breaker::default();
        let mut now = Duration::from_secs(50);
        for _ in 0..CHANCE {
            breaker.failed(now);
            assert_eq!(breaker.room(now), u32::MAX);
        }
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            breaker.failed(now);
            assert_eq!((breaker.room(now), breaker.wait(now)), (0, Duration::from_secs(expected)));
            breaker.failed(now);
            assert_eq!(breaker.wait(now), Duration::from_secs(expected), "stragglers do not lengthen it");
            now += breaker.wait(now);
            assert_eq!(breaker.room(now), 1, "one message tries");
        }
        breaker.succeeded();
        assert_eq!(breaker.room(now), u32::MAX);
    }
}
