//! Pauses end by themselves.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::{Error, store::Store};

pub(crate) fn start(jobs: &Jobs, store: &Store) {
    let store = store.clone();
    jobs.every("resume", Duration::from_millis(500), move || {
        let store = store.clone();
        async move {
            while store.resume_due().await? > 0 {}
            Ok::<_, Error>(())
        }
    });
}
