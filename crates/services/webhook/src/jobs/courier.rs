//! Carries what is due, as much at once as there is room for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    carrier::Carrier,
    store::{Limits, Store, Taken, Turns},
    verdict,
};

/// How often an idle courier looks by itself: repetitions fall due, and other replicas put things into lines.
const IDLE: Duration = Duration::from_millis(500);
/// Least time between two looks: each is a transaction.
const APART: Duration = Duration::from_millis(10);
/// Most that one look takes.
const AT_ONCE: usize = 64;
/// What a lease has beyond an attempt, to write what came of it.
const GRACE: TimeDelta = TimeDelta::seconds(10);

#[derive(Clone)]
pub(crate) struct Courier {
    pub store: Store,
    pub carrier: Carrier,
    pub waiting: Arc<Notify>,
    pub concurrency: usize,
    pub endpoint_concurrency: u32,
    /// How long an endpoint may fail.
    pub disable_after: Duration,
}

impl Courier {
    /// Carries until `shutdown`, then waits for what is under way.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let (slots, tasks) = (Arc::new(Semaphore::new(self.concurrency)), TaskTracker::new());
        let (mut turns, mut pause) = (Turns::default(), Duration::ZERO);
        // Attempts under way for endpoints that fail.
        let failing = Arc::new(AtomicUsize::new(0));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.waiting.notified() => tokio::time::sleep(APART).await,
                () = tokio::time::sleep(pause) => {}
            }
            let free = slots.available_permits();
            if free == 0 {
                pause = IDLE;
                continue;
            }
            pause = match self.store.claim(turns, self.limits(free, failing.load(Ordering::Relaxed))).await {
                Ok((taken, last)) => {
                    turns = last;
                    let full = taken.len() == free.min(AT_ONCE);
                    for taken in taken {
                        let (courier, slots, failing) = (self.clone(), slots.clone(), failing.clone());
                        let one = usize::from(taken.failing);
                        failing.fetch_add(one, Ordering::Relaxed);
                        tasks.spawn(async move {
                            let _slot = slots.acquire_owned().await;
                            courier.carry(taken).await;
                            failing.fetch_sub(one, Ordering::Relaxed);
                            courier.waiting.notify_one();
                        });
                    }
                    if full { APART } else { IDLE }
                }
                Err(error) => {
                    tracing::warn!(%error, "deliveries wait to be taken");
                    IDLE
                }
            };
        }
        tasks.close();
        tasks.wait().await;
    }

    fn limits(&self, free: usize, failing: usize) -> Limits {
        let most = free.min(AT_ONCE);
        // Half of all room is for endpoints that work.
        let most_failing = most.min((self.concurrency / 2).saturating_sub(failing));
        let lease = TimeDelta::from_std(self.carrier.patience()).unwrap_or(GRACE) + GRACE;
        Limits { most, most_failing, per_endpoint: self.endpoint_concurrency, lease }
    }

    async fn carry(&self, taken: Taken) {
        let at = self.store.now();
        let exchange = self.carrier.carry(taken.parcel.clone(), at.timestamp()).await;
        let verdict = verdict::judge(&exchange, self.store.now());
        let (delivery, endpoint, status) = (taken.delivery, taken.endpoint, exchange.status);
        let patience = TimeDelta::from_std(self.disable_after).unwrap_or(TimeDelta::MAX);
        match self.store.settle(taken, at, exchange, verdict, patience).await {
            Ok(()) => tracing::debug!(%delivery, %endpoint, status, ?verdict, "an attempt ended"),
            // It is tried again when its lease runs out.
            Err(error) => tracing::warn!(%delivery, %endpoint, %error, "what came of an attempt could not be written"),
        }
    }
}
