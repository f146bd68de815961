//! Scheduled messages whose time has come are queued, to the second, and what waits when its hours close is scheduled for the next opening.

use std::{collections::HashMap, time::Duration};

use barid_domain::TenantId;
use barid_runtime::Jobs;

use crate::{
    Error,
    clients::Directory,
    store::{Store, Today},
};

pub(crate) fn start(jobs: &Jobs, store: &Store, directory: &Directory) {
    let (store, directory) = (store.clone(), directory.clone());
    jobs.every("plan", Duration::from_millis(500), move || {
        let (store, directory) = (store.clone(), directory.clone());
        async move {
            loop {
                let tenants = today(&store, &directory, store.tenants_to_plan().await?).await;
                if tenants.is_empty() || store.queue_due(&tenants).await? + store.close(&tenants).await? == 0 {
                    return Ok::<_, Error>(());
                }
            }
        }
    });
}

/// What counts for tenants now. The messages of one that cannot be looked up wait, and nobody else's.
async fn today(store: &Store, directory: &Directory, tenants: Vec<TenantId>) -> HashMap<TenantId, Today> {
    let mut all = HashMap::new();
    for tenant in tenants {
        match directory.profile(tenant).await {
            Ok(profile) => drop(all.insert(tenant, profile.today(store.now()))),
            Err(status) => tracing::warn!(%tenant, %status, "a tenant cannot be looked up; its scheduled messages wait"),
        }
    }
    all
}
