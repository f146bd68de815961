//! A request and what came back, as the log keeps it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bytes of an answer's body that are kept.
pub(crate) const BODY: usize = 4 * 1024;
/// Bytes of an answer's headers that are kept, names and values together.
pub(crate) const HEADERS: usize = 8 * 1024;

/// One attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    pub latency: Duration,
    /// 0 when there was no answer.
    pub status: u16,
    /// Why there was no answer.
    pub error: String,
    pub url: String,
    pub request_headers: Vec<(String, String)>,
    pub response_headers: Vec<(String, String)>,
    pub response_body: String,
}

impl Exchange {
    /// A header of the answer; the first of several.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response_headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What of it may hold somebody's secrets, as JSON to be sealed.
    pub(crate) fn private(&self) -> Vec<u8> {
        let private = Private {
            url: self.url.clone(),
            request_headers: self.request_headers.clone(),
            response_headers: self.response_headers.clone(),
            response_body: self.response_body.clone(),
        };
        serde_json::to_vec(&private).unwrap_or_default()
    }
}

/// The sealed part of an attempt.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Private {
    pub url: String,
    pub request_headers: Vec<(String, String)>,
    pub response_headers: Vec<(String, String)>,
    pub response_body: String,
}

/// The first headers that fit. NUL, which PostgreSQL does not take anywhere, is replaced by the parser of HTTP already.
pub(crate) fn bounded(headers: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut left = HEADERS;
    let fits = |(name, value): &(String, String)| {
        let rest = left.checked_sub(name.len() + value.len());
        left = rest.unwrap_or_default();
        rest.is_some()
    };
    headers.into_iter().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_kept_up_to_their_bound() {
        let header = |length: usize| ("name".to_owned(), "v".repeat(length - 4));
        assert_eq!(bounded(vec![header(HEADERS), header(4)]).len(), 1);
        assert_eq!(bounded(vec![header(HEADERS / 2), header(HEADERS / 2), header(5)]).len(), 2);
        assert_eq!(bounded(vec![header(HEADERS + 1), header(5)]), []);
    }
}
