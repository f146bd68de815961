//! What was accepted by hours that a tenant had just changed is judged by the new ones.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::store::Store;

pub(crate) fn start(jobs: &Jobs, store: &Store) {
    let store = store.clone();
    jobs.every("hours", Duration::from_secs(1), move || {
        let store = store.clone();
        async move { store.look_once_more().await }
    });
}
