//! Values as people say them.

use chrono::{DateTime, TimeDelta, Utc};
use prost_types::Timestamp;

/// The name of an enum's value without what all of them begin with: `SESSION_STATE_LOGGED_OUT` is `logged out`.
pub(crate) fn name(value: &str, prefix: &str) -> String {
    value.strip_prefix(prefix).unwrap_or(value).to_lowercase().replace('_', " ")
}

/// A text of somebody else without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// How long ago, such as `12s` or `3h`; `-` when it is not known.
pub(crate) fn age(time: Option<&Timestamp>, now: DateTime<Utc>) -> String {
    time.and_then(barid_proto::time).map_or_else(|| "-".to_owned(), |time| short(now - time))
}

/// How long until then, such as `2:05`; nothing once it is over or when it is not known.
pub(crate) fn until(time: Option<&Timestamp>, now: DateTime<Utc>) -> Option<String> {
    let left = (time.and_then(barid_proto::time)? - now).num_seconds();
    (left > 0).then(|| format!("{}:{:02}", left / 60, left % 60))
}

fn short(span: TimeDelta) -> String {
    match span.num_seconds().max(0) {
        seconds @ ..=99 => format!("{seconds}s"),
        seconds @ ..=5_999 => format!("{}m", seconds / 60),
        seconds @ ..=172_799 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, said) in [(-5, "0s"), (99, "99s"), (100, "1m"), (5_999, "99m"), (6_000, "1h"), (172_800, "2d")] {
            assert_eq!(short(TimeDelta::seconds(seconds)), said);
        }
        assert_eq!(age(None, DateTime::UNIX_EPOCH), "-");
    }

    #[test]
    fn what_is_left_is_a_clock() {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        assert_eq!(until(Some(&at(125)), DateTime::UNIX_EPOCH).as_deref(), Some("2:05"));
        assert_eq!(until(Some(&at(0)), DateTime::UNIX_EPOCH), None);
        assert_eq!(until(None, DateTime::UNIX_EPOCH), None);
    }

    #[test]
    fn codes_are_words() {
        assert_eq!(name("SESSION_STATE_LOGGED_OUT", "SESSION_STATE_"), "logged out");
        assert_eq!(plain("Caf\u{e9}\x1b[2J\nbar"), "Caf\u{e9} [2J bar");
    }
}
