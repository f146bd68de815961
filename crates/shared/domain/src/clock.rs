//! The time, passed in so that tests can set it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Tells the time, to the microsecond: what the database keeps, so that a time that was stored equals the one that was told.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> DateTime<Utc>;
}

/// The time of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock that never goes back: when the one below it jumps back, it goes on at half its speed until that has caught up.
///
/// What was noted as due, or under way since, would otherwise lie in the future for as long as the jump was wide, and hold up whatever comes
/// after it. A jump ahead is followed at once: a machine that was suspended wakes up with one.
#[derive(Debug)]
pub struct SteadyClock<C> {
    below: C,
    /// What was told last, and what the clock below said then.
    last: Mutex<(DateTime<Utc>, DateTime<Utc>)>,
}

/// How much time at once is taken for time that went by.
const STEP: TimeDelta = TimeDelta::seconds(1);

impl<C: Clock> SteadyClock<C> {
    pub fn new(below: C) -> Self {
        let now = below.now();
        Self { below, last: Mutex::new((now, now)) }
    }
}

impl<C: Clock> Clock for SteadyClock<C> {
    fn now(&self) -> DateTime<Utc> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that who asks later is not told less.
        let now = self.below.now();
        let (told, below) = *last;
        // More than a step at once is a jump ahead, of which nothing is added that is not there.
        let slowed = told + (now - below).clamp(TimeDelta::zero(), STEP) / 2;
        let tells = now.max(slowed.trunc_subsecs(6));
        // What half a microsecond adds is not lost: the clock below is noted anew only when time has passed.
        if tells > told || now < below {
            *last = (tells, now);
        }
        tells
    }
}

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(time: DateTime<Utc>) -> Self {
        Self(AtomicI64::new(time.timestamp_micros()))
    }

    pub fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_microseconds().unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    impl Clock for Arc<ManualClock> {
        fn now(&self) -> DateTime<Utc> {
            self.as_ref().now()
        }
    }

    #[test]
    fn a_jump_back_slows_it_down_until_the_other_has_caught_up() {
        let begun = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let below = Arc::new(ManualClock::at(begun));
        let steady = SteadyClock::new(Arc::clone(&below));
        let (second, hour) = (TimeDelta::seconds(1), TimeDelta::hours(1));
        below.advance(second);
        assert_eq!(steady.now(), begun + second);
        below.advance(hour);
        let ahead = begun + second + hour;
        assert_eq!(steady.now(), ahead, "what is ahead is followed");
        below.advance(-hour);
        assert_eq!(steady.now(), ahead);
        for _ in 0..10 {
            below.advance(second);
            steady.now();
        }
        assert_eq!(steady.now(), ahead + second * 5);
        below.advance(TimeDelta::microseconds(1));
        below.advance(TimeDelta::microseconds(1));
        assert_eq!(steady.now(), ahead + second * 5 + TimeDelta::microseconds(1));
        below.advance(hour * 3);
        assert_eq!(steady.now(), below.now());
    }

    #[test]
    fn jumps_back_and_ahead_again_do_not_add_up() {
        let begun = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let below = Arc::new(ManualClock::at(begun));
        let steady = SteadyClock::new(Arc::clone(&below));
        for _ in 0..10 {
            below.advance(TimeDelta::hours(1));
            steady.now();
            below.advance(-TimeDelta::hours(1));
            steady.now();
        }
        below.advance(TimeDelta::hours(1));
        let (told, most) = (steady.now(), below.now() + TimeDelta::seconds(10));
        assert!(told >= below.now() && told <= most, "{told}");
    }
}
