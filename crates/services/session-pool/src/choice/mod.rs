//! Who gets a slot: which sessions hold a live connection, of all that could. Pure.
//!
//! In this order: immediate messages waiting; a tenant in its peak window with messages waiting; a tenant of high volume with messages
//! waiting; any messages waiting, and sessions used recently; the least recently used leaves first. Waiting longer than `max_wait` promotes
//! by a class, each time again, so that nobody starves: a session that was served goes to the back of its class.

pub mod day;
mod decide;
mod reason;
mod seats;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traces;

use std::{cmp::Reverse, time::Duration};

use barid_domain::SessionId;
use chrono::{DateTime, TimeDelta, Utc};

pub use decide::{Decision, choose};
pub use reason::{Bar, Reason, Why};

/// The rules' numbers.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub slots: usize,
    /// Waiting so long promotes by one class.
    pub max_wait: Duration,
    /// A session keeps its slot at least so long: connecting costs, and most receipts come within seconds. A visit of the sweep lasts no
    /// longer. Not longer than it must be: under load it is what limits how many sessions are served, `slots / min_warm` a second.
    pub min_warm: Duration,
    /// At work a session is not displaced by one of a higher class before so long: what is left would cost another login.
    pub min_turn: Duration,
    /// After so long it yields to others that wait.
    pub max_hold: Duration,
    /// A session used within this time counts as recently used.
    pub recent: Duration,
    /// From so many messages waiting on the volume of a tenant is high.
    pub high_volume: u64,
    /// A session without work collects receipts and replies for so long after its last use, unless someone needs its slot.
    pub linger: Duration,
    /// A session that was not connected for so long is visited, for what waits for it at WhatsApp.
    pub sweep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: 200,
            max_wait: Duration::from_secs(20),
            min_warm: Duration::from_secs(5),
            min_turn: Duration::from_secs(15),
            max_hold: Duration::from_secs(120),
            recent: Duration::from_secs(300),
            high_volume: 200,
            linger: Duration::from_secs(600),
            sweep: Duration::from_secs(6 * 3600),
        }
    }
}

impl Settings {
    /// Slots that sessions without immediate messages may take: all but a fifth.
    fn ordinary(&self) -> usize {
        self.slots - self.slots / 5
    }

    /// Sessions that are kept connected because they are pinned: at most half.
    fn pins(&self) -> usize {
        self.slots / 2
    }

    /// Slots that are kept free of sessions without work: a twentieth.
    fn headroom(&self) -> usize {
        self.slots / 20
    }

    /// Visits of the sweep at a time: a tenth, and one in any case.
    fn visits(&self) -> usize {
        self.slots.div_ceil(10)
    }
}

/// What is known of a session.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub session: SessionId,
    /// Immediate messages waiting.
    pub immediate: u64,
    /// All messages waiting.
    pub waiting: u64,
    /// Since when the one waiting longest is due.
    pub oldest: DateTime<Utc>,
    /// Whether its tenant is in a peak window.
    pub peak: bool,
    /// When it last sent or received something.
    pub last_used: Option<DateTime<Utc>>,
    /// Since when it holds a slot.
    pub slot_since: Option<DateTime<Utc>>,
    /// Whether immediate messages waited when it got its slot.
    pub urgent: bool,
    /// Whether it was told to give up its slot. Until it is gone it counts.
    pub draining: bool,
    /// Whether it should be connected at all times.
    pub pinned: bool,
    /// Whether something was written that WhatsApp has not acknowledged.
    pub unacknowledged: bool,
    /// When its last connection ended, not counting one that stands.
    pub last_visit: Option<DateTime<Utc>>,
    /// Its pace lets nothing go before.
    pub not_before: Option<DateTime<Utc>>,
    /// Why it cannot send at all.
    pub barred: Option<Bar>,
}

impl Candidate {
    /// A session that is not connected and for which nothing waits.
    pub fn new(session: SessionId, now: DateTime<Utc>) -> Self {
        Self {
            session,
            immediate: 0,
            waiting: 0,
            oldest: now,
            peak: false,
            last_used: None,
            slot_since: None,
            urgent: false,
            draining: false,
            pinned: false,
            unacknowledged: false,
            last_visit: None,
            not_before: None,
            barred: None,
        }
    }

    /// Whether messages wait that can go. A pause of its pace that is shorter than `min_warm` is not worth leaving a slot for; but nobody
    /// connects before there is something to do.
    fn has_work(&self, now: DateTime<Utc>, settings: &Settings) -> bool {
        let patience = if self.slot_since.is_some() { settings.min_warm } else { Duration::ZERO };
        let paced = self.not_before.is_some_and(|at| (at - now).to_std().is_ok_and(|pause| pause > patience));
        self.waiting > 0 && self.barred.is_none() && !paced
    }

    /// Since when it waits for its turn. Having had a turn it waits anew, however old the messages that were left: else a few sessions with
    /// endless work would pass slots to each other, and nobody else would get one.
    fn waits_since(&self) -> DateTime<Utc> {
        self.last_visit.map_or(self.oldest, |visit| self.oldest.max(visit))
    }
}

/// In the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Immediate,
    Peak,
    HighVolume,
    Recent,
    Idle,
}

impl Class {
    pub const ALL: [Self; 5] = [Self::Immediate, Self::Peak, Self::HighVolume, Self::Recent, Self::Idle];

    fn promoted(self, waited: Duration, max_wait: Duration) -> Self {
        let steps = waited.as_millis() / max_wait.as_millis().max(1);
        Self::ALL[(self as usize).saturating_sub(usize::try_from(steps).unwrap_or(usize::MAX))]
    }
}

/// How much a session deserves to be served; the least deserves most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    class: Class,
    /// Those with messages before those that only linger.
    nothing_waits: bool,
    /// Of those with messages, who waits longest; of the others, who was used last.
    by: Result<DateTime<Utc>, Reverse<Option<DateTime<Utc>>>>,
    session: SessionId,
}

impl Rank {
    /// The class, with the promotions for waiting.
    pub fn class(&self) -> Class {
        self.class
    }
}

/// Ranks a session at a moment.
pub fn rank(candidate: &Candidate, now: DateTime<Utc>, settings: &Settings) -> Rank {
    let works = candidate.has_work(now, settings);
    let recent = candidate.last_used.is_some_and(|used| elapsed(used, now) < settings.recent);
    let class = match () {
        () if works && candidate.immediate > 0 => Class::Immediate,
        () if works && candidate.peak => Class::Peak,
        () if works && candidate.waiting >= settings.high_volume.max(1) => Class::HighVolume,
        () if works || recent => Class::Recent,
        () => Class::Idle,
    };
    let since = candidate.waits_since();
    // In a slot nobody waits: what waiting earned until then stays, and no more comes.
    let waited = elapsed(since, candidate.slot_since.unwrap_or(now));
    let class = if works { class.promoted(waited, settings.max_wait) } else { class };
    let by = if works { Ok(since) } else { Err(Reverse(candidate.last_used)) };
    Rank { class, nothing_waits: !works, by, session: candidate.session }
}

fn elapsed(since: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - since).max(TimeDelta::zero()).to_std().unwrap_or_default()
}
