//! Why a session has a slot, loses it, or waits for one: for operators.

use std::fmt;

use barid_domain::SessionId;
use chrono::{DateTime, SecondsFormat, Utc};

use super::Class;

/// Why a session cannot send, whatever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// For a while, by WhatsApp's wish.
    Paused,
    /// Until someone sees to it.
    Stopped,
    LoggedOut,
    /// After failures, for a moment.
    Resting,
}

impl Bar {
    /// Whether a connection is of no more use, not even for receipts.
    pub(super) fn ends(self) -> bool {
        matches!(self, Self::Stopped | Self::LoggedOut)
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Paused => "it is paused",
            Self::Stopped => "it is stopped until someone sees to it",
            Self::LoggedOut => "it is logged out and must be paired again",
            Self::Resting => "it rests after failures",
        })
    }
}

/// What was decided of a session, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Why {
    pub session: SessionId,
    pub class: Class,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Keeps its slot: something was written that WhatsApp has not acknowledged.
    Unacknowledged,
    /// Keeps its slot: it was connected less than `min_warm` ago.
    New,
    Pinned,
    Sending {
        waiting: u64,
    },
    Lingering {
        until: DateTime<Utc>,
    },
    /// Collects what waited for it at WhatsApp.
    Visiting,

    /// Leaves: it was told so before.
    Draining,
    /// Leaves: it lingered long enough.
    Finished,
    /// Leaves: the visit is over.
    Visited,
    /// Leaves: it had its turn, and others wait.
    Spent,
    /// Leaves: one of this class needs the slot.
    Displaced {
        by: Class,
    },
    /// Leaves: the least recently used makes room for what is to come.
    MakingRoom,
    /// Leaves: there are fewer slots than sessions in them.
    TooMany,
    /// Leaves, or does not get a slot.
    Barred(Bar),

    /// Gets a slot now.
    Connecting,
    /// Waits for a session to leave.
    Freeing,
    /// Waits: so many sessions of a higher class, and so many of its own that waited longer, wait as well.
    Behind {
        higher: usize,
        earlier: usize,
    },
    /// Waits: what is free is kept for immediate messages.
    Reserved,
    /// Waits: no login may begin now, and so many sessions come before it.
    Logins {
        ahead: usize,
    },
    Paced {
        until: DateTime<Utc>,
    },
    /// A pin that waits: others hold the slots that pins may take.
    PinsFull,
    /// Waits to be visited.
    VisitDue,
}

impl Reason {
    /// Whether the session holds a slot, or is connected now.
    pub fn holds_slot(&self) -> bool {
        match self {
            Self::Unacknowledged
            | Self::New
            | Self::Pinned
            | Self::Sending { .. }
            | Self::Lingering { .. }
            | Self::Visiting
            | Self::Draining
            | Self::Finished
            | Self::Visited
            | Self::Spent
            | Self::Displaced { .. }
            | Self::MakingRoom
            | Self::TooMany
            | Self::Connecting => true,
            Self::Barred(_)
            | Self::Freeing
            | Self::Behind { .. }
            | Self::Reserved
            | Self::Logins { .. }
            | Self::Paced { .. }
            | Self::PinsFull
            | Self::VisitDue => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unacknowledged => formatter.write_str("WhatsApp has not acknowledged everything that was written"),
            Self::New => formatter.write_str("it was connected a moment ago"),
            Self::Pinned => formatter.write_str("it is pinned"),
            Self::Sending { waiting } => write!(formatter, "sending: {} wait", messages(*waiting)),
            Self::Lingering { until } => write!(formatter, "lingering for receipts and replies until {}", time(*until)),
            Self::Visiting => formatter.write_str("visiting WhatsApp for receipts and messages that wait there"),
            Self::Draining => formatter.write_str("leaving"),
            Self::Finished => formatter.write_str("leaving: nothing to do"),
            Self::Visited => formatter.write_str("leaving: the visit is over"),
            Self::Spent => formatter.write_str("leaving: it had its turn, and others wait"),
            Self::Displaced { by } => write!(formatter, "leaving: a session {} needs the slot", class(*by)),
            Self::MakingRoom => formatter.write_str("leaving: of those without work it was used least recently, and few slots are free"),
            Self::TooMany => formatter.write_str("leaving: more sessions are connected than there are slots"),
            Self::Barred(bar) => write!(formatter, "no slot: {bar}"),
            Self::Connecting => formatter.write_str("connecting"),
            Self::Freeing => formatter.write_str("waiting for a slot that is being freed"),
            Self::Behind { higher: 0, earlier: 0 } => {
                formatter.write_str("waiting for a slot: it is next, but none may be taken from others yet")
            }
            Self::Behind { higher, earlier: 0 } => write!(formatter, "waiting for a slot: {} of a higher class", sessions(*higher)),
            Self::Behind { higher: 0, earlier } => {
                write!(formatter, "waiting for a slot: {} of its class waited longer", sessions(*earlier))
            }
            Self::Behind { higher, earlier } => {
                write!(formatter, "waiting for a slot: {} of a higher class, {} of its own waited longer", sessions(*higher), earlier)
            }
            Self::Reserved => formatter.write_str("waiting for a slot: the rest is kept for immediate messages"),
            Self::Logins { ahead } => write!(formatter, "waiting to log in: the login budget is used up, {} before it", sessions(*ahead)),
            Self::Paced { until } => write!(formatter, "its pace lets nothing go before {}", time(*until)),
            Self::PinsFull => formatter.write_str("pinned, but other pins hold half of the slots"),
            Self::VisitDue => formatter.write_str("waiting to visit WhatsApp for receipts and messages that wait there"),
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

fn sessions(count: usize) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Immediate => "with immediate messages, or that waited long,",
        Class::Peak => "in its peak window",
        Class::HighVolume => "with many messages",
        Class::Recent => "with messages",
        Class::Idle => "that is pinned or due for a visit",
    }
}
