//! The generic cell rate algorithm, as a pure function. Redis runs the same one in its script.

use std::time::Duration;

/// A rate with room for bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_minute: u32,
    /// Calls that may come at once.
    pub burst: u32,
}

impl Rate {
    /// Microseconds between calls at the rate.
    pub(crate) fn interval(self) -> u64 {
        60_000_000 / u64::from(self.per_minute.max(1))
    }

    /// Microseconds by which calls may come early.
    pub(crate) fn tolerance(self) -> u64 {
        self.interval() * u64::from(self.burst.max(1))
    }
}

/// Whether a call may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    /// It may come after this long.
    Wait(Duration),
}

/// Decides on a call at `now`, in microseconds; `arrival` is the theoretical arrival time kept from the last call. Gives back the one to keep.
pub(crate) fn decide(rate: Rate, now: u64, arrival: u64) -> (Decision, u64) {
    let next = arrival.max(now) + rate.interval();
    let excess = next.saturating_sub(now + rate.tolerance());
    if excess == 0 { (Decision::Allowed, next) } else { (Decision::Wait(Duration::from_micros(excess)), arrival) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_more_pass_than_rate_and_burst_allow(per_minute in 1u32..6000, burst in 1u32..100, gaps in proptest::collection::vec(0u64..100_000, 1..300)) {
            let rate = Rate { per_minute, burst };
            let (mut now, mut arrival, mut passed) = (0u64, 0u64, 0u64);
            for gap in gaps {
                now += gap;
                let (decision, kept) = decide(rate, now, arrival);
                arrival = kept;
                passed += u64::from(decision == Decision::Allowed);
            }
            prop_assert!(passed <= u64::from(burst) + now / rate.interval() + 1);
        }

        #[test]
        fn who_waits_as_told_passes(per_minute in 1u32..6000, burst in 1u32..20) {
            let rate = Rate { per_minute, burst };
            let (mut now, mut arrival) = (1_000_000u64, 0u64);
            for _ in 0..100 {
                match decide(rate, now, arrival) {
                    (Decision::Allowed, kept) => arrival = kept,
                    (Decision::Wait(wait), kept) => {
                        now += u64::try_from(wait.as_micros()).expect("a short wait");
                        let (decision, kept) = decide(rate, now, kept);
                        prop_assert_eq!(decision, Decision::Allowed);
                        arrival = kept;
                    }
                }
            }
        }
    }
}
