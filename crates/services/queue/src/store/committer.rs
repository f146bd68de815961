//! Group commit: many callers, one transaction.

use std::time::Duration;

use barid_runtime::{BatchLimits, Batcher};

use super::{Accepted, NewMessage, Store, shared_failure};
use crate::Error;

/// Two commits under way fill the time that one waits for the disk; with more of them batches would be smaller, and tenants' quotas have them
/// wait for each other.
const LIMITS: BatchLimits = BatchLimits { items: 512, at_once: 2, apart: Duration::from_millis(5), waiting: 20_000 };

/// Takes messages and answers when they are committed. Clone it freely.
#[derive(Clone)]
pub(crate) struct Committer(Batcher<NewMessage, Result<Accepted, Error>>);

impl Committer {
    /// A committer and its work, which ends when every committer is dropped.
    pub(crate) fn new(store: Store) -> (Self, impl Future<Output = ()> + Send) {
        let (batcher, driver) = Batcher::new(LIMITS, move |messages| commit(store.clone(), messages));
        (Self(batcher), driver)
    }

    /// Commits messages, each with its own outcome, in order. Who does not wait for them finds them by their keys.
    pub(crate) async fn accept(&self, messages: Vec<NewMessage>) -> Vec<Result<Accepted, Error>> {
        self.0.call(messages).await.into_iter().map(|outcome| outcome.unwrap_or(Err(Error::Busy))).collect()
    }
}

async fn commit(store: Store, messages: Vec<NewMessage>) -> Vec<Result<Accepted, Error>> {
    let count = messages.len();
    let mut outcome = store.accept(messages.clone()).await;
    if count > 1 && outcome.as_ref().is_err_and(Error::is_bad_value) {
        // One of them has a value that the database refuses, and took the others down with it: each for itself, then.
        let mut single = Vec::with_capacity(count);
        for message in messages {
            single.push(store.accept(vec![message]).await.and_then(|mut outcomes| outcomes.pop().unwrap_or(Err(Error::Busy))));
        }
        outcome = Ok(single);
    }
    outcome.unwrap_or_else(|error| shared_failure("a group commit failed", &error, count))
}
