//! When sessions may log in. Pure; times are uptimes.
//!
//! Thousands of logins at once, after a failover or an outage, look like an attack to WhatsApp and starve the sends of sessions that are
//! connected. So the whole cluster has one budget, of which each replica takes its share; and a session whose login failed waits by itself,
//! a little longer each time.

use std::time::Duration;

use crate::pace::Bucket;

/// The budget's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Logins a second of all replicas together.
    pub per_second: f64,
    /// Logins a second that a replica may in any case. With more replicas than `per_second / floor` the cluster does more than
    /// `per_second`.
    pub floor: f64,
    /// A share not used for so long may be used at once.
    pub burst: Duration,
}

impl Default for Rules {
    /// A thousand sessions are back in 12.5 s.
    fn default() -> Self {
        Self { per_second: 80.0, floor: 2.0, burst: Duration::from_millis(250) }
    }
}

/// The logins of one replica. Replicas that learn of each other's end at different times exceed the cluster's budget for that long, by no
/// more than what the dead one had.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    rules: Rules,
    bucket: Bucket,
}

impl Budget {
    /// With so many replicas alive, itself among them. It begins with one login, not with a burst: replicas that are started one after the
    /// other add up.
    pub fn new(rules: Rules, alive: usize, now: Duration) -> Self {
        let mut budget = Self { rules, bucket: Bucket::new(0.0, 1.0, now) };
        budget.set_alive(alive, now);
        budget
    }

    pub fn set_alive(&mut self, alive: usize, now: Duration) {
        let rate = (self.rules.per_second / alive.max(1) as f64).max(self.rules.floor);
        self.bucket.set(rate, (rate * self.rules.burst.as_secs_f64()).max(1.0), now);
    }

    /// How many may log in now. Give them to the most deserving.
    pub fn room(&mut self, now: Duration) -> usize {
        self.bucket.room(now) as usize
    }

    /// One logs in.
    pub fn spend(&mut self) {
        self.bucket.spend(1.0);
    }

    /// How long until one may log in.
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.bucket.wait(now)
    }
}

/// How a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// WhatsApp was not reached, or did not answer.
    Network,
    /// WhatsApp answered that it will not. Asking again soon makes it worse.
    Refused,
}

impl Failure {
    fn rests(self) -> (Duration, Duration) {
        match self {
            Self::Network => (Duration::from_secs(1), Duration::from_secs(5 * 60)),
            Self::Refused => (Duration::from_secs(10), Duration::from_secs(3600)),
        }
    }
}

/// When one session may try to log in again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
    until: Duration,
}

impl Backoff {
    /// Twice as long each time, up to a limit, and of that between half and all, by `random` from 0 to 1: sessions that failed together do
    /// not come back together.
    pub fn failed(&mut self, failure: Failure, random: f64, now: Duration) {
        let (shortest, longest) = failure.rests();
        let rest = longest.min(shortest * (1 << self.failures.min(12)));
        self.failures = self.failures.saturating_add(1);
        self.until = now + rest.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
    }

    /// It is logged in. (Or its failures were those of an outage.)
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// How long until it may try.
    pub fn wait(&self, now: Duration) -> Duration {
        self.until.saturating_sub(now)
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use barid_domain::SessionId;
    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{
        choice::{self, Candidate, Class},
        ownership::is_preferred,
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn replicas_share_the_budget_and_each_may_a_little() {
        let logins = |alive| {
            let mut budget = Budget::new(Rules { per_second: 30.0, ..Rules::default() }, alive, ms(0));
            let mut logins = 0;
            for tick in 0..1000 {
                let room = budget.room(ms(tick * 100));
                (0..room).for_each(|_| budget.spend());
                logins += room;
            }
            logins
        };
        assert!((2990..=3010).contains(&logins(1)), "{}", logins(1));
        assert!((990..=1010).contains(&logins(3)), "{}", logins(3));
        assert!((190..=210).contains(&logins(100)), "the floor: {}", logins(100));
    }

    #[test]
    fn rest_is_no_stampede() {
        let mut budget = Budget::new(Rules::default(), 1, ms(0));
        assert_eq!(budget.room(ms(0)), 1, "at the start");
        assert_eq!(budget.room(ms(3_600_000)), 20, "after an hour");
    }

    #[test]
    fn a_session_that_failed_waits_longer_each_time_and_longest_when_it_was_refused() {
        let waits = |failure, random| {
            let mut backoff = Backoff::default();
            let mut waits = Vec::new();
            for _ in 0..20 {
                backoff.failed(failure, random, ms(0));
                waits.push(backoff.wait(ms(0)).as_millis());
            }
            backoff.succeeded();
            assert_eq!(backoff.wait(ms(0)), ms(0));
            waits
        };
        assert_eq!(waits(Failure::Network, 1.0)[..3], [1000, 2000, 4000]);
        assert_eq!(waits(Failure::Network, 0.0)[..3], [500, 1000, 2000]);
        assert_eq!((waits(Failure::Network, 1.0)[19], waits(Failure::Refused, 1.0)[19]), (300_000, 3_600_000));
        assert_eq!(waits(Failure::Refused, 1.0)[0], 10_000);
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_the_rate_and_a_burst(per_second in 4.0f64..200.0, pauses in proptest::collection::vec(0u64..400, 1..300)) {
            let rules = Rules { per_second, ..Rules::default() };
            let mut budget = Budget::new(rules, 1, ms(0));
            let (mut now, mut logins) = (0, Vec::new());
            for pause in pauses {
                now += pause;
                for _ in 0..budget.room(ms(now)) {
                    budget.spend();
                    logins.push(now);
                }
            }
            let most = per_second * 1.25 + 1.0;
            for (index, first) in logins.iter().enumerate() {
                let within = logins[index..].iter().take_while(|at| **at < first + 1000).count();
                prop_assert!(within as f64 <= most, "{within} of {most}");
            }
        }
    }

    /// Two replicas find a thousand sessions of a third that died: those with immediate messages log in first, all at the cluster's rate.
    #[test]
    fn a_failover_is_no_stampede() {
        let start = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).expect("a time");
        let replicas = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let rules = Rules { per_second: 50.0, ..Rules::default() };
        let settings = choice::Settings { slots: 2000, ..choice::Settings::default() };
        let mut sessions: Vec<Candidate> = (0..1000)
            .map(|number| {
                let cold = Candidate::new(SessionId::from_uuid(Uuid::from_u128(number)), start);
                // Every fifth has immediate messages, every other one a batch, the rest nothing.
                match number % 10 {
                    0 | 5 => Candidate { immediate: 1, waiting: 1, ..cold },
                    1 | 3 | 7 => Candidate { waiting: 300, oldest: start - TimeDelta::seconds(10), ..cold },
                    _ => Candidate { last_visit: Some(start), ..cold },
                }
            })
            .collect();
        let mut budgets = replicas.map(|_| Budget::new(rules, 2, ms(0)));
        let mut logins: Vec<(u64, Class)> = Vec::new();
        for tick in 0..200 {
            let now = start + TimeDelta::milliseconds(tick * 100);
            let at = ms(tick.unsigned_abs() * 100);
            for (replica, budget) in replicas.iter().zip(&mut budgets) {
                let mine: Vec<Candidate> =
                    sessions.iter().filter(|session| is_preferred(session.session, *replica, &replicas)).copied().collect();
                let decision = choice::choose(&mine, now, &settings, budget.room(at));
                for session in sessions.iter_mut().filter(|session| decision.warm.contains(&session.session)) {
                    budget.spend();
                    logins.push((tick.unsigned_abs() * 100, if session.immediate > 0 { Class::Immediate } else { Class::HighVolume }));
                    session.slot_since = Some(now);
                }
            }
        }
        assert_eq!(logins.len(), 500, "those with messages, once each");
        for (index, (first, _)) in logins.iter().enumerate() {
            let within = logins[index..].iter().take_while(|(at, _)| at < &(first + 1000)).count();
            assert!(within <= 63, "{within} logins in the second from {first} ms");
        }
        let last_immediate = logins.iter().rposition(|(_, class)| *class == Class::Immediate).expect("some");
        let others_before = logins[..last_immediate].iter().filter(|(_, class)| *class != Class::Immediate).count();
        assert!(others_before <= 20, "{others_before}: only while the other replica has immediate ones left");
        assert!(logins.last().is_some_and(|(at, _)| (8_000..11_500).contains(at)), "{:?}: as fast as the budget allows", logins.last());
    }
}
