//! How fast a session sends, and to whom it may write now. Pure; times are uptimes, and all of it is bounded in memory.

mod bucket;
mod contacts;
mod curve;
mod portfolio;
mod recipients;

use std::{fmt, time::Duration};

pub(crate) use bucket::Bucket;
pub use contacts::FirstContacts;
pub use curve::{Curve, Point};
pub use portfolio::Portfolio;
pub use recipients::Recipients;

const HOUR: Duration = Duration::from_secs(3600);

/// Which limit a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Pace,
    WarmUp,
    Recipient,
    FirstContact,
    ReachOut,
    Portfolio,
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pace => "the session sends only so many messages a minute",
            Self::WarmUp => "the number was linked lately and sends slowly at first",
            Self::Recipient => "this customer was written to a moment ago",
            Self::FirstContact => "the session writes to only so many new customers a day",
            Self::ReachOut => "WhatsApp does not let the session write first to new customers for now",
            Self::Portfolio => "the portfolio's daily limit of customers is used up",
        })
    }
}

/// Whether a message may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Now,
    /// Not before this uptime. It may be refused again then, when others came first.
    NotBefore {
        at: Duration,
        because: Limit,
    },
}

impl Answer {
    pub(crate) fn after(wait: Duration, now: Duration, because: Limit) -> Self {
        if wait.is_zero() { Self::Now } else { Self::NotBefore { at: now + wait, because } }
    }

    /// Both must agree: the later.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotBefore { at: one, .. }, Self::NotBefore { at: another, .. }) if another > one => other,
            (Self::Now, _) => other,
            _ => self,
        }
    }
}

/// A session's speed: messages a minute, and fewer an hour while its number is young.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    minute: Bucket,
    young: Option<Bucket>,
}

/// By how much a message's interval is longer at most. Machines are regular, people are not; and it only ever slows down.
const JITTER: f64 = 0.2;

impl Pace {
    pub fn new(messages_per_minute: u32, now: Duration) -> Self {
        let per_second = per_second(messages_per_minute);
        Self { minute: Bucket::new(per_second, burst(per_second), now), young: None }
    }

    /// Changes the pace from now on.
    pub fn set(&mut self, messages_per_minute: u32, now: Duration) {
        let per_second = per_second(messages_per_minute);
        self.minute.set(per_second, burst(per_second), now);
    }

    /// Messages an hour, by the number's age; `None` when it is grown up.
    pub fn set_young(&mut self, per_hour: Option<u32>, now: Duration) {
        match (&mut self.young, per_hour) {
            (young, None) => *young = None,
            (Some(young), Some(most)) => young.set_within(most, HOUR, now),
            (young @ None, Some(most)) => *young = Some(Bucket::within(most, HOUR, now)),
        }
    }

    /// How many messages may go now.
    pub fn room(&mut self, now: Duration) -> u32 {
        let young = self.young.as_mut().map_or(u32::MAX, |young| young.room(now));
        self.minute.room(now).min(young)
    }

    /// A message goes. `random` from 0 to 1 makes its interval a little longer.
    pub fn spend(&mut self, random: f64) {
        let tokens = 1.0 + JITTER * random.clamp(0.0, 1.0);
        self.minute.spend(tokens);
        if let Some(young) = &mut self.young {
            young.spend(tokens);
        }
    }

    /// How long until there is room for a message.
    pub fn wait(&mut self, now: Duration) -> Duration {
        match self.ask(now) {
            Answer::Now => Duration::ZERO,
            Answer::NotBefore { at, .. } => at.saturating_sub(now),
        }
    }

    /// Whether a message may go, whoever it is to.
    pub fn ask(&mut self, now: Duration) -> Answer {
        let minute = Answer::after(self.minute.wait(now), now, Limit::Pace);
        let young = self.young.as_mut().map_or(Answer::Now, |young| Answer::after(young.wait(now), now, Limit::WarmUp));
        minute.and(young)
    }
}

fn per_second(messages_per_minute: u32) -> f64 {
    f64::from(messages_per_minute.max(1)) / 60.0
}

/// A quarter of a second's messages may go at once, and one in any case.
fn burst(per_second: f64) -> f64 {
    (per_second / 4.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends as fast as it may for a while, looking every `step`.
    fn sent(pace: &mut Pace, seconds: u64, step: Duration, mut random: impl FnMut() -> f64) -> u32 {
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

    #[test]
    fn a_young_number_sends_some_at_once_and_then_slowly_until_it_is_grown_up() {
        let mut pace = Pace::new(600, Duration::ZERO);
        pace.set_young(Some(20), Duration::ZERO);
        assert_eq!(sent(&mut pace, 60, Duration::from_millis(100), || 0.0), 5);
        let now = Duration::from_secs(60);
        let Answer::NotBefore { at, because: Limit::WarmUp } = pace.ask(now) else { panic!("{:?}", pace.ask(now)) };
        assert_eq!((pace.room(at - Duration::from_millis(10)), pace.room(at)), (0, 1));
        pace.set_young(Some(40), at);
        assert_eq!(pace.room(at), 1, "a new day is no new burst");
        pace.set_young(None, at);
        assert_eq!(pace.room(at), 2, "a quarter of a second's messages");
    }

    #[test]
    fn the_later_answer_of_two_holds() {
        let not_before = |seconds, because| Answer::NotBefore { at: Duration::from_secs(seconds), because };
        let (one, two) = (not_before(1, Limit::Pace), not_before(2, Limit::Recipient));
        assert_eq!([one.and(two), two.and(one), one.and(Answer::Now), Answer::Now.and(one)], [two, two, one, one]);
        assert_eq!(Answer::Now.and(Answer::Now), Answer::Now);
    }

    proptest! {
        #[test]
        fn a_minute_has_the_messages_it_may_have(per_minute in 60u32..60_000, random in 0.0f64..1.0, step in 1u64..40) {
            let sent = sent(&mut Pace::new(per_minute, Duration::ZERO), 60, Duration::from_millis(step), || random);
            prop_assert!(sent <= per_minute + (per_minute / 240).max(1), "{sent} of {per_minute}");
            prop_assert!(f64::from(sent) >= f64::from(per_minute) / (1.0 + JITTER) * 0.9, "{sent} of {per_minute}");
        }

        #[test]
        fn an_hour_of_a_young_number_has_no_more_than_the_curve_says(per_hour in 1u32..500, random in 0.0f64..1.0) {
            let mut pace = Pace::new(60, Duration::ZERO);
            pace.set_young(Some(per_hour), Duration::ZERO);
            let sent = sent(&mut pace, 3600, Duration::from_secs(1), || random);
            prop_assert!(sent <= per_hour);
            prop_assert!(f64::from(sent) >= f64::from(per_hour) / (1.0 + JITTER) * 0.8 - 1.0, "{sent} of {per_hour}");
        }
    }
}
