//! Attempts without an outcome become uncertain. Those that went out under an id of ours go out again; the others are given up without a word
//! from WhatsApp, and never sent again by themselves.

use std::time::Duration;

use barid_runtime::Jobs;
use chrono::TimeDelta;

use crate::{Config, Error, store::Store};

pub(crate) fn start(jobs: &Jobs, store: &Store, config: &Config) {
    let store = store.clone();
    let bound = |duration: Duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    let (doubt_after, give_up_after) = (bound(config.doubt_after), bound(config.give_up_after));
    jobs.every("uncertain", Duration::from_secs(1), move || {
        let store = store.clone();
        async move {
            store.doubt(doubt_after).await?;
            store.give_up(give_up_after).await?;
            Ok::<_, Error>(())
        }
    });
}
