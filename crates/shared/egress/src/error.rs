//! What can go wrong, in sentences for the one who named the URL.

use std::time::Duration;

use crate::Refusal;

/// Why a URL was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("url: is no URL ({0}); give one such as https://example.com/invoice.pdf")]
    Malformed(String),
    #[error("url: `{scheme}:` is not fetched; use {}", if *.http { "https: or http:" } else { "https:" })]
    Scheme {
        scheme: String,
        /// Whether `http:` would be.
        http: bool,
    },
    #[error("url: names a user or a password; give a link that needs neither, such as a signed one")]
    Credentials,
    #[error("url: port {port} is not fetched from; use {}", list(.allowed))]
    Port { port: u16, allowed: Vec<u16> },
    #[error("url: {host} is {refusal}; give one that the public internet can reach")]
    Refused { host: String, refusal: Refusal },
    #[error("url: redirects to where it may not ({}); give the link it should end at", .0.to_string().trim_start_matches("url: "))]
    Redirect(Box<Error>),
    #[error("url: redirects more than {0} times; give the link it ends at")]
    Redirects(usize),
    #[error("url: the name {host} has no address ({reason}); check how it is written")]
    Unresolved { host: String, reason: String },
    #[error("url: cannot be reached ({0}); check that it opens from the public internet")]
    Unreachable(String),
    #[error("url: did not answer in full within {0:?}; try again, or give a faster server")]
    Timeout(Duration),
    #[error("url: answered with status {0}; it must answer 200 to anyone")]
    Status(u16),
    #[error("url: answered in the encoding `{0}`, which was not asked for; serve it as it is")]
    Encoded(String),
    #[error("url: is larger than {limit} bytes; give a smaller file")]
    TooLarge { limit: u64 },
    #[error("url: broke off before its end ({0}); try again")]
    BrokenOff(String),
}

impl Error {
    /// Whether the same URL may well succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unresolved { .. } | Self::Unreachable(_) | Self::Timeout(_) | Self::BrokenOff(_) => true,
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..),
            _ => false,
        }
    }
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}

/// Why there is no fetcher.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("egress settings are wrong: {}", .0.join("; "))]
    Settings(Vec<String>),
    #[error("the HTTP client cannot be built: {0}; check the machine's root certificates")]
    Client(#[from] reqwest::Error),
}
