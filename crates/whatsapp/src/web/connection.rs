//! A logged-in session.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, channel::oneshot, future::FusedFuture};
use tokio::sync::watch;
use wacore_binary::Jid;
use whatsapp_rust::{Client, NodeFilter, OwnedNodeRef, store::commands::DeviceCommand};

use super::{
    Cells, Closed, Event, MediaPointer, Options, Person, Shared, Sink, client, client::Live, fate::Fate, inbound, inbox::Inbox,
    pairing::Step, sending, store::Store,
};
use crate::{Action, Failure, Outgoing, Sent};

/// How long what the login loaded is kept after it: the library still asks for some of it when everything else is over.
const SETTLE: Duration = Duration::from_secs(20);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct ConnectError {
    pub reason: Closed,
    /// What happened before it ended. WhatsApp will not repeat it.
    pub events: Vec<Event>,
}

/// Whether somebody is on WhatsApp.
#[derive(Clone, PartialEq, Eq)]
pub struct NumberCheck {
    /// As it was asked for.
    pub number: String,
    pub exists: bool,
    /// Digits.
    pub lid: Option<String>,
    /// The address under which WhatsApp knows the number.
    pub jid: Option<String>,
    pub is_business: bool,
}

/// A session that is logged in. Dropping it closes it in the background.
pub struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) live: Arc<Live>,
    /// True once everything has ended.
    over: watch::Receiver<bool>,
}

pub(super) async fn connect(
    shared: Arc<Shared>,
    cells: Arc<dyn Cells>,
    sink: Arc<dyn Sink>,
    options: Options,
) -> Result<Connection, ConnectError> {
    let early = |reason| ConnectError { reason, events: vec![] };
    let fate = Arc::new(Fate::default());
    let store = Store::open(cells, fate.clone()).await.map_err(early)?;
    if !store.is_paired() {
        return Err(early(Closed::NotPaired));
    }
    let inbox = Arc::new(Inbox::new(shared.settings.event_queue));
    let live = Arc::new(client::build(&shared, store, fate, inbox, sink, &options).await.map_err(early)?);
    live.client.enable_auto_reconnect.store(false, std::sync::atomic::Ordering::Relaxed);
    let success = live.client.wait_for_node(NodeFilter::tag("success"));
    let failed = live.client.wait_for_node(NodeFilter::tag("stream:error"));
    let (over, ended) = watch::channel(false);
    let connection = Connection { shared, live: live.clone(), over: ended };
    tokio::spawn(supervise(live.clone(), failed, over));

    let login = async {
        tokio::select! {
            biased;
            reason = live.fate.ended() => Err(reason),
            success = success => success.map(drop).map_err(|_| Closed::Network { detail: "ended during the login".into() }),
        }
    };
    let reason = match tokio::time::timeout(connection.shared.settings.login_timeout, login).await {
        Ok(Ok(())) => return Ok(connection),
        Ok(Err(reason)) => reason,
        Err(_) => {
            live.fate.end(Closed::LoginTimedOut);
            Closed::LoginTimedOut
        }
    };
    connection.over().await;
    let reason = live.fate.reason().unwrap_or(reason);
    Err(ConnectError {
        reason,
        events: live.inbox.drain().into_iter().filter_map(event).filter(|event| !matches!(event, Event::Closed(_))).collect(),
    })
}

fn event(step: Step) -> Option<Event> {
    match step {
        Step::Event(event) => Some(event),
        // A login that the server does not know is asked to pair.
        _ => None,
    }
}

/// Runs a connection to its end and tells how it ended.
async fn supervise(live: Arc<Live>, failed: oneshot::Receiver<Arc<OwnedNodeRef>>, over: watch::Sender<bool>) {
    let mut run = live.run();
    let mut refusal = std::pin::pin!(refusal(failed).fuse());
    let mut settled = std::pin::pin!(settle(&live).fuse());
    let has_run_out = loop {
        tokio::select! {
            biased;
            reason = &mut refusal => if let Some(reason) = reason { live.fate.end(reason) },
            _ = live.fate.ended() => break false,
            _ = &mut run => break true,
            () = &mut settled => {}
        }
    };
    if has_run_out {
        let said = (!refusal.is_terminated()).then(|| refusal.now_or_never().flatten()).flatten();
        let reason = match said {
            Some(reason) => reason,
            None => unexplained(&live).await,
        };
        live.fate.end(reason);
    }
    live.acks.give_up();
    live.veil.lift().await;
    live.close(run).await;
    live.store.settle_in();
    let reason = live.fate.reason().unwrap_or(Closed::Asked);
    tracing::debug!(reason = reason.reason(), "a connection ended");
    live.inbox.end(Step::Event(Event::Closed(reason)));
    over.send_replace(true);
}

/// What the first stream error means; never ready again after.
async fn refusal(failed: oneshot::Receiver<Arc<OwnedNodeRef>>) -> Option<Closed> {
    stream_error(&*failed.await.ok()?)
}

async fn settle(live: &Live) {
    let ready = async {
        let _ = live.handler.ready().wait_for(|ready| *ready).await;
    };
    ready.await;
    live.veil.lift().await;
    tokio::time::sleep(SETTLE).await;
    live.store.settle_in();
}

/// What the server says when it ends a stream. Others are no end, or the library tells of them.
fn stream_error(stanza: &OwnedNodeRef) -> Option<Closed> {
    let stanza = stanza.get();
    if let Some(conflict) = stanza.get_optional_child("conflict") {
        let is_replaced = conflict.get_attr("type").is_some_and(|kind| kind.as_str() == "replaced");
        return Some(if is_replaced { Closed::Replaced } else { Closed::LoggedOut });
    }
    let code = stanza.get_attr("code")?.as_str().parse().ok()?;
    match code {
        401 | 516 => Some(Closed::LoggedOut),
        409 => Some(Closed::Replaced),
        429 => Some(Closed::RateLimited),
        500..=515 => Some(Closed::Restart { code }),
        _ => None,
    }
}

/// The connection ended and nobody said why.
async fn unexplained(live: &Live) -> Closed {
    if let Some(detail) = live.pulse.ended() {
        return Closed::Network { detail };
    }
    if live.handler_was_in() {
        return Closed::Silent;
    }
    if live.pulse.age().is_none() {
        return Closed::Network { detail: "no answer to the handshake".into() };
    }
    // We ended it ourselves during the handshake. A remembered certificate may be out of date, and the library may believe
    // it for ever: without one it asks for the whole chain.
    if live.knew_server {
        live.client.persistence_manager().process_command(DeviceCommand::ClearServerCertChain).await;
        return Closed::Network { detail: "the server's key changed".into() };
    }
    Closed::Untrusted { detail: "the handshake failed".into() }
}

impl Live {
    fn handler_was_in(&self) -> bool {
        self.client.stats().messages_sent > 0 || *self.handler.ready().borrow()
    }
}

impl Connection {
    /// What happened next; [`Event::Closed`] last, then `None`. Safe to drop. One reader at a time.
    pub async fn next_event(&self) -> Option<Event> {
        loop {
            if let Some(event) = event(self.live.inbox.next().await?) {
                return Some(event);
            }
        }
    }

    /// Waits until what WhatsApp kept for the session has arrived, which a send waits for as well.
    ///
    /// # Errors
    /// When the connection ends first.
    pub async fn ready(&self) -> Result<(), Closed> {
        let mut ready = self.live.handler.ready();
        tokio::select! {
            biased;
            reason = self.live.fate.ended() => Err(reason),
            _ = ready.wait_for(|ready| *ready) => Ok(()),
        }
    }

    /// Sends one message and waits for WhatsApp's ack. Takes at most [`Settings::ack_timeout`](super::Settings::ack_timeout), and
    /// [`Settings::media_timeout`](super::Settings::media_timeout) before it when there is a file.
    ///
    /// # Errors
    /// [`Action::Uncertain`] whenever the message may have left: send it again with the same `wire_id`.
    pub async fn send(&self, out: Outgoing) -> Result<Sent, Failure> {
        sending::send(self, out).await
    }

    /// Which of these numbers (E.164 with `+`) are on WhatsApp. Cache the answer and ask seldom: bursts cost numbers.
    ///
    /// # Errors
    /// When WhatsApp does not answer.
    pub async fn check_numbers(&self, numbers: &[String]) -> Result<Vec<NumberCheck>, Failure> {
        sending::check_numbers(self, numbers).await
    }

    /// Downloads and decrypts a file that somebody sent, into memory.
    ///
    /// # Errors
    /// [`Action::DeadLetter`] when it is larger than `limit`, gone, or not what it claims to be.
    pub async fn download(&self, media: &MediaPointer, limit: u64) -> Result<Bytes, Failure> {
        sending::download(self, media, limit).await
    }

    /// Tells a person that their messages were read.
    ///
    /// # Errors
    /// When the connection is gone. It is not acked.
    pub async fn mark_read(&self, chat: &Person, provider_ids: &[String]) -> Result<(), Failure> {
        let ids: Vec<&str> = provider_ids.iter().map(String::as_str).collect();
        let chat = inbound::address(chat).ok_or_else(|| not_sent("no_recipient", "neither number nor LID is known"))?;
        self.within(self.shared.settings.ack_timeout, self.live.client.mark_as_read(&chat, None, &ids)).await?.map_err(|_| gone())
    }

    /// Shows the number as online, or not.
    ///
    /// # Errors
    /// When the connection is gone, or the account's name is not known yet.
    pub async fn set_presence(&self, online: bool) -> Result<(), Failure> {
        let presence = self.live.client.presence();
        let set = async { if online { presence.set_available().await } else { presence.set_unavailable().await } };
        self.within(self.shared.settings.ack_timeout, set).await?.map_err(|error| not_sent("presence_not_set", &error.to_string()))
    }

    /// Removes this device from the account, then closes. The credentials are void after; delete them.
    pub async fn logout(&self) {
        let _ = self.within(self.shared.settings.ack_timeout, self.live.client.logout()).await;
        self.live.fate.end(Closed::LoggedOut);
        self.over().await;
    }

    /// Closes in an orderly way, within a dozen seconds. Events can still be read.
    pub async fn close(&self) {
        self.live.fate.end(Closed::Asked);
        self.over().await;
    }

    /// How long ago WhatsApp last said anything: an ack, a pong to the ping every half minute, or a message.
    #[must_use]
    pub fn last_ack(&self) -> Duration {
        self.live.pulse.age().unwrap_or(Duration::MAX)
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.live.fate.is_open()
    }

    /// Events that wait to be read.
    #[must_use]
    pub fn waiting_events(&self) -> usize {
        self.live.inbox.len()
    }

    /// The account's own number (E.164 with `+`) and LID.
    #[must_use]
    pub fn own(&self) -> Person {
        let user = |jid: Option<Jid>| jid.map(|jid| jid.user.to_string());
        let client: &Client = &self.live.client;
        let name = Some(client.push_name()).filter(|name| !name.is_empty());
        Person { phone: user(client.pn()).map(|user| format!("+{user}")), lid: user(client.lid()), name }
    }

    pub(super) async fn within<T>(&self, time: Duration, what: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            _ = self.live.fate.ended() => Err(gone()),
            done = tokio::time::timeout(time, what) => done.map_err(|_| not_sent("no_answer", "WhatsApp did not answer in time")),
        }
    }

    async fn over(&self) {
        let _ = self.over.clone().wait_for(|over| *over).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.live.fate.end(Closed::Asked);
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

pub(super) fn gone() -> Failure {
    not_sent("not_connected", "the connection ended before it was sent")
}

/// Nothing left, and the message is not to blame.
pub(super) fn not_sent(reason: &'static str, detail: &str) -> Failure {
    Failure { action: Action::ReturnAndBackOff, reason, detail: detail.to_owned(), retry_after: None }
}
