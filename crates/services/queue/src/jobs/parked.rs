//! Receipts that were parked while their message became known.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::store::Store;

pub(crate) fn start(jobs: &Jobs, store: &Store) {
    let store = store.clone();
    jobs.every("parked receipts", Duration::from_secs(2), move || {
        let store = store.clone();
        async move { store.apply_parked().await.map(drop) }
    });
}
