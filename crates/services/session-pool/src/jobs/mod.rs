//! Timers and workers, one file each, and the one list of them.

mod forget;
mod inbox;
mod resume;

use std::{sync::Arc, time::Duration};

use barid_domain::Clock;
use barid_runtime::Jobs;
use tokio::sync::Notify;

use crate::{clients::Ledger, store::Store};

/// Starts every one.
pub(crate) fn start(jobs: &Jobs, store: &Store, ledger: Ledger, clock: Arc<dyn Clock>, arrived: Arc<Notify>, patience: Duration) {
    resume::start(jobs, store);
    forget::start(jobs, store, patience);
    inbox::start(jobs, inbox::Inbox { store: store.clone(), ledger, clock, arrived });
}
