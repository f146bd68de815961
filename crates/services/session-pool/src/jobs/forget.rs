//! What is of no more use is forgotten: replicas that died, long after their sessions could be taken over; errands; and what linked devices
//! need not remember any longer.

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
            store.forget_errands().await?;
            while store.expire_cells().await? > 0 {}
            Ok::<_, Error>(())
        }
    });
}
