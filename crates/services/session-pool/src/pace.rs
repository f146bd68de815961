//! How fast a session sends. Pure; times are uptimes.

use std::time::Duration;

/// A bucket of tokens, one to a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    per_second: f64,
    tokens: f64,
    at: Duration,
}

/// By how much a message's interval is longer at most. Machines are regular, people are not; and it only ever slows down.
const JITTER: f64 = 0.2;

impl Pace {
    pub(crate) fn new(messages_per_minute: u32, now: Duration) -> Self {
        let mut pace = Self { per_second: 0.0, tokens: 0.0, at: now };
        pace.set(messages_per_minute);
        pace.tokens = pace.burst();
        pace
    }

    /// Changes the pace from now on.
    pub(crate) fn set(&mut self, messages_per_minute: u32) {
        self.per_second = f64::from(messages_per_minute.max(1)) / 60.0;
        self.tokens = self.tokens.min(self.burst());
    }

    /// A quarter of a second's messages may go at once, and one in any case.
    fn burst(&self) -> f64 {
        (self.per_second / 4.0).max(1.0)
    }

    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst());
        self.at = self.at.max(now);
    }

    /// How many messages may go now.
    pub(crate) fn room(&mut self, now: Duration) -> u32 {
        self.advance(now);
        // At most thousands.
        self.tokens.max(0.0) as u32
    }

    /// A message goes. `random` from 0 to 1 makes its interval a little longer.
    pub(crate) fn spend(&mut self, random: f64) {
        self.tokens -= 1.0 + JITTER * random.clamp(0.0, 1.0);
    }

    /// How long until there is room for a message.
    pub(crate) fn wait(&mut self, now: Duration) -> Duration {
        self.advance(now);
        Duration::from_secs_f64(((1.0 - self.tokens) / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends as fast as it may for a while, looking every `step`.
    fn sent(messages_per_minute: u32, seconds: u64, step: Duration, mut random: impl FnMut() -> f64) -> u32 {
        let mut pace = Pace::new(messages_per_minute, Duration::ZERO);
        let (mut now, mut sent) = (Duration::ZERO, 0);
        while now < Duration::from_secs(seconds) {
            for _ in 0..pace.room(now) {
                pace.spend(random());
                sent += 1;
            }
            now += step;
        }
        sent
    }

    #[test]
    fn an_idle_session_sends_its_first_message_at_once_and_the_next_in_its_time() {
        let mut pace = Pace::new(6, Duration::from_secs(100));
        let now = Duration::from_secs(100);
        assert_eq!(pace.room(now), 1);
        pace.spend(1.0);
        assert_eq!(pace.room(now), 0);
        assert!((pace.wait(now).as_secs_f64() - 12.0).abs() < 0.001, "{:?}", pace.wait(now));
        assert_eq!(pace.room(now + Duration::from_secs(13)), 1);
        assert_eq!(pace.room(now + Duration::from_secs(3600)), 1, "rest does not add up");
    }

    proptest! {
        #[test]
        fn a_minute_has_the_messages_it_may_have(pace in 60u32..60_000, random in 0.0f64..1.0, step in 1u64..40) {
            let sent = sent(pace, 60, Duration::from_millis(step), || random);
            prop_assert!(sent <= pace + (pace / 240).max(1), "{sent} of {pace}");
            prop_assert!(f64::from(sent) >= f64::from(pace) / (1.0 + JITTER) * 0.9, "{sent} of {pace}");
        }
    }
}
