//! Live connections of Web sessions, as the pump sees them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use barid_domain::{SessionId, TenantId};
use barid_whatsapp::{Failure, Outgoing, Sent};

use crate::store::{Errand, Opened};
use uuid::Uuid;

/// A connection to make.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub session: SessionId,
    pub tenant: TenantId,
    /// Under which the replica owns the session.
    pub epoch: u64,
    pub device_name: String,
    pub presence: bool,
}

/// Makes connections.
#[async_trait]
pub(crate) trait Dialer: Send + Sync + 'static {
    /// Logs a session in. The end of the connection is told to the pump later, once.
    async fn dial(&self, call: Call) -> Result<Arc<dyn Link>, Ended>;
}

/// Links devices.
pub(crate) trait Pairer: Send + Sync + 'static {
    fn replica(&self) -> Uuid;
    /// How long another replica must not have been heard of before its pairings count for nothing.
    fn patience(&self) -> Duration;
    /// Carries a pairing that was opened through to its end, in the background.
    fn pair(self: Arc<Self>, tenant: TenantId, session: SessionId, opened: Opened, by_code: bool, lasts: Duration);
}

/// A connection that is logged in.
#[async_trait]
pub(crate) trait Link: Send + Sync + 'static {
    async fn send(&self, out: Outgoing) -> Result<Sent, Failure>;
    /// Does an errand; an error is a code.
    async fn run(&self, errand: &Errand) -> Result<Vec<u8>, &'static str>;
    /// Ends the connection when what is under way has ended, or after a few seconds.
    async fn close(&self);
    /// How long ago WhatsApp was last heard of.
    fn silence(&self) -> Duration;
}

/// Why there is no connection, or none any more, and what that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub next: Next,
    /// A code such as `replaced`.
    pub reason: &'static str,
    /// For the tenant.
    pub sentence: String,
}

/// What to do about a connection that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It was asked for.
    Nothing,
    /// The session is another replica's.
    LetGo,
    /// Connect again; it was nobody's fault.
    Reconnect,
    /// Connect again, later and later. `true` when WhatsApp itself refused.
    BackOff(bool),
    /// Connect again, later and later; it was our own store, so it says nothing of WhatsApp or the session.
    Ours,
    /// Rest for a while.
    Pause(Duration),
    /// The device is not linked any more.
    PairAgain,
    /// Rest until someone sees to it.
    Stop,
}

impl Ended {
    /// Nobody asked for it, and our own store is at fault.
    pub(crate) fn passing(reason: &'static str, sentence: impl Into<String>) -> Self {
        Self { next: Next::Ours, reason, sentence: sentence.into() }
    }
}
