//! Who gets a slot: which sessions hold a live connection, of all that could. Pure.
//!
//! In this order: immediate messages waiting; a tenant in its peak window with messages waiting; a tenant of high volume with messages
//! waiting; any messages waiting, and sessions used recently; the least recently used leaves first. Waiting longer than `max_wait` promotes
//! by a class, each time again, so that nobody starves.

#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::HashSet, time::Duration};

use barid_domain::SessionId;
use chrono::{DateTime, TimeDelta, Utc};

/// The rules' numbers.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub slots: usize,
    /// Waiting so long promotes by one class.
    pub max_wait: Duration,
    /// A session keeps its slot at least so long: connecting costs.
    pub min_warm: Duration,
    /// After so long it yields to others that wait.
    pub max_hold: Duration,
    /// A session used within this time counts as recently used.
    pub recent: Duration,
    /// From so many messages waiting on the volume of a tenant is high.
    pub high_volume: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: 200,
            max_wait: Duration::from_secs(20),
            min_warm: Duration::from_secs(15),
            max_hold: Duration::from_secs(120),
            recent: Duration::from_secs(300),
            high_volume: 200,
        }
    }
}

impl Settings {
    /// Slots that only immediate work takes: a fifth.
    fn reserve(&self) -> usize {
        self.slots / 5
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
    pub last_used: Option<DateTime<Utc>>,
    /// Since when it holds a slot.
    pub slot_since: Option<DateTime<Utc>>,
    /// Whether it should be connected at all times.
    pub pinned: bool,
    /// Whether something was written that WhatsApp has not acknowledged.
    pub unacknowledged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Immediate,
    Peak,
    HighVolume,
    Recent,
    Idle,
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

/// What to do about the slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Sessions to connect now, most deserving first: there is a free slot for each.
    pub warm: Vec<SessionId>,
    /// Sessions that shall give up their slot.
    pub drain: Vec<SessionId>,
}

/// Ranks a session at a moment.
pub fn rank(candidate: &Candidate, now: DateTime<Utc>, settings: &Settings) -> Rank {
    let waits = candidate.waiting > 0;
    let recent = candidate.last_used.is_some_and(|used| elapsed(used, now) < settings.recent);
    let class = match () {
        () if candidate.immediate > 0 => Class::Immediate,
        () if waits && candidate.peak => Class::Peak,
        () if candidate.waiting >= settings.high_volume.max(1) => Class::HighVolume,
        () if waits || recent => Class::Recent,
        () => Class::Idle,
    };
    let class = if waits { promote(class, elapsed(candidate.oldest, now), settings.max_wait) } else { class };
    let by = if waits { Ok(candidate.oldest) } else { Err(Reverse(candidate.last_used)) };
    Rank { class, nothing_waits: !waits, by, session: candidate.session }
}

fn promote(class: Class, waited: Duration, max_wait: Duration) -> Class {
    const CLASSES: [Class; 5] = [Class::Immediate, Class::Peak, Class::HighVolume, Class::Recent, Class::Idle];
    let steps = waited.as_millis() / max_wait.as_millis().max(1);
    CLASSES[(class as usize).saturating_sub(usize::try_from(steps).unwrap_or(usize::MAX))]
}

fn elapsed(since: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - since).max(TimeDelta::zero()).to_std().unwrap_or_default()
}

/// Decides who gets the slots and who leaves them. Never more than `slots` are taken, and nobody leaves before `min_warm` or with a write
/// unacknowledged.
pub fn choose(candidates: &[Candidate], now: DateTime<Utc>, settings: &Settings) -> Decision {
    let held_for = |candidate: &Candidate| candidate.slot_since.map(|since| elapsed(since, now));
    let stays = |candidate: &Candidate| held_for(candidate).is_some_and(|held| candidate.unacknowledged || held < settings.min_warm);
    let is_spent = |candidate: &Candidate| candidate.waiting > 0 && held_for(candidate).is_some_and(|held| held >= settings.max_hold);

    let mut ranked: Vec<(bool, bool, Rank, &Candidate)> = candidates
        .iter()
        .map(|candidate| (candidate.waiting == 0, is_spent(candidate), rank(candidate, now, settings), candidate))
        .collect();
    // Who waits comes first; of those, who had its turn comes last.
    ranked.sort_by_key(|(nothing_waits, spent, rank, _)| (*nothing_waits, *spent, *rank));

    let mut chosen = Chosen { settings, sessions: HashSet::new(), ordinary: 0 };
    for (.., rank, candidate) in ranked.iter().filter(|(.., candidate)| stays(candidate)) {
        chosen.add(candidate.session, rank.class);
    }
    let mut pins = ranked.iter().filter(|(.., candidate)| candidate.pinned && stays(candidate)).count();
    for (.., rank, candidate) in ranked.iter().filter(|(.., candidate)| candidate.pinned && !stays(candidate)) {
        if pins < settings.slots / 2 && chosen.has_room(rank.class) {
            chosen.add(candidate.session, rank.class);
            pins += 1;
        }
    }
    for (nothing_waits, _, rank, candidate) in &ranked {
        let wants = !nothing_waits || candidate.slot_since.is_some();
        if wants && !chosen.sessions.contains(&candidate.session) && chosen.has_room(rank.class) {
            chosen.add(candidate.session, rank.class);
        }
    }

    let taken = candidates.iter().filter(|candidate| candidate.slot_since.is_some()).count();
    let is_chosen = |candidate: &Candidate| chosen.sessions.contains(&candidate.session);
    let (held, cold): (Vec<_>, Vec<_>) =
        ranked.iter().map(|(.., candidate)| *candidate).partition(|candidate| candidate.slot_since.is_some());
    Decision {
        warm: cold.into_iter().filter(|cold| is_chosen(cold)).take(settings.slots.saturating_sub(taken)).map(|cold| cold.session).collect(),
        drain: held.into_iter().filter(|held| !is_chosen(held)).map(|held| held.session).collect(),
    }
}

struct Chosen<'a> {
    settings: &'a Settings,
    sessions: HashSet<SessionId>,
    /// Those that are not immediate.
    ordinary: usize,
}

impl Chosen<'_> {
    fn has_room(&self, class: Class) -> bool {
        let ordinary_fits = self.ordinary < self.settings.slots - self.settings.reserve();
        self.sessions.len() < self.settings.slots && (class == Class::Immediate || ordinary_fits)
    }

    fn add(&mut self, session: SessionId, class: Class) {
        self.ordinary += usize::from(class != Class::Immediate);
        self.sessions.insert(session);
    }
}
