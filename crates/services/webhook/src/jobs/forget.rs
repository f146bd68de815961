//! Keeps the delivery log to its retention.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::{Error, store::Store};

const EVERY: Duration = Duration::from_secs(10);

pub(crate) fn forget(jobs: &Jobs, store: &Store, retention: Duration) {
    let (store, shutdown) = (store.clone(), jobs.shutdown());
    jobs.every("forget", EVERY, move || {
        let (store, shutdown) = (store.clone(), shutdown.clone());
        async move {
            while store.forget(store.now() - retention).await? && !shutdown.is_cancelled() {}
            Ok::<_, Error>(())
        }
    });
}
