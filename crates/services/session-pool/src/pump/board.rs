//! What a pump knows of sessions, and what follows from it: whose rows to read, which to own, how much to claim. No I/O; times are uptimes
//! unless they say otherwise.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::Duration,
};

use barid_domain::{SessionId, TenantId};
use barid_proto::{queue::v1::SessionDemand, session_pool::v1::SessionState};
use chrono::{DateTime, TimeDelta, Utc};

#[cfg(test)]
mod tests;

use super::{
    courier::Line,
    handover::waited,
    slots::{Berth, Phase},
};
use crate::{
    balance::Balance,
    breaker::Breaker,
    choice::{self, Candidate},
    pace::Pace,
    share::Wish,
    store::{Claimed, GivenUp, Sender, Way},
};

/// A row is read again after so long, in case nobody told that it changed.
const FRESH: Duration = Duration::from_secs(5);
/// The row of one of ours that is connected and has nothing to do.
const IDLE_FRESH: Duration = Duration::from_secs(30);
/// So long after it was connected.
const IDLE_FRESH_AFTER: TimeDelta = TimeDelta::seconds(60);
/// How often a session's last use is written.
const TOUCH: Duration = Duration::from_secs(60);
/// A session that had nothing to do for so long is forgotten.
const IDLE: Duration = Duration::from_secs(600);
/// How long whether a tenant is in its peak window is taken for true.
const PEAK: Duration = Duration::from_secs(30);
/// Most tenants looked up in one turn.
const LOOK_UP: usize = 32;
/// Between claims of a session whose waiting messages may not be claimed yet: they wait for others to the same customer.
const DRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Nobody knows.
    Unknown,
    /// Of another replica; worth asking again at this time.
    Foreign(Duration),
    /// Ours under this epoch, which the ledger does not know yet.
    Fencing(u64),
    Ours(u64),
}

pub(super) struct Entry {
    pub(super) tenant: TenantId,
    /// Missing when deleted, or not read yet.
    pub(super) sender: Option<Sender>,
    read: Option<Duration>,
    pub(super) ownership: Ownership,
    pub(super) immediate: u64,
    pub(super) waiting: u64,
    /// As far as is known, messages that could be claimed.
    pub(super) left: u64,
    pub(super) oldest: DateTime<Utc>,
    /// When a dry session is tried again, the pause before that, and what was waiting.
    pub(super) dry: Option<(Duration, Duration, u64)>,
    pub(super) pace: Pace,
    pub(super) breaker: Breaker,
    /// Pauses without a success between.
    pub(super) strikes: u32,
    pub(super) in_flight: u32,
    used: bool,
    touched: Option<Duration>,
    pub(super) active: Duration,
    /// Since when another that let it go offers it, as far as this replica saw.
    pub(super) offered: Option<DateTime<Utc>>,
    /// Whether it shall be another's as soon as nothing is under way.
    pub(super) leaves: bool,
    /// What a linked device has besides.
    pub(super) berth: Berth,
}

impl Entry {
    pub(super) fn can_send(&self) -> bool {
        use SessionState::{Cold, Draining, Warm, Warming};
        self.sender.as_ref().is_some_and(|sender| matches!(sender.state, Cold | Warming | Warm | Draining))
    }

    pub(super) fn epoch(&self) -> Option<u64> {
        if let Ownership::Ours(epoch) = self.ownership { Some(epoch) } else { None }
    }

    pub(super) fn is_web(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| matches!(sender.way, Way::Web(_)))
    }

    /// Whether there is something to do for it.
    fn is_wanted(&self) -> bool {
        self.left > 0 || self.offered.is_some() || self.berth.is_wanted()
    }

    /// How old its row may get. At first a connection is looked at often: what customers wrote meanwhile decides how long it stays.
    fn fresh(&self, wall: DateTime<Utc>) -> Duration {
        let settled = || self.berth.since.is_some_and(|since| wall - since >= IDLE_FRESH_AFTER);
        let idles = self.left == 0 && self.epoch().is_some() && self.is_connected();
        if idles && settled() { IDLE_FRESH } else { FRESH }
    }

    /// Whether what is claimed now could go at once.
    fn is_connected(&self) -> bool {
        match self.sender.as_ref().map(|sender| &sender.way) {
            Some(Way::Cloud { .. }) => true,
            Some(Way::Web(_)) => matches!(self.berth.phase, Phase::Warm(_)),
            None => false,
        }
    }
}

pub(super) struct Board {
    pub(super) rules: choice::Settings,
    most_per_session: u32,
    pub(super) entries: HashMap<SessionId, Entry>,
    pub(super) peaks: HashMap<TenantId, (bool, Duration)>,
    in_flight: u32,
}

impl Board {
    pub(super) fn new(rules: choice::Settings, most_per_session: u32) -> Self {
        Self { rules, most_per_session, entries: HashMap::new(), peaks: HashMap::new(), in_flight: 0 }
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// What waits, of all sessions.
    pub(super) fn set_demand(&mut self, demand: Vec<SessionDemand>, now: Duration) {
        for entry in self.entries.values_mut() {
            (entry.immediate, entry.waiting, entry.left) = (0, 0, 0);
        }
        for listed in demand {
            let (Ok(session), Ok(tenant)) = (listed.session_id.parse(), listed.tenant_id.parse()) else { continue };
            let oldest = listed.oldest_due_time.as_ref().and_then(barid_proto::time).unwrap_or_default();
            let entry = self.entries.entry(session).or_insert_with(|| entry(tenant, oldest, now));
            (entry.immediate, entry.oldest, entry.active) = (listed.immediate, oldest, now);
            entry.waiting = listed.immediate + listed.batch + listed.retry;
            entry.left = entry.waiting;
            entry.dry = entry.dry.filter(|(.., waiting)| *waiting == entry.waiting);
        }
    }

    /// Sessions with messages waiting whose rows must be read.
    pub(super) fn unread(&self, now: Duration, wall: DateTime<Utc>) -> Vec<SessionId> {
        let stale = |entry: &Entry| entry.read.is_none_or(|read| now.saturating_sub(read) >= entry.fresh(wall));
        self.entries.iter().filter(|(_, entry)| entry.is_wanted() && stale(entry)).map(|(session, _)| *session).collect()
    }

    pub(super) fn set_sender(&mut self, session: SessionId, sender: Option<Sender>, now: Duration) {
        let Some(entry) = self.entries.get_mut(&session) else { return };
        entry.read = Some(now);
        if let Some(sender) = &sender {
            match &entry.sender {
                Some(known) if known.messages_per_minute == sender.messages_per_minute => {}
                Some(_) => entry.pace.set(sender.messages_per_minute, now),
                None => entry.pace = Pace::new(sender.messages_per_minute, now),
            }
        }
        entry.sender = sender;
    }

    /// A session's row changed.
    pub(super) fn changed(&mut self, session: SessionId) {
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.read = None;
            entry.breaker = Breaker::default();
        }
    }

    /// Tenants with messages waiting of whom it is not known whether they are in a peak window.
    pub(super) fn unknown_tenants(&mut self, now: Duration) -> Vec<TenantId> {
        self.peaks.retain(|_, (_, at)| now.saturating_sub(*at) < PEAK);
        let waiting: HashSet<TenantId> = self.entries.values().filter(|entry| entry.left > 0).map(|entry| entry.tenant).collect();
        waiting.into_iter().filter(|tenant| !self.peaks.contains_key(tenant)).take(LOOK_UP).collect()
    }

    pub(super) fn set_peak(&mut self, tenant: TenantId, peak: bool, now: Duration) {
        self.peaks.insert(tenant, (peak, now));
    }

    /// Cloud sessions that can send and have no owner that is known, as many as this replica may take: those first that nobody is known to
    /// own, and of them those that wait longest.
    pub(super) fn takeable(&self, now: Duration, wall: DateTime<Utc>, balance: &Balance) -> Vec<SessionId> {
        let free = |entry: &Entry| match entry.ownership {
            Ownership::Unknown => true,
            Ownership::Foreign(until) => until <= now,
            Ownership::Fencing(_) | Ownership::Ours(_) => false,
        };
        let wants = |entry: &Entry| entry.can_send() && !entry.is_web() && (entry.left > 0 || entry.offered.is_some());
        let mut wanted: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| free(entry) && wants(entry))
            .map(|(session, entry)| (matches!(entry.ownership, Ownership::Foreign(_)), Reverse(waited(entry, wall)), *session))
            .collect();
        wanted.sort_unstable();
        let picked = balance.pick(wanted, |(_, Reverse(waited), session)| (*session, *waited));
        picked.into_iter().map(|(.., session)| session).collect()
    }

    /// Of the sessions asked for, those that were taken; the others have an owner and are asked for again at `again`.
    pub(super) fn set_taken(&mut self, wanted: &[SessionId], taken: &[Claimed], again: Duration) {
        for session in wanted {
            self.set_ownership(*session, Ownership::Foreign(again));
        }
        for (session, epoch) in taken {
            self.set_ownership(*session, Ownership::Fencing(*epoch));
        }
    }

    /// Sessions whose epoch the ledger must know before anything is claimed.
    pub(super) fn fencing(&self) -> Vec<Claimed> {
        let fencing = |(session, entry): (&SessionId, &Entry)| match entry.ownership {
            Ownership::Fencing(epoch) => Some((*session, epoch)),
            _ => None,
        };
        self.entries.iter().filter_map(fencing).collect()
    }

    pub(super) fn owned(&mut self, session: SessionId, epoch: u64) {
        self.set_ownership(session, Ownership::Ours(epoch));
    }

    pub(super) fn lost(&mut self, session: SessionId) {
        self.set_ownership(session, Ownership::Unknown);
    }

    /// A replica left: its sessions may be taken at once.
    pub(super) fn released(&mut self) {
        for entry in self.entries.values_mut() {
            if matches!(entry.ownership, Ownership::Foreign(_)) {
                entry.ownership = Ownership::Unknown;
            }
        }
    }

    pub(super) fn set_ownership(&mut self, session: SessionId, ownership: Ownership) {
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.ownership = ownership;
        }
    }

    pub(super) fn epoch(&self, session: SessionId) -> Option<u64> {
        self.entries.get(&session)?.epoch()
    }

    /// What each session could send now, in the order in which they deserve it.
    pub(super) fn wishes(&mut self, now: Duration, wall: DateTime<Utc>) -> Vec<Wish> {
        let (rules, most, peaks) = (self.rules, self.most_per_session, &self.peaks);
        let wish = |(session, entry): (&SessionId, &mut Entry)| {
            if !entry.is_connected() {
                return None;
            }
            let room = room(entry, now, most);
            if room == 0 || wait(entry, now) > Duration::ZERO {
                return None;
            }
            let candidate = Candidate {
                immediate: entry.immediate,
                waiting: entry.waiting,
                oldest: entry.oldest,
                peak: peaks.get(&entry.tenant).is_some_and(|(peak, _)| *peak),
                last_used: entry.sender.as_ref().and_then(|sender| sender.last_used),
                ..Candidate::new(*session, wall)
            };
            let most = room.min(entry.pace.room(now)).min(u32::try_from(entry.left).unwrap_or(u32::MAX));
            Some((choice::rank(&candidate, wall, &rules), Wish { session: *session, tenant: entry.tenant, most }))
        };
        let mut wishes: Vec<_> = self.entries.iter_mut().filter_map(wish).collect();
        wishes.sort_by_key(|(rank, _)| *rank);
        wishes.into_iter().map(|(_, wish)| wish).collect()
    }

    /// Messages under way of each tenant.
    pub(super) fn held(&self) -> HashMap<TenantId, u32> {
        let mut held = HashMap::new();
        for entry in self.entries.values().filter(|entry| entry.in_flight > 0) {
            *held.entry(entry.tenant).or_default() += entry.in_flight;
        }
        held
    }

    /// How long until something can be claimed that could not be before.
    pub(super) fn wait(&mut self, now: Duration) -> Duration {
        let most = self.most_per_session;
        let ready = self
            .entries
            .values_mut()
            .filter(|entry| entry.is_connected())
            .filter_map(|entry| (room(entry, now, most) > 0 || !entry.breaker.wait(now).is_zero()).then(|| wait(entry, now)));
        ready.min().unwrap_or(IDLE)
    }

    /// A message goes: the line to send it on, unless the session may not send any more.
    pub(super) fn began(&mut self, session: SessionId, tenant: TenantId, epoch: u64, now: Duration, random: f64) -> Option<Line> {
        let entry = self.entries.entry(session).or_insert_with(|| entry(tenant, DateTime::default(), now));
        entry.in_flight += 1;
        self.in_flight += 1;
        if entry.epoch() != Some(epoch) || !entry.can_send() {
            return None;
        }
        let line = match (&entry.sender.as_ref()?.way, &entry.berth.phase) {
            (Way::Cloud { number, .. }, _) => Line::Cloud(number.clone()),
            (Way::Web(_), Phase::Warm(link)) => Line::Web(link.clone()),
            (Way::Web(_), _) => return None,
        };
        entry.pace.spend(random);
        (entry.used, entry.berth.used) = (true, Some(now));
        Some(line)
    }

    pub(super) fn way(&self, session: SessionId) -> Option<&Way> {
        self.entries.get(&session)?.sender.as_ref().map(|sender| &sender.way)
    }

    /// Slows young devices down, by when they were linked.
    pub(super) fn pace_young(&mut self, now: Duration, hourly: impl Fn(DateTime<Utc>) -> Option<u32>) {
        for entry in self.entries.values_mut() {
            if let Some(Way::Web(device)) = entry.sender.as_ref().map(|sender| &sender.way)
                && let Some(linked) = device.linked
            {
                entry.pace.set_young(hourly(linked), now);
            }
        }
    }

    pub(super) fn tenant(&self, session: SessionId) -> Option<TenantId> {
        self.entries.get(&session).map(|entry| entry.tenant)
    }

    /// Whether a session is a linked device: it sends free text at any time, and again under the same id.
    pub(super) fn is_web(&self, session: SessionId) -> bool {
        self.entries.get(&session).is_some_and(Entry::is_web)
    }

    /// Of `asked` messages a claim gave `given`.
    pub(super) fn answered(&mut self, session: SessionId, asked: u32, given: u32, now: Duration) {
        let Some(entry) = self.entries.get_mut(&session) else { return };
        entry.left = if given < asked { 0 } else { entry.left.saturating_sub(given.into()) };
        entry.dry = (given == 0).then(|| {
            let pause = entry.dry.map_or(DRY.0, |(_, pause, _)| (pause * 2).min(DRY.1));
            (now + pause, pause, entry.waiting)
        });
    }

    /// A message's outcome is known to the ledger.
    pub(super) fn ended(&mut self, session: SessionId, now: Duration) {
        let Some(entry) = self.entries.get_mut(&session) else { return };
        entry.in_flight = entry.in_flight.saturating_sub(1);
        self.in_flight = self.in_flight.saturating_sub(1);
        (entry.active, entry.berth.used) = (now, Some(now));
        // What waited for it may go now.
        entry.dry = None;
    }

    /// A session shall rest for a while: its tenant and the pauses before. `None` when it rests already.
    pub(super) fn pause(&mut self, session: SessionId) -> Option<(TenantId, u32)> {
        let entry = self.entries.get_mut(&session).filter(|entry| entry.can_send())?;
        let sender = entry.sender.as_mut()?;
        sender.state = SessionState::Paused;
        entry.strikes += 1;
        Some((sender.tenant, entry.strikes - 1))
    }

    /// A session shall rest until someone sees to it, also when it rests for a while already: its tenant.
    pub(super) fn stop(&mut self, session: SessionId) -> Option<TenantId> {
        let entry = self.entries.get_mut(&session)?;
        let can_send = entry.can_send();
        let sender = entry.sender.as_mut().filter(|sender| can_send || sender.state == SessionState::Paused)?;
        sender.state = SessionState::Stopped;
        Some(sender.tenant)
    }

    pub(super) fn failed(&mut self, session: SessionId, now: Duration) {
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.breaker.failed(now);
        }
    }

    pub(super) fn succeeded(&mut self, session: SessionId) {
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.breaker.succeeded();
            entry.strikes = 0;
        }
    }

    /// Sessions whose last use should be written now.
    pub(super) fn used(&mut self, now: Duration) -> Vec<SessionId> {
        let due = |entry: &Entry| entry.used && entry.touched.is_none_or(|at| now.saturating_sub(at) >= TOUCH);
        let touch = |(session, entry): (&SessionId, &mut Entry)| {
            (entry.used, entry.touched) = (false, Some(now));
            *session
        };
        self.entries.iter_mut().filter(|(_, entry)| due(entry)).map(touch).collect()
    }

    /// Forgets sessions without anything to do: those of them that were ours.
    pub(super) fn prune(&mut self, now: Duration) -> Vec<GivenUp> {
        let keep = |entry: &Entry| entry.in_flight > 0 || entry.is_wanted() || now.saturating_sub(entry.active) < IDLE;
        let forgotten: Vec<SessionId> = self.entries.iter().filter(|(_, entry)| !keep(entry)).map(|(session, _)| *session).collect();
        let given_up = forgotten.iter().filter_map(|session| self.give_up(*session)).collect();
        forgotten.iter().for_each(|session| drop(self.entries.remove(session)));
        given_up
    }
}

pub(super) fn entry(tenant: TenantId, oldest: DateTime<Utc>, now: Duration) -> Entry {
    Entry {
        tenant,
        sender: None,
        read: None,
        ownership: Ownership::Unknown,
        immediate: 0,
        waiting: 0,
        left: 0,
        oldest,
        dry: None,
        pace: Pace::new(1, now),
        breaker: Breaker::default(),
        strikes: 0,
        in_flight: 0,
        used: false,
        touched: None,
        active: now,
        offered: None,
        leaves: false,
        berth: Berth::default(),
    }
}

/// Requests that a session may have more under way, pace aside.
fn room(entry: &Entry, now: Duration, most: u32) -> u32 {
    if entry.left == 0 || entry.leaves || !entry.can_send() || entry.epoch().is_none() {
        return 0;
    }
    most.min(entry.breaker.room(now)).saturating_sub(entry.in_flight)
}

/// How long a session with room must wait.
fn wait(entry: &mut Entry, now: Duration) -> Duration {
    let dry = entry.dry.map_or(Duration::ZERO, |(until, ..)| until.saturating_sub(now));
    entry.pace.wait(now).max(dry).max(entry.breaker.wait(now))
}
