//! Skips what waits for endpoints that are disabled or gone.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::{Error, store::Store};

const EVERY: Duration = Duration::from_secs(2);

pub(crate) fn wind_up(jobs: &Jobs, store: &Store) {
    let (store, shutdown) = (store.clone(), jobs.shutdown());
    jobs.every("wind up", EVERY, move || {
        let (store, shutdown) = (store.clone(), shutdown.clone());
        async move {
            while store.wind_up().await? && !shutdown.is_cancelled() {}
            Ok::<_, Error>(())
        }
    });
}
