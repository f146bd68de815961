//! What an answer means.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{exchange::Exchange, retry};

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delivered,
    /// The endpoint wants nothing any more.
    Gone,
    /// To be repeated, not before what the endpoint asked for.
    Failed {
        asked: Option<Duration>,
    },
}

/// Judges an attempt. Redirects are failures: nothing follows them.
pub(crate) fn judge(exchange: &Exchange, now: DateTime<Utc>) -> Verdict {
    match exchange.status {
        200..=299 => Verdict::Delivered,
        410 => Verdict::Gone,
        429 | 500..=599 => Verdict::Failed { asked: exchange.header("retry-after").and_then(|value| retry::asked(value, now)) },
        _ => Verdict::Failed { asked: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_is_promised() {
        let now = DateTime::UNIX_EPOCH;
        let judged = |status, header: &str| {
            let response_headers = vec![("retry-after".to_owned(), header.to_owned())];
            judge(&Exchange { status, response_headers, ..Exchange::default() }, now)
        };
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status, "9"), Verdict::Delivered, "{status}");
        }
        for status in [0, 100, 199, 301, 302, 307, 308, 400, 401, 404, 409] {
            assert_eq!(judged(status, "9"), Verdict::Failed { asked: None }, "{status}");
        }
        for status in [429, 500, 502, 503] {
            assert_eq!(judged(status, "9"), Verdict::Failed { asked: Some(Duration::from_secs(9)) }, "{status}");
        }
        assert_eq!(judged(410, ""), Verdict::Gone);
        assert_eq!(judged(503, "whenever"), Verdict::Failed { asked: None });
    }
}
