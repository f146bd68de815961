//! Timers, one file each, and the one list of them.

mod expire;
mod fallback;
mod forget;
mod hours;
mod parked;
mod partitions;
mod plan;
mod settle;
mod uncertain;

use barid_bus::Lag;
use barid_runtime::Jobs;

use crate::{Config, clients::Directory, outlets::Outlets, store::Store};

/// Starts every timer.
pub(crate) fn start(jobs: &Jobs, store: &Store, directory: &Directory, config: &Config, lag: Lag, outlets: &Outlets) {
    plan::start(jobs, store, directory);
    expire::start(jobs, store);
    uncertain::start(jobs, store, config);
    forget::start(jobs, store);
    settle::start(jobs, store);
    hours::start(jobs, store);
    fallback::start(jobs, store, directory, outlets);
    parked::start(jobs, store);
    partitions::start(jobs, store, config, lag);
}
