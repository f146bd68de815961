//! The states of a message and how facts move it on. Pure: what is locked, read and written stands elsewhere.
//!
//! A message goes forward only, in the order of (attempt, rank). Commands of the owner count for the attempt they speak of; what WhatsApp
//! says is a fact and counts always: a receipt beats every state but a later receipt.
//!
//! What stays uncertain depends on the connector. Where sending again could show twice, the message waits for WhatsApp's word and is given
//! up without one. Where it goes out under an id of ours, it is claimed again ([`Fact::Repeated`]) and shows once.

use std::time::Duration;

/// Where a message stands. The numbers are those of the API and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    Scheduled = 1,
    Queued = 2,
    Sending = 3,
    Uncertain = 4,
    Sent = 5,
    Delivered = 6,
    Read = 7,
    Failed = 8,
    Cancelled = 9,
    Expired = 10,
}

impl State {
    pub const ALL: [Self; 10] = [
        Self::Scheduled,
        Self::Queued,
        Self::Sending,
        Self::Uncertain,
        Self::Sent,
        Self::Delivered,
        Self::Read,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == number)
    }

    /// The word for it in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Uncertain => "uncertain",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether it waits for its time or its session.
    pub const fn waits(self) -> bool {
        matches!(self, Self::Scheduled | Self::Queued)
    }

    /// Whether WhatsApp has taken it.
    pub const fn is_taken(self) -> bool {
        matches!(self, Self::Sent | Self::Delivered | Self::Read)
    }
}

/// What a message's state row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    pub state: State,
    /// Times it was claimed.
    pub attempt: u32,
    /// Attempts that failed through the message's own fault since it was last handed over or re-driven.
    pub failures: u32,
    /// Whether it failed for good and can be re-driven.
    pub dead_letter: bool,
    /// Whether the customer played its audio or video.
    pub played: bool,
}

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// Its time has come.
    Due,
    /// It may not go out now and waits for another time.
    Deferred,
    /// A session took it to send it.
    Claimed,
    /// A session took it again after an attempt with an unknown outcome, to send it under the same id.
    Repeated,
    /// WhatsApp took it.
    Sent,
    Delivered,
    Read,
    /// The customer played its audio or video, and so has read it.
    Played,
    /// This attempt failed; another may succeed.
    AttemptFailed {
        attempt: u32,
    },
    /// This attempt failed, and so would every other.
    Dead {
        attempt: u32,
    },
    /// This attempt was not made, through no fault of the message.
    Returned {
        attempt: u32,
    },
    /// This attempt was written to the wire, and nobody knows what became of it.
    Uncertain {
        attempt: u32,
    },
    /// WhatsApp took it and said later that it failed.
    Rejected {
        retry: bool,
    },
    /// The sender called it back.
    Cancelled,
    /// It was not sent in time.
    Expired,
    /// Nothing more was heard of an uncertain attempt, or its session is gone, or its quota is used up.
    GivenUp,
    /// Someone had a dead letter sent again: it becomes due anew, with all that goes with it.
    Redriven,
    /// What failed for good in this attempt goes another way.
    FellBack {
        attempt: u32,
    },
}

/// Attempts that may fail before a message becomes a dead letter: the first and three more.
pub const MAX_FAILURES: u32 = 4;

/// How long a message waits after its n-th failure: 1 s, 2 s, 4 s.
pub fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.clamp(1, MAX_FAILURES).saturating_sub(1))
}

/// How long a message waits before it is sent again after its n-th attempt had an unknown outcome: not at all the first time, when its owner
/// most likely died; then 1 s, 2 s, 4 s and so on up to a minute, because a connection that swallows everything will again.
pub fn repeat_after(attempt: u32) -> Duration {
    match attempt {
        0 | 1 => Duration::ZERO,
        later => Duration::from_secs(1 << (later - 2).min(6)).min(Duration::from_secs(60)),
    }
}

/// The standings a fact leads through, in order; none when it tells nothing new. More than one when WhatsApp skipped to tell a step: what
/// was read was delivered, and what was delivered was sent.
pub fn follow(from: Standing, fact: Fact) -> Vec<Standing> {
    let to = |state| Standing { state, ..from };
    let dead = Standing { state: State::Failed, dead_letter: true, ..from };
    let current = |attempt: u32| attempt == from.attempt && matches!(from.state, State::Sending | State::Uncertain);
    match fact {
        Fact::Due if from.state == State::Scheduled => vec![to(State::Queued)],
        // Also from one time to another: it is told anew until when it waits.
        Fact::Deferred if from.state.waits() => vec![to(State::Scheduled)],
        Fact::Claimed if from.state == State::Queued => vec![Standing { state: State::Sending, attempt: from.attempt + 1, ..from }],
        Fact::Repeated if from.state == State::Uncertain => vec![Standing { state: State::Sending, attempt: from.attempt + 1, ..from }],
        Fact::Sent => receipt(from, State::Sent),
        Fact::Delivered => receipt(from, State::Delivered),
        Fact::Read => receipt(from, State::Read),
        Fact::Played => played(from),
        Fact::AttemptFailed { attempt } if current(attempt) => vec![failed(from)],
        Fact::Dead { attempt } if current(attempt) => vec![dead],
        Fact::Returned { attempt } if current(attempt) => vec![to(State::Queued)],
        Fact::Uncertain { attempt } if current(attempt) && from.state == State::Sending => vec![to(State::Uncertain)],
        Fact::Rejected { retry } if matches!(from.state, State::Sending | State::Uncertain | State::Sent) => {
            vec![if retry { failed(from) } else { dead }]
        }
        Fact::Cancelled if from.state.waits() => vec![to(State::Cancelled)],
        Fact::Expired if from.state.waits() => vec![to(State::Expired)],
        Fact::GivenUp if from.state.waits() || from.state == State::Uncertain => vec![dead],
        Fact::FellBack { attempt } if from.dead_letter && attempt == from.attempt => {
            vec![Standing { state: State::Sending, attempt: from.attempt + 1, dead_letter: false, ..from }]
        }
        Fact::Redriven if from.dead_letter => vec![Standing { state: State::Scheduled, failures: 0, dead_letter: false, ..from }],
        _ => Vec::new(),
    }
}

fn failed(from: Standing) -> Standing {
    let failures = from.failures + 1;
    if failures >= MAX_FAILURES {
        Standing { state: State::Failed, failures, dead_letter: true, ..from }
    } else {
        Standing { state: State::Queued, failures, ..from }
    }
}

fn receipt(from: Standing, told: State) -> Vec<Standing> {
    [State::Sent, State::Delivered, State::Read]
        .into_iter()
        .filter(|step| *step <= told && (!from.state.is_taken() || *step > from.state))
        .map(|state| Standing { state, dead_letter: false, ..from })
        .collect()
}

fn played(from: Standing) -> Vec<Standing> {
    let mut path = receipt(from, State::Read);
    if !from.played {
        path.push(Standing { played: true, ..*path.last().unwrap_or(&from) });
    }
    path
}

#[cfg(test)]
mod tests;
