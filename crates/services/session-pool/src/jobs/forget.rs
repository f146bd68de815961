//! Replicas that died are forgotten, long after their sessions could be taken over.

use std::time::Duration;

use barid_runtime::Jobs;

use crate::{Error, store::Store};

pub(crate) fn start(jobs: &Jobs, store: &Store, patience: Duration) {
    let store = store.clone();
    jobs.every("forget", Duration::from_secs(60), move || {
        let store = store.clone();
        async move {
            let forgotten = store.forget_replicas(patience * 10).await?;
            if forgotten > 0 {
                tracing::info!(forgotten, "replicas that died are forgotten");
            }
            Ok::<_, Error>(())
        }
    });
}
