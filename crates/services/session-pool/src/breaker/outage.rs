//! Tells one session's trouble from WhatsApp's: when many sessions fail within a moment, and hardly any succeeds, all of them wait together
//! and none is blamed.

use std::{collections::HashMap, time::Duration};

use barid_domain::SessionId;

#[derive(Clone, Copy, Debug)]
pub struct OutageRules {
    pub window: Duration,
    /// So many sessions must fail within the window: fewer are their own trouble.
    pub least: usize,
    /// Of those that tried within the window, such a part must have failed.
    pub part: f64,
    /// Logins rest so long the first time, twice as long the next, up to `longest`.
    pub shortest: Duration,
    pub longest: Duration,
}

impl Default for OutageRules {
    fn default() -> Self {
        Self { window: Duration::from_secs(30), least: 5, part: 0.5, shortest: Duration::from_secs(5), longest: Duration::from_secs(120) }
    }
}

/// Whose trouble a failure is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The session's: count it against it.
    Session,
    /// WhatsApp's, or the network's: count it against nobody, and forget what was counted against these sessions within the window.
    Everywhere { forgive: Vec<SessionId> },
}

/// Sessions that try, after a rest, whether it is over.
const PROBES: usize = 3;
/// Sessions it remembers at most; a cluster logs in fewer within a window, and so many are proof enough.
const MOST: usize = 4096;

/// What a replica saw of logins and connections lately. Feed it those, not the outcomes of messages.
#[derive(Clone, Debug)]
pub struct Outage {
    rules: OutageRules,
    failed: HashMap<SessionId, Duration>,
    succeeded: HashMap<SessionId, Duration>,
    until: Duration,
    /// Rests without a success since.
    rests: u32,
    /// Probes under way.
    probing: usize,
}

impl Outage {
    pub fn new(rules: OutageRules) -> Self {
        Self { rules, failed: HashMap::new(), succeeded: HashMap::new(), until: Duration::ZERO, rests: 0, probing: 0 }
    }

    /// How many logins may begin: none, a few that probe, or as many as the budget allows.
    pub fn room(&self, now: Duration) -> usize {
        match () {
            () if now < self.until => 0,
            () if self.rests > 0 => PROBES.saturating_sub(self.probing),
            () => usize::MAX,
        }
    }

    /// How long until a login may begin.
    pub fn wait(&self, now: Duration) -> Duration {
        self.until.saturating_sub(now)
    }

    /// Whether logins rest, or probe.
    pub fn is_on(&self) -> bool {
        self.rests > 0
    }

    /// A login begins. Each that begins must end in `failed`, `succeeded` or `abandoned`, by a time-out if need be.
    pub fn began(&mut self) {
        self.probing += usize::from(self.rests > 0);
    }

    /// A login failed or a connection was lost without a reason of the session's own. `random` from 0 to 1 makes a rest a little longer, so
    /// that replicas do not come back together.
    pub fn failed(&mut self, session: SessionId, random: f64, now: Duration) -> Verdict {
        self.probing = self.probing.saturating_sub(1);
        if now < self.until {
            return Verdict::Everywhere { forgive: vec![session] };
        }
        self.forget(now);
        self.succeeded.remove(&session);
        if self.failed.len() < MOST {
            self.failed.insert(session, now);
        }
        let tried = self.failed.len() + self.succeeded.len();
        let many = self.failed.len() >= self.rules.least && self.failed.len() as f64 >= self.rules.part * tried as f64;
        // After a rest, as many different sessions as may probe are enough. One alone may have a trouble of its own.
        let again = self.rests > 0 && self.failed.len() >= PROBES;
        if !many && !again {
            return Verdict::Session;
        }
        let rest = self.rules.longest.min(self.rules.shortest * (1 << self.rests.min(10)));
        self.until = now + rest.mul_f64(1.0 + 0.2 * random.clamp(0.0, 1.0));
        self.rests = self.rests.saturating_add(1);
        self.probing = 0;
        self.succeeded.clear();
        let mut forgive: Vec<SessionId> = self.failed.drain().map(|(session, _)| session).collect();
        forgive.sort_unstable();
        Verdict::Everywhere { forgive }
    }

    /// A login succeeded. During a rest it says nothing: it began before.
    pub fn succeeded(&mut self, session: SessionId, now: Duration) {
        self.probing = self.probing.saturating_sub(1);
        if now < self.until {
            return;
        }
        self.forget(now);
        self.rests = 0;
        self.failed.remove(&session);
        if self.succeeded.len() < MOST {
            self.succeeded.insert(session, now);
        }
    }

    /// A login ended and says nothing of WhatsApp: its session went to another replica, or our own store was at fault.
    pub fn abandoned(&mut self) {
        self.probing = self.probing.saturating_sub(1);
    }

    fn forget(&mut self, now: Duration) {
        let window = self.rules.window;
        for seen in [&mut self.failed, &mut self.succeeded] {
            seen.retain(|_, at| now.saturating_sub(*at) < window);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn session(number: u128) -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(number))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn outage() -> Outage {
        Outage::new(OutageRules::default())
    }

    #[test]
    fn a_few_sessions_or_one_that_fails_again_and_again_are_their_own_trouble() {
        let mut outage = outage();
        for second in 0..100 {
            assert_eq!(outage.failed(session(1), 0.0, seconds(second)), Verdict::Session);
        }
        for number in 0..4 {
            assert_eq!(outage.failed(session(number), 0.0, seconds(100)), Verdict::Session);
        }
        assert_eq!(outage.failed(session(5), 0.0, seconds(131)), Verdict::Session, "not within one window");
        assert_eq!(outage.room(seconds(131)), usize::MAX);
    }

    #[test]
    fn a_few_that_fail_among_many_that_succeed_are_their_own_trouble() {
        let mut outage = outage();
        (0..20).for_each(|number| outage.succeeded(session(100 + number), seconds(1)));
        for number in 0..19 {
            assert_eq!(outage.failed(session(number), 0.0, seconds(2)), Verdict::Session);
        }
        assert!(matches!(outage.failed(session(19), 0.0, seconds(2)), Verdict::Everywhere { .. }), "half of them");
    }

    fn fallen() -> (Outage, Duration) {
        let mut outage = outage();
        for number in 0..4 {
            outage.failed(session(number), 0.0, seconds(10));
        }
        let forgive = (0..5).map(session).collect();
        assert_eq!(outage.failed(session(4), 0.0, seconds(11)), Verdict::Everywhere { forgive });
        assert_eq!((outage.room(seconds(15)), outage.wait(seconds(15))), (0, seconds(1)));
        assert_eq!(outage.failed(session(9), 0.0, seconds(12)), Verdict::Everywhere { forgive: vec![session(9)] });
        outage.succeeded(session(8), seconds(12));
        assert_eq!(outage.room(seconds(15)), 0, "it began before");
        (outage, seconds(16))
    }

    #[test]
    fn after_a_rest_a_few_probe_and_the_next_rest_is_longer() {
        let (mut outage, mut now) = fallen();
        for rest in [10, 20, 40, 80, 120, 120] {
            for number in 0..PROBES {
                assert_eq!(outage.room(now), PROBES - number);
                outage.began();
            }
            assert_eq!(outage.failed(session(1), 0.0, now), Verdict::Session);
            assert_eq!(outage.failed(session(2), 0.0, now), Verdict::Session);
            assert!(matches!(outage.failed(session(3), 0.0, now), Verdict::Everywhere { .. }));
            assert_eq!(outage.wait(now), seconds(rest));
            now += seconds(rest);
        }
    }

    #[test]
    fn a_probe_that_says_nothing_makes_room_for_another() {
        let (mut outage, now) = fallen();
        for _ in 0..2 * PROBES {
            assert_eq!(outage.room(now), PROBES);
            outage.began();
            outage.abandoned();
        }
    }

    #[test]
    fn one_success_after_a_rest_ends_it_and_one_bad_session_does_not_prolong_it() {
        let (mut outage, now) = fallen();
        for _ in 0..50 {
            outage.began();
            assert_eq!((outage.failed(session(1), 0.0, now), outage.room(now)), (Verdict::Session, PROBES));
        }
        outage.began();
        outage.succeeded(session(2), now);
        assert_eq!((outage.room(now), outage.is_on()), (usize::MAX, false));
    }
}
