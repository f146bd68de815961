//! What tenants name by URL is fetched from public addresses only.

use async_trait::async_trait;
use barid_egress::{Fetcher, Settings};
use barid_whatsapp::web::{Fetch, FetchError, Fetched};

use crate::Error;

pub(super) struct Guarded(Fetcher);

impl Guarded {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self(Fetcher::new(settings)?))
    }
}

#[async_trait]
impl Fetch for Guarded {
    async fn fetch(&self, url: &str, limit: u64) -> Result<Fetched, FetchError> {
        match self.0.fetch(url, limit).await {
            Ok(file) => Ok(Fetched { bytes: file.bytes, mime: file.mime, filename: file.filename }),
            Err(barid_egress::Error::TooLarge { limit }) => Err(FetchError::TooLarge { limit }),
            Err(error) if error.is_transient() => Err(FetchError::Unavailable(error.to_string())),
            Err(error) => Err(FetchError::Refused(error.to_string())),
        }
    }
}
