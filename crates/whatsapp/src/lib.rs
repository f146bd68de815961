//! Connectors to WhatsApp behind one trait: what is sent, and what its outcome means for the message and its session.
//!
//! [`cloud`] speaks Meta's Cloud API. `web` speaks WhatsApp Web's multi-device protocol, unless the feature is off.

pub mod cloud;
mod content;
#[cfg(feature = "web")]
pub mod web;

pub use content::{Button, Content, Media, Row, Section};

use std::{fmt, future::Future, time::Duration};

/// A message as it goes onto the wire. Debug output names neither the recipient nor what is said.
#[derive(Clone)]
pub struct Outgoing {
    /// The message's public id; Meta echoes it in every status as `biz_opaque_callback_data`.
    pub message_id: String,
    /// WhatsApp Web only: the id on the wire, minted when the message was accepted, so that sending it again shows it once.
    pub wire_id: Option<String>,
    /// E.164 with `+`.
    pub recipient: String,
    pub content: Content,
    /// The message that this one answers, shown above it.
    pub reply_to: Option<Quoted>,
}

/// A message that is answered.
#[derive(Clone)]
pub struct Quoted {
    pub provider_id: String,
    /// Whether we sent it.
    pub from_me: bool,
    /// What the quote shows on WhatsApp Web; the Cloud API looks it up by itself.
    pub text: String,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("message_id", &self.message_id).field("content", &self.content).finish_non_exhaustive()
    }
}

/// How a send ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// WhatsApp took the message and knows it by this id.
    Acknowledged { provider_id: String },
}

/// Why a send did not end in an acknowledgement, and what that means for message and session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Failure {
    pub action: Action,
    /// A stable code in snake case, such as `rate_limited` or `window_closed`.
    pub reason: &'static str,
    /// For people: WhatsApp's code and words, with numbers and tokens masked.
    pub detail: String,
    /// How long WhatsApp asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A failure of the message: try it again after 1, 2 and 4 seconds, then give up.
    Retry,
    /// Nothing was sent and the message is not to blame: return it uncounted, and try less often.
    ReturnAndBackOff,
    /// The session sends too fast: return the message uncounted and let the session rest.
    PauseSession,
    /// Too fast for this recipient alone: return the message uncounted and serve others first.
    DelayRecipient,
    /// The session cannot send until its owner acts: return the message, stop the session, tell the tenant.
    StopSession,
    /// WhatsApp threatens the number: return the message, pause the number, alert.
    PauseNumberAndAlert,
    /// Allowed as a template only: send it as one, or give up when it has none.
    NeedsTemplate,
    /// Meta paused or disabled the template: hold back whatever uses it.
    PauseTemplate,
    /// It will not get better by itself: to the dead letters.
    DeadLetter,
    /// The request was written and its outcome is not known: reconcile, never repeat blindly.
    Uncertain,
}

/// A way to send through one session.
pub trait Connector: Send + Sync {
    /// Sends one message and tells what became of it. Dropping the future after it was polled leaves the outcome uncertain.
    fn send(&self, out: Outgoing) -> impl Future<Output = Result<Sent, Failure>> + Send;
}
