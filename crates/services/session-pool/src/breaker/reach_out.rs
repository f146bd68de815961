//! WhatsApp's reach-out lock: error 463. A number that wrote to too many people who do not know it may write only to those it already
//! talks with.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_secs(6 * 3600);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Refused messages to customers who know the number, without a success between, after which the whole session rests.
const KNOWN: u32 = 3;

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// First contacts wait until this uptime; answers to customers go on.
    NoFirstContacts { until: Duration },
    /// Even customers who know the number are not reached: the session shall pause.
    Pause { until: Duration },
}

/// The lock of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReachOut {
    until: Duration,
    /// Locks so far; each is twice as long. WhatsApp does not say how long its own lasts.
    locks: u32,
    known: u32,
}

impl ReachOut {
    /// With a lock, perhaps over, that a former owner met.
    pub fn new(until: Duration, locks: u32) -> Self {
        Self { until, locks, known: 0 }
    }

    pub fn locks(&self) -> u32 {
        self.locks
    }

    /// A message was refused with 463; `first` when it was to someone new.
    pub fn refused(&mut self, first: bool, now: Duration) -> Refusal {
        if now >= self.until {
            self.until = now + LONGEST.min(SHORTEST * (1 << self.locks.min(8)));
            self.locks = self.locks.saturating_add(1);
        }
        self.known += u32::from(!first);
        let until = self.until;
        if self.known >= KNOWN { Refusal::Pause { until } } else { Refusal::NoFirstContacts { until } }
    }

    /// A message was acknowledged; one to somebody new shows that there is no lock.
    pub fn succeeded(&mut self, first: bool) {
        self.known = 0;
        if first {
            *self = Self::default();
        }
    }

    /// How long until someone new may be written to.
    pub fn wait(&self, now: Duration) -> Duration {
        self.until.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    #[test]
    fn a_lock_keeps_from_new_customers_longer_each_time() {
        let mut lock = ReachOut::default();
        assert_eq!(lock.wait(hours(1)), Duration::ZERO);
        let mut now = hours(1);
        for rest in [6, 12, 24, 48, 96, 168, 168] {
            assert_eq!(lock.refused(true, now), Refusal::NoFirstContacts { until: now + hours(rest) });
            assert_eq!(lock.refused(true, now + hours(1)), Refusal::NoFirstContacts { until: now + hours(rest) }, "what was under way");
            now += lock.wait(now);
        }
        lock.succeeded(false);
        assert_eq!(lock.refused(true, now), Refusal::NoFirstContacts { until: now + hours(168) }, "a reply proves nothing");
        lock.succeeded(true);
        assert_eq!(lock.refused(true, now), Refusal::NoFirstContacts { until: now + hours(6) });
    }

    #[test]
    fn a_session_that_reaches_nobody_pauses() {
        let mut lock = ReachOut::default();
        let until = hours(6);
        for reached in [true, false] {
            assert_eq!(lock.refused(false, hours(0)), Refusal::NoFirstContacts { until });
            assert_eq!(lock.refused(false, hours(0)), Refusal::NoFirstContacts { until });
            if reached {
                lock.succeeded(false);
            }
        }
        assert_eq!(lock.refused(false, hours(1)), Refusal::Pause { until });
    }
}
