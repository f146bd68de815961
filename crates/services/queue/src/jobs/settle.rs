//! Bulk jobs that were paused, resumed or cancelled: the rest of their messages follows.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::{Error, store::Store};

pub(crate) fn start(jobs: &Jobs, store: &Store) {
    let store = store.clone();
    jobs.every("settle", Duration::from_secs(1), move || {
        let store = store.clone();
        async move {
            for job in store.unsettled_jobs().await? {
                store.settle_job(job, usize::MAX).await?;
            }
            Ok::<_, Error>(())
        }
    });
}
