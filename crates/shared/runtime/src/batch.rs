//! Work that many callers share. While batches are under way, and for a moment after one began, the next one fills up: batches grow with the
//! load, and a lone caller waits for nobody.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

/// What a batcher holds.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Most items of one batch.
    pub items: usize,
    /// Batches under way at once.
    pub at_once: usize,
    /// Least time between the beginnings of two batches that are not full.
    pub apart: Duration,
    /// Items that may wait for a batch; more find no room.
    pub waiting: usize,
}

/// Hands items of many callers over together. Clone it freely.
pub struct Batcher<Q, A>(mpsc::Sender<(Q, oneshot::Sender<A>)>);

impl<Q, A> Clone for Batcher<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// A batcher, and its driver, which ends when every batcher is dropped and the last batch is done. `work` answers the items of a batch in
    /// their order.
    pub fn new<W, F>(limits: BatchLimits, work: W) -> (Self, impl Future<Output = ()> + Send)
    where
        W: Fn(Vec<Q>) -> F + Send + Sync + 'static,
        F: Future<Output = Vec<A>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(limits.waiting);
        (Self(sender), drive(limits, receiver, work))
    }

    /// The answers to items, in order: `None` where there was no room, or where the work gave no answer.
    pub async fn call(&self, items: impl IntoIterator<Item = Q>) -> Vec<Option<A>> {
        let handed = items.into_iter().map(|item| {
            let (sender, receiver) = oneshot::channel();
            self.0.try_send((item, sender)).ok().map(|()| receiver)
        });
        // All of them are handed over before the first is waited for.
        let handed: Vec<_> = handed.collect();
        let mut answers = Vec::with_capacity(handed.len());
        for receiver in handed {
            answers.push(match receiver {
                Some(receiver) => receiver.await.ok(),
                None => None,
            });
        }
        answers
    }
}

async fn drive<Q, A, W, F>(limits: BatchLimits, mut waiting: mpsc::Receiver<(Q, oneshot::Sender<A>)>, work: W)
where
    Q: Send + 'static,
    A: Send + 'static,
    W: Fn(Vec<Q>) -> F + Send + Sync + 'static,
    F: Future<Output = Vec<A>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.at_once));
    let mut next = Instant::now();
    loop {
        let mut batch = Vec::new();
        if waiting.recv_many(&mut batch, limits.items).await == 0 {
            break;
        }
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        while batch.len() < limits.items
            && let Ok(Some(more)) = tokio::time::timeout_at(next, waiting.recv()).await
        {
            batch.push(more);
        }
        // Nobody waits any more for what was asked by those who have gone, and they may ask again.
        batch.retain(|(_, sender)| !sender.is_closed());
        if batch.is_empty() {
            continue;
        }
        next = Instant::now() + limits.apart;
        let (items, senders): (Vec<Q>, Vec<_>) = batch.into_iter().unzip();
        let working = work(items);
        tokio::spawn(async move {
            for (answer, sender) in working.await.into_iter().zip(senders) {
                // Whoever asked may have gone.
                drop(sender.send(answer));
            }
            drop(permit);
        });
    }
    // The last batches are waited for.
    drop(permits.acquire_many(u32::try_from(limits.at_once).unwrap_or(u32::MAX)).await);
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    const LIMITS: BatchLimits = BatchLimits { items: 10, at_once: 2, apart: Duration::ZERO, waiting: 100 };

    #[tokio::test(start_paused = true)]
    async fn callers_share_batches_and_each_gets_its_own_answers() {
        let batches = Arc::new(AtomicUsize::new(0));
        let counted = batches.clone();
        let (batcher, driver) = Batcher::new(LIMITS, move |items: Vec<usize>| {
            counted.fetch_add(1, Ordering::Relaxed);
            assert!(items.len() <= 10);
            async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                items.into_iter().map(|item| item * 2).collect()
            }
        });
        let driver = tokio::spawn(driver);
        let callers = (0..30).map(|caller| {
            let batcher = batcher.clone();
            tokio::spawn(async move { (caller, batcher.call([caller, caller + 100]).await) })
        });
        for caller in callers.collect::<Vec<_>>() {
            let (caller, answers) = caller.await.expect("no caller fails");
            assert_eq!(answers, [Some(caller * 2), Some((caller + 100) * 2)]);
        }
        let batches = batches.load(Ordering::Relaxed);
        assert!((6..=12).contains(&batches), "{batches} batches of 60 items");
        drop(batcher);
        driver.await.expect("the driver ends with the last batcher");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_just_after_a_batch_began_waits_for_company_and_a_lone_caller_for_nobody() {
        let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = sizes.clone();
        let (batcher, driver) = Batcher::new(BatchLimits { apart: Duration::from_millis(5), ..LIMITS }, move |items: Vec<usize>| {
            seen.lock().expect("no thread failed").push(items.len());
            std::future::ready(items)
        });
        tokio::spawn(driver);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        assert_eq!(batcher.call([1]).await, [Some(1)]);
        assert_eq!(start.elapsed(), Duration::ZERO);
        let late = async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            batcher.call([3]).await
        };
        assert_eq!(tokio::join!(batcher.call([2]), late), (vec![Some(2)], vec![Some(3)]));
        assert_eq!(start.elapsed(), Duration::from_millis(5));
        // A full batch waits for nothing.
        batcher.call(0..10).await;
        assert_eq!(*sizes.lock().expect("no thread failed"), [1, 2, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = begun.clone();
        let (batcher, driver) = Batcher::new(BatchLimits { at_once: 1, ..LIMITS }, move |items: Vec<usize>| {
            counted.fetch_add(items.len(), Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                items
            }
        });
        tokio::spawn(driver);
        let second = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(tokio::time::timeout(Duration::from_millis(1), batcher.call([2])).await.is_err());
        };
        tokio::join!(batcher.call([1]), second);
        assert_eq!(batcher.call([3]).await, [Some(3)]);
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_and_what_is_not_answered_is_told() {
        let (batcher, driver) = Batcher::new(BatchLimits { items: 1, at_once: 1, waiting: 2, ..LIMITS }, |items: Vec<usize>| async move {
            // An odd item is forgotten.
            items.into_iter().filter(|item| item % 2 == 0).collect::<Vec<_>>()
        });
        let asked = batcher.call([0, 1, 2]);
        tokio::pin!(asked);
        // Nobody drives yet: two wait, the third finds no room.
        assert!(futures::poll!(&mut asked).is_pending());
        tokio::spawn(driver);
        assert_eq!(asked.await, [Some(0), None, None]);
    }
}
