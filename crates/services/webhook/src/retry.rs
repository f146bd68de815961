//! When an attempt that failed is repeated.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How long each repetition waits after the attempt before it.
pub(crate) const DELAYS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(10 * 3600),
];

/// The latest that an endpoint may ask for.
const LATEST: Duration = Duration::from_secs(10 * 3600);

/// At most so much longer, of the delay, so that what failed together is not repeated together.
const JITTER: f64 = 0.1;

/// How long to wait after so many attempts that failed; `None` when it is given up. `jitter` is from 0 to 1; `asked` is what the endpoint asked
/// for, which never brings an attempt forward.
pub(crate) fn next(failed: u32, jitter: f64, asked: Option<Duration>) -> Option<Duration> {
    let planned = *DELAYS.get(usize::try_from(failed).ok()?.checked_sub(1)?)?;
    let planned = planned.mul_f64(1.0 + JITTER * jitter.clamp(0.0, 1.0));
    Some(asked.map_or(planned, |asked| planned.max(asked.min(LATEST))))
}

/// Reads `Retry-After`: seconds, or a date as HTTP writes it.
pub(crate) fn asked(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(header).ok()?;
    (date.to_utc() - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_plan_is_the_one_that_is_promised() {
        let plan: Vec<u64> = (1..=7).map(|failed| next(failed, 0.0, None).expect("again").as_secs()).collect();
        assert_eq!(plan, [5, 300, 1800, 7200, 18_000, 36_000, 36_000]);
        assert_eq!((next(8, 0.5, None), next(0, 0.5, None), next(u32::MAX, 0.5, None)), (None, None, None));
    }

    #[test]
    fn what_an_endpoint_asks_for_is_read_and_bounded() {
        let now = "2026-03-10T12:00:00Z".parse().expect("a time");
        assert_eq!(asked(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(asked("Tue, 10 Mar 2026 12:01:00 GMT", now), Some(Duration::from_secs(60)));
        for nothing in ["", "-1", "soon", "Tue, 10 Mar 2026 11:59:00 GMT", "99999999999999999999"] {
            assert_eq!(asked(nothing, now), None, "{nothing}");
        }
        assert_eq!(next(1, 0.0, Some(Duration::from_secs(120))), Some(Duration::from_secs(120)));
        assert_eq!(next(1, 0.0, Some(Duration::MAX)), Some(LATEST));
    }

    proptest! {
        #[test]
        fn no_attempt_comes_early_or_much_later_than_planned(
            failed in 0u32..12, jitter in -1.0f64..2.0, asked in proptest::option::of(0u64..u64::MAX),
        ) {
            let asked = asked.map(Duration::from_secs);
            match next(failed, jitter, asked) {
                None => prop_assert!(failed == 0 || failed > 7),
                Some(delay) => {
                    let planned = DELAYS[failed as usize - 1];
                    prop_assert!(delay >= planned);
                    let most = planned.mul_f64(1.1).max(asked.unwrap_or_default().min(LATEST));
                    prop_assert!(delay <= most + Duration::from_micros(1), "{delay:?} after {failed}");
                }
            }
        }

        #[test]
        fn any_header_is_read_without_harm(header: String) {
            let _ = asked(&header, DateTime::UNIX_EPOCH);
        }
    }
}
