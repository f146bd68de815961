//! Timers and workers, one file each, and the one list of them.

mod forget;
mod inbox;
mod resume;

use std::time::Duration;

use barid_runtime::Jobs;

use crate::store::{Handed, Store};

pub(crate) use inbox::Inbox;

/// Starts every one.
pub(crate) fn start(jobs: &Jobs, store: &Store, inbox: Inbox, handed: Handed, patience: Duration) {
    resume::start(jobs, store);
    forget::start(jobs, store, patience);
    inbox::start(jobs, inbox, handed);
}
