//! Where answers are awaited.
//!
//! Each service that is asked has an inbox of its own, in which it alone may publish: nobody answers in the place of another. The broker's
//! `allow_responses` would not do, because it lets a user publish wherever a message that reached it wants its answer, and anyone can send
//! itself a message that wants its answer on the subject of another.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_nats::{Client, HeaderMap, Message, PublishError, SubscribeError};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::oneshot;

use crate::{Service, subject};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot listen for answers: {0}")]
    Listen(#[from] SubscribeError),
    #[error("cannot ask: {0}")]
    Send(#[from] PublishError),
    #[error("the connection was closed")]
    Closed,
}

/// The inboxes of one connection, each opened when its service is asked first.
pub(crate) struct Inboxes {
    caller: Service,
    /// Tells replicas of the caller apart.
    connection: String,
    open: Mutex<HashMap<String, Arc<Inbox>>>,
}

#[derive(Default)]
struct Inbox {
    asked: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Message>>>,
}

/// A call that is forgotten when nobody waits for its answer any more.
struct Waiting<'a> {
    inbox: &'a Inbox,
    call: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.inbox.waiting().remove(&self.call);
    }
}

impl Inboxes {
    pub(crate) fn new(caller: Service) -> Self {
        Self { caller, connection: format!("{:032x}", rand::random::<u128>()), open: Mutex::default() }
    }

    /// Asks a service and waits for its answer, however long that takes.
    pub(crate) async fn ask(
        &self,
        client: &Client,
        service: &str,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Message, Error> {
        let prefix = subject::inbox(self.caller, service, &self.connection);
        let inbox = self.inbox(client, service, &prefix).await?;
        let call = inbox.asked.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        inbox.waiting().insert(call, sender);
        let _waiting = Waiting { inbox: &inbox, call };
        client.publish_with_reply_and_headers(subject, format!("{prefix}.{call}"), headers, payload).await?;
        answer.await.map_err(|_| Error::Closed)
    }

    async fn inbox(&self, client: &Client, service: &str, prefix: &str) -> Result<Arc<Inbox>, Error> {
        if let Some(inbox) = self.open().get(service) {
            return Ok(inbox.clone());
        }
        let mut answers = client.subscribe(format!("{prefix}.*")).await?;
        let inbox = match self.open().entry(service.to_owned()) {
            // Another call was faster.
            Entry::Occupied(open) => return Ok(open.get().clone()),
            Entry::Vacant(place) => place.insert(Arc::default()).clone(),
        };
        let answered = inbox.clone();
        tokio::spawn(async move {
            while let Some(answer) = answers.next().await {
                let call = answer.subject.rsplit('.').next().and_then(|call| call.parse().ok());
                let waiting = call.and_then(|call: u64| answered.waiting().remove(&call));
                if let Some(waiting) = waiting {
                    // Fails when the caller has just stopped waiting.
                    let _ = waiting.send(answer);
                }
            }
            answered.waiting().clear();
        });
        Ok(inbox)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<Inbox>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Message>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
