//! Messages that could not be sent in time end as EXPIRED.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::{Error, store::Store};

pub(crate) fn start(jobs: &Jobs, store: &Store) {
    let store = store.clone();
    jobs.every("expire", Duration::from_secs(1), move || {
        let store = store.clone();
        async move {
            while store.expire().await? > 0 {}
            Ok::<_, Error>(())
        }
    });
}
