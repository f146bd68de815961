//! Group commit: many callers, one transaction. While commits are under way the next one fills up, so batches grow with the load and a lone
//! caller waits for nobody.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Accepted, NewMessage, Store};
use crate::Error;

/// Most messages in one commit.
const BATCH: usize = 512;
/// Commits under way at once.
const CONCURRENT: usize = 4;
/// Messages that may wait for a commit before callers are told to come back.
const WAITING: usize = 20_000;

type Work = (NewMessage, oneshot::Sender<Result<Accepted, Error>>);

/// Takes messages and answers when they are committed. Clone it freely.
#[derive(Clone)]
pub(crate) struct Committer(mpsc::Sender<Work>);

impl Committer {
    /// A committer and its work, which ends when every committer is dropped.
    pub(crate) fn new(store: Store) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), run(store, receiver))
    }

    /// Commits messages, each with its own outcome, in order.
    pub(crate) async fn accept(&self, messages: Vec<NewMessage>) -> Vec<Result<Accepted, Error>> {
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            let (sender, receiver) = oneshot::channel();
            answers.push(self.0.try_send((message, sender)).map(|()| receiver).map_err(|_| Error::Busy));
        }
        let mut outcomes = Vec::with_capacity(answers.len());
        for answer in answers {
            outcomes.push(match answer {
                Ok(receiver) => receiver.await.unwrap_or(Err(Error::Busy)),
                Err(error) => Err(error),
            });
        }
        outcomes
    }
}

async fn run(store: Store, mut work: mpsc::Receiver<Work>) {
    let permits = Arc::new(Semaphore::new(CONCURRENT));
    loop {
        let mut batch = Vec::new();
        if work.recv_many(&mut batch, BATCH).await == 0 {
            break;
        }
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        // What came while the permit was waited for goes along.
        while batch.len() < BATCH
            && let Ok(more) = work.try_recv()
        {
            batch.push(more);
        }
        let store = store.clone();
        tokio::spawn(async move {
            commit(&store, batch).await;
            drop(permit);
        });
    }
    // The last commits are waited for.
    drop(permits.acquire_many(CONCURRENT as u32).await);
}

async fn commit(store: &Store, batch: Vec<Work>) {
    let (messages, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let mut outcome = store.accept(messages.clone()).await;
    if messages.len() > 1 && outcome.as_ref().is_err_and(Error::is_bad_value) {
        // One of them has a value that the database refuses, and took the others down with it: each for itself, then.
        let mut single = Vec::with_capacity(messages.len());
        for message in messages {
            single.push(store.accept(vec![message]).await.and_then(|mut outcomes| outcomes.pop().unwrap_or(Err(Error::Busy))));
        }
        outcome = Ok(single);
    }
    match outcome {
        Ok(outcomes) => {
            for (outcome, answer) in outcomes.into_iter().zip(answers) {
                // Who does not wait any more finds the message by its key.
                drop(answer.send(outcome));
            }
        }
        Err(error) => {
            tracing::error!(%error, messages = answers.len(), "a group commit failed");
            for answer in answers {
                drop(answer.send(Err(Error::Database(super::DbErr::Custom("the commit failed".to_owned())))));
            }
        }
    }
}
