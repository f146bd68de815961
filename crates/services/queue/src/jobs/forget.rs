//! Idempotency keys and parked receipts are kept seven days.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::store::Store;

pub(crate) fn start(jobs: &Jobs, store: &Store) {
    let store = store.clone();
    jobs.every("forget", Duration::from_secs(60), move || {
        let store = store.clone();
        async move { store.forget().await }
    });
}
