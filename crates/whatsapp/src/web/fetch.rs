//! What a tenant names by URL is fetched by somebody who guards against private addresses.

use async_trait::async_trait;
use bytes::Bytes;

/// A file that was fetched.
#[derive(Clone)]
pub struct Fetched {
    pub bytes: Bytes,
    /// Such as `application/pdf`, without parameters.
    pub mime: String,
    /// The name that the source gave, if any.
    pub filename: Option<String>,
}

/// Why a file could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address is not allowed, the answer is 4xx, or it is no address at all. Trying again will not help.
    #[error("the file was refused: {0}")]
    Refused(String),
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    /// A time-out, 5xx, or a connection that broke.
    #[error("the file cannot be reached: {0}")]
    Unavailable(String),
}

/// Fetches files by URL through an egress guard.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Reads at most `limit` bytes.
    async fn fetch(&self, url: &str, limit: u64) -> Result<Fetched, FetchError>;
}
