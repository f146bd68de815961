//! Scheduled messages whose time has come are queued, to the second, and what waits when its hours close is scheduled for the next opening.

use std::{collections::HashMap, time::Duration};

use barid_domain::TenantId;
use barid_runtime::Jobs;

use crate::{
    Error,
    clients::Directory,
    store::{Store, Today},
};

/// Turns in a row, before shutdown and other work have a say.
const TURNS: usize = 100;

pub(crate) fn start(jobs: &Jobs, store: &Store, directory: &Directory) {
    let (store, directory) = (store.clone(), directory.clone());
    jobs.every("plan", Duration::from_millis(500), move || {
        let (store, directory) = (store.clone(), directory.clone());
        async move {
            let mut unknown = Vec::new();
            for _ in 0..TURNS {
                let waiting = store.tenants_to_plan(&unknown).await?;
                if waiting.is_empty() {
                    break;
                }
                let tenants = today(&store, &directory, waiting, &mut unknown).await;
                store.queue_due(&tenants).await?;
                store.close(&tenants).await?;
            }
            Ok::<_, Error>(())
        }
    });
}

/// What counts for tenants now. The messages of one that is unknown at the moment wait, and nobody else's.
async fn today(store: &Store, directory: &Directory, tenants: Vec<TenantId>, unknown: &mut Vec<TenantId>) -> HashMap<TenantId, Today> {
    let mut all = HashMap::new();
    for tenant in tenants {
        match directory.profile(tenant).await {
            Ok(profile) => drop(all.insert(tenant, profile.today(store.now()))),
            Err(status) => {
                tracing::warn!(%tenant, %status, "a tenant cannot be looked up; its messages wait");
                unknown.push(tenant);
            }
        }
    }
    all
}
