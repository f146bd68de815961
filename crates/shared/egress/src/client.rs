//! What every client of the outside has in common.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder};

use crate::{BuildError, Resolve, Settings, guard::Guard, resolve::Guarded};

/// A client that reaches what the settings allow and takes bodies as they come, to be finished by its user; and who judges its URLs.
pub(crate) fn guarded(settings: &Settings, resolver: impl Resolve) -> Result<(ClientBuilder, Arc<Guard>), BuildError> {
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(BuildError::Settings(problems));
    }
    let guard = Arc::new(Guard::new(settings));
    let client = Client::builder()
        .user_agent(concat!("Barid/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(Guarded { inner: Arc::new(resolver), guard: guard.clone() }))
        .https_only(!settings.allow_http)
        .no_proxy()
        // Features that another crate turns on must not let compressed bodies grow here.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.total_timeout)
        .pool_max_idle_per_host(2);
    Ok((client, guard))
}
