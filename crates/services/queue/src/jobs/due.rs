//! Scheduled messages whose time has come are queued, to the second.

use std::{collections::HashMap, time::Duration};

use barid_runtime::Jobs;

use crate::{Error, clients::Directory, store::Store};

pub(crate) fn start(jobs: &Jobs, store: &Store, directory: &Directory) {
    let (store, directory) = (store.clone(), directory.clone());
    jobs.every("due", Duration::from_millis(500), move || {
        let (store, directory) = (store.clone(), directory.clone());
        async move {
            loop {
                let mut days = HashMap::new();
                for tenant in store.due_tenants().await? {
                    let profile = directory.profile(tenant).await?;
                    days.insert(tenant, (profile.day(store.now()), profile.daily_quota));
                }
                if days.is_empty() || store.queue_due(days).await? == 0 {
                    return Ok::<_, Error>(());
                }
            }
        }
    });
}
