//! Timers, one file each, and the one list of them.

mod expire;
mod forget;
mod plan;
mod settle;
mod uncertain;

use barid_runtime::Jobs;

use crate::{Config, clients::Directory, store::Store};

/// Starts every timer.
pub(crate) fn start(jobs: &Jobs, store: &Store, directory: &Directory, config: &Config) {
    plan::start(jobs, store, directory);
    expire::start(jobs, store);
    uncertain::start(jobs, store, config);
    forget::start(jobs, store);
    settle::start(jobs, store);
}
