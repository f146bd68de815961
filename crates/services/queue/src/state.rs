//! The states of a message and how facts move it on. Pure: what is locked, read and written stands elsewhere.
//!
//! A message goes forward only, in the order of (attempt, rank). Commands of the owner count for the attempt they speak of; what WhatsApp
//! says is a fact and counts always: a receipt beats every state but a later receipt.

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
}

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// Its time has come.
    Due,
    /// A session took it to send it.
    Claimed,
    /// WhatsApp took it.
    Sent,
    Delivered,
    Read,
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
    /// Someone had a dead letter sent again.
    Redriven,
}

/// Attempts that may fail before a message becomes a dead letter: the first and three more.
pub const MAX_FAILURES: u32 = 4;

/// How long a message waits after its n-th failure: 1 s, 2 s, 4 s.
pub fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.clamp(1, MAX_FAILURES).saturating_sub(1))
}

/// The standings a fact leads through, in order; none when it tells nothing new. More than one when WhatsApp skipped to tell a step: what
/// was read was delivered, and what was delivered was sent.
pub fn follow(from: Standing, fact: Fact) -> Vec<Standing> {
    let to = |state| Standing { state, ..from };
    let dead = Standing { state: State::Failed, dead_letter: true, ..from };
    let current = |attempt: u32| attempt == from.attempt && matches!(from.state, State::Sending | State::Uncertain);
    match fact {
        Fact::Due if from.state == State::Scheduled => vec![to(State::Queued)],
        Fact::Claimed if from.state == State::Queued => vec![Standing { state: State::Sending, attempt: from.attempt + 1, ..from }],
        Fact::Sent => receipt(from, State::Sent),
        Fact::Delivered => receipt(from, State::Delivered),
        Fact::Read => receipt(from, State::Read),
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
        Fact::Redriven if from.dead_letter => vec![Standing { state: State::Queued, failures: 0, dead_letter: false, ..from }],
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

#[cfg(test)]
mod tests {
    use super::*;

    fn every_standing() -> impl Iterator<Item = Standing> {
        State::ALL.into_iter().flat_map(|state| {
            (0..4).flat_map(move |attempt| {
                (0..MAX_FAILURES).map(move |failures| Standing { state, attempt, failures, dead_letter: state == State::Failed })
            })
        })
    }

    fn every_fact() -> Vec<Fact> {
        let mut facts = vec![
            Fact::Due,
            Fact::Claimed,
            Fact::Sent,
            Fact::Delivered,
            Fact::Read,
            Fact::Cancelled,
            Fact::Expired,
            Fact::GivenUp,
            Fact::Redriven,
            Fact::Rejected { retry: true },
            Fact::Rejected { retry: false },
        ];
        for attempt in 0..5 {
            facts.extend([
                Fact::AttemptFailed { attempt },
                Fact::Dead { attempt },
                Fact::Returned { attempt },
                Fact::Uncertain { attempt },
            ]);
        }
        facts
    }

    /// (standing, fact, the standings it leads through), over everything there is.
    fn every_step() -> impl Iterator<Item = (Standing, Fact, Vec<Standing>)> {
        every_standing().flat_map(|from| every_fact().into_iter().map(move |fact| (from, fact, follow(from, fact))))
    }

    #[test]
    fn what_was_taken_is_never_untaken_except_by_a_rejection_before_delivery() {
        for (from, fact, path) in every_step() {
            if from.state.is_taken() {
                for to in path {
                    let rejected = matches!(fact, Fact::Rejected { .. }) && from.state == State::Sent;
                    assert!(rejected || (to.state.is_taken() && to.state > from.state), "{from:?} {fact:?} {to:?}");
                }
            }
        }
    }

    #[test]
    fn a_receipt_beats_every_state_but_a_later_receipt() {
        for from in every_standing() {
            for (fact, told) in [(Fact::Sent, State::Sent), (Fact::Delivered, State::Delivered), (Fact::Read, State::Read)] {
                let last = follow(from, fact).last().map_or(from.state, |to| to.state);
                let expected = if from.state.is_taken() { from.state.max(told) } else { told };
                assert_eq!(last, expected, "{from:?} {fact:?}");
            }
        }
    }

    #[test]
    fn every_step_on_the_way_is_told() {
        let sending = Standing { state: State::Sending, attempt: 1, failures: 0, dead_letter: false };
        let states = |from, fact| follow(from, fact).into_iter().map(|to| to.state).collect::<Vec<_>>();
        assert_eq!(states(sending, Fact::Read), [State::Sent, State::Delivered, State::Read]);
        assert_eq!(states(Standing { state: State::Sent, ..sending }, Fact::Read), [State::Delivered, State::Read]);
        assert_eq!(states(Standing { state: State::Read, ..sending }, Fact::Delivered), []);
    }

    #[test]
    fn the_same_fact_twice_changes_nothing_more() {
        for (_, fact, path) in every_step() {
            // A second claim, failure or re-drive is another event; a fact that names its attempt, or a receipt, is the same one.
            if let (Some(&to), false) = (path.last(), matches!(fact, Fact::Rejected { retry: true })) {
                let again = follow(to, fact);
                let stays_current = matches!(to.state, State::Sending | State::Uncertain);
                assert!(again.is_empty() || stays_current, "{fact:?} {to:?} {again:?}");
            }
        }
    }

    #[test]
    fn commands_of_another_attempt_change_nothing() {
        for (from, fact, path) in every_step() {
            if let Fact::AttemptFailed { attempt } | Fact::Dead { attempt } | Fact::Returned { attempt } | Fact::Uncertain { attempt } =
                fact
                && attempt != from.attempt
            {
                assert!(path.is_empty(), "{from:?} {fact:?}");
            }
        }
    }

    #[test]
    fn attempts_only_rise_and_dead_letters_have_failed() {
        for (from, fact, path) in every_step() {
            for to in path {
                assert!(to.attempt >= from.attempt);
                assert_eq!(to.attempt, from.attempt + u32::from(fact == Fact::Claimed));
                assert!(!to.dead_letter || to.state == State::Failed);
                assert!(to.failures <= MAX_FAILURES);
            }
        }
    }

    #[test]
    fn cancel_wins_from_waiting_states_only() {
        for from in every_standing() {
            assert_eq!(!follow(from, Fact::Cancelled).is_empty(), from.state.waits());
        }
    }

    #[test]
    fn three_retries_wait_one_two_and_four_seconds() {
        let mut at = Standing { state: State::Queued, attempt: 0, failures: 0, dead_letter: false };
        let mut waits = Vec::new();
        loop {
            at = follow(at, Fact::Claimed)[0];
            at = follow(at, Fact::AttemptFailed { attempt: at.attempt })[0];
            if at.state == State::Failed {
                break;
            }
            waits.push(backoff(at.failures).as_secs());
        }
        assert_eq!((waits, at.attempt, at.dead_letter), (vec![1, 2, 4], 4, true));
    }
}
