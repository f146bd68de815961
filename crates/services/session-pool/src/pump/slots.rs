//! What a pump knows of connections: which sessions have a slot, and what follows from it. No I/O; times are uptimes unless they say
//! otherwise.

use std::{sync::Arc, time::Duration};

use barid_domain::{SessionId, TenantId};
use barid_proto::{
    session_pool::v1::{Replica, SessionState, SlotClass, SlotHolder, SlotWaiter},
    timestamp,
};
use chrono::{DateTime, TimeDelta, Utc};

#[cfg(test)]
mod tests;

use super::{
    board::{Board, Entry, Ownership, entry},
    handover::waited,
};
use crate::{
    balance::{Balance, Replica as Alive, Turn},
    breaker::Losses,
    choice::{self, Bar, Candidate, Class, Why},
    link::{Call, Link, Next},
    logins::{Backoff, Failure},
    store::{Device, GivenUp, Way},
};

/// Holders and waiters that are told each.
const TOLD: usize = 500;

/// How long a visit is left to the replica that comes first for it.
const LATE: TimeDelta = TimeDelta::seconds(30);

/// A linked device's place in the pool.
#[derive(Default)]
pub(super) struct Berth {
    pub phase: Phase,
    /// Whether a login is under way, wanted still or not.
    dialing: bool,
    /// Since when it has a slot, by the clock.
    pub since: Option<DateTime<Utc>>,
    pub backoff: Backoff,
    losses: Losses,
    /// When its last connection ended, if this replica saw it.
    visited: Option<DateTime<Utc>>,
    /// Things to do besides sending, and since when they wait.
    errands: u64,
    pub asked: Option<DateTime<Utc>>,
    /// When something was last sent or acknowledged.
    pub used: Option<Duration>,
    /// Whether it got its slot for something immediate.
    urgent: bool,
    /// Whether it should be connected although nothing may wait: it is pinned, or due for a visit.
    due: bool,
    /// Whether its owner died: what that one had under way waits for the next.
    orphaned: bool,
    /// Since when it is due or orphaned and nobody alive has it, as far as this replica saw.
    unclaimed: Option<DateTime<Utc>>,
    /// Since when it is owed a connection although nothing may wait: it had one until that was lost, or until it came here, and has none yet.
    owed: Option<DateTime<Utc>>,
    /// Whether it was connected before and lingered: it goes on with that.
    handed: bool,
}

#[derive(Default)]
pub(super) enum Phase {
    #[default]
    Cold,
    /// Connecting under this epoch.
    Warming(u64),
    Warm(Arc<dyn Link>),
    /// Told to end when nothing is under way.
    Draining(Arc<dyn Link>),
    /// Ending.
    Closing,
}

impl Berth {
    /// Whether the session is of interest although no messages wait.
    pub(super) fn is_wanted(&self) -> bool {
        self.has_slot() || self.due || self.waits()
    }

    /// How long until it may connect again.
    pub(super) fn rests(&self, now: Duration) -> Duration {
        self.backoff.wait(now).max(self.losses.wait(now))
    }

    /// Whether something waits for a connection, besides messages.
    pub(super) fn waits(&self) -> bool {
        self.errands > 0 || self.orphaned || self.owed.is_some()
    }

    /// Since when it waits to be taken, messages and offers aside. A visit is not urgent, so others than the first leave it alone for longer.
    pub(super) fn waits_since(&self, pinned: bool) -> Option<DateTime<Utc>> {
        let late = if pinned || self.orphaned { TimeDelta::zero() } else { LATE };
        self.asked.into_iter().chain(self.unclaimed.map(|since| since + late)).min()
    }

    pub(super) fn has_slot(&self) -> bool {
        !matches!(self.phase, Phase::Cold)
    }
}

impl Entry {
    /// Its connection, which stood since then, ends before its time. If it lingered, for receipts and replies, it shall linger on.
    fn cut_off(&mut self, since: DateTime<Utc>, linger: Duration, wall: DateTime<Utc>, now: Duration) {
        let sent = self.berth.used.is_some_and(|used| now.saturating_sub(used) < linger);
        // What customers wrote is known by the row alone.
        let heard = self.sender.as_ref().and_then(|sender| sender.last_used).filter(|used| *used >= since);
        if sent || heard.is_some_and(|used| (wall - used).to_std().unwrap_or_default() < linger) {
            (self.berth.owed, self.berth.handed) = (self.berth.owed.or(Some(wall)), true);
        }
    }
}

impl Board {
    /// Linked devices that should be connected although nothing may wait for them.
    pub(super) fn set_due(
        &mut self,
        due: &[(SessionId, TenantId)],
        orphans: &[(SessionId, TenantId)],
        alive: &[Alive],
        now: Duration,
        wall: DateTime<Utc>,
    ) {
        self.entries.values_mut().for_each(|entry| (entry.berth.due, entry.berth.orphaned) = (false, false));
        for (session, tenant) in orphans {
            let entry = self.entries.entry(*session).or_insert_with(|| entry(*tenant, DateTime::default(), now));
            (entry.berth.orphaned, entry.active) = (true, now);
        }
        for (session, tenant) in due {
            let entry = self.entries.entry(*session).or_insert_with(|| entry(*tenant, DateTime::default(), now));
            (entry.berth.due, entry.active) = (true, now);
        }
        for entry in self.entries.values_mut() {
            let is_free = !entry.is_ours() && !entry.is_owned_by(alive) && (entry.berth.due || entry.berth.orphaned);
            entry.berth.unclaimed = is_free.then(|| entry.berth.unclaimed.unwrap_or(wall));
        }
    }

    /// How many errands wait for each session; the others have none.
    pub(super) fn set_errands(&mut self, errands: &[(SessionId, TenantId, u64)], now: Duration, wall: DateTime<Utc>) {
        self.entries.values_mut().for_each(|entry| entry.berth.errands = 0);
        for (session, tenant, count) in errands {
            let entry = self.entries.entry(*session).or_insert_with(|| entry(*tenant, DateTime::default(), now));
            (entry.berth.errands, entry.active) = (*count, now);
            entry.berth.asked = entry.berth.asked.or(Some(wall));
        }
        self.entries.values_mut().filter(|entry| entry.berth.errands == 0).for_each(|entry| entry.berth.asked = None);
    }

    /// The linked devices among which slots are shared. Those that another replica has are not, nor those that it should have; and of those
    /// that nobody has as many as this replica may take, the most deserving.
    pub(super) fn candidates(&mut self, now: Duration, wall: DateTime<Utc>, balance: &Balance) -> Vec<Candidate> {
        let (peaks, rules) = (&self.peaks, self.rules);
        let candidate = |(session, entry): (&SessionId, &mut Entry)| {
            let sender = entry.sender.as_ref()?;
            let Way::Web(device) = &sender.way else { return None };
            let has_slot = entry.berth.has_slot();
            let turn = match entry.ownership {
                Ownership::Fencing(_) | Ownership::Ours(_) => Turn::Anyway,
                Ownership::Foreign(until) if until > now => Turn::NotYet,
                Ownership::Unknown | Ownership::Foreign(_) => balance.turn(*session, waited(entry, wall)),
            };
            let extra = entry.berth.errands + u64::from(entry.berth.orphaned);
            let offered = u64::from((entry.offered.is_some() || entry.berth.owed.is_some()) && !has_slot);
            let wants = entry.left > 0 || extra + offered > 0 || entry.berth.due;
            let is_candidate = has_slot || (wants && turn != Turn::NotYet && !entry.leaves);
            if !is_candidate {
                return None;
            }
            let resting = entry.berth.rests(now).max(entry.breaker.wait(now));
            let barred = match sender.state {
                _ if device.linked.is_none() => Some(Bar::LoggedOut),
                SessionState::Paused => Some(Bar::Paused),
                SessionState::Stopped | SessionState::Inactive => Some(Bar::Stopped),
                SessionState::LoggedOut => Some(Bar::LoggedOut),
                _ if !resting.is_zero() && !has_slot => Some(Bar::Resting),
                _ => None,
            };
            let pause = entry.pace.wait(now);
            let visited = entry.berth.visited.max(device.visited);
            let used = entry.berth.used.and_then(|used| TimeDelta::from_std(now.saturating_sub(used)).ok()).map(|ago| wall - ago);
            let asked = || entry.berth.asked.into_iter().chain(entry.offered).chain(entry.berth.owed).chain(entry.berth.unclaimed).min();
            let candidate = Candidate {
                immediate: entry.immediate + extra,
                waiting: entry.waiting + extra + offered,
                oldest: if entry.waiting > 0 { entry.oldest } else { asked().unwrap_or(wall) },
                peak: peaks.get(&entry.tenant).is_some_and(|(peak, _)| *peak),
                last_used: sender.last_used.max(used),
                urgent: entry.berth.urgent,
                slot_since: entry.berth.since,
                draining: matches!(entry.berth.phase, Phase::Draining(_) | Phase::Closing),
                pinned: device.pinned,
                unacknowledged: entry.in_flight > 0,
                last_visit: visited,
                not_before: TimeDelta::from_std(pause).ok().filter(|pause| !pause.is_zero()).map(|pause| wall + pause),
                barred,
                ..Candidate::new(*session, wall)
            };
            let is_foreign = matches!(entry.ownership, Ownership::Foreign(_));
            let needs_owner = is_foreign || entry.ownership == Ownership::Unknown;
            // Who cannot send is told of and not taken.
            Some((needs_owner && !has_slot && barred.is_none(), is_foreign, waited(entry, wall), candidate))
        };
        let (mut strangers, others): (Vec<_>, Vec<_>) = self.entries.iter_mut().filter_map(candidate).partition(|(stranger, ..)| *stranger);
        strangers.sort_by_cached_key(|(_, foreign, _, candidate)| (*foreign, choice::rank(candidate, wall, &rules)));
        let strangers = balance.pick(strangers, |(.., waited, candidate)| (candidate.session, *waited));
        others.into_iter().chain(strangers).map(|(.., candidate)| candidate).collect()
    }

    /// Of the sessions chosen, those whose owner this replica is not.
    pub(super) fn unowned(&self, chosen: &[SessionId]) -> Vec<SessionId> {
        let is_free = |session: &&SessionId| {
            self.entries.get(session).is_some_and(|entry| matches!(entry.ownership, Ownership::Unknown | Ownership::Foreign(_)))
        };
        chosen.iter().filter(is_free).copied().collect()
    }

    /// A chosen session gets its slot: how to connect it.
    pub(super) fn dial(&mut self, session: SessionId, wall: DateTime<Utc>) -> Option<Call> {
        let entry = self.entries.get_mut(&session)?;
        let epoch = entry.epoch()?;
        let sender = entry.sender.as_ref()?;
        let Way::Web(Device { name, presence, .. }) = &sender.way else { return None };
        if entry.berth.has_slot() {
            return None;
        }
        entry.berth.dialing = true;
        let used = |used: DateTime<Utc>| (wall - used).to_std().is_ok_and(|ago| ago < self.rules.linger);
        let lingered = entry.berth.orphaned && sender.last_used.is_some_and(used);
        // Owed until it is connected: when the login fails, nobody else will know of it.
        let left = entry.berth.unclaimed.filter(|_| entry.berth.orphaned);
        entry.berth.owed = entry.berth.owed.or(entry.offered).or(left).or(entry.berth.orphaned.then_some(wall));
        entry.berth.handed |= entry.offered.take().is_some() || lingered;
        (entry.berth.phase, entry.berth.since, entry.berth.orphaned) = (Phase::Warming(epoch), Some(wall), false);
        entry.berth.urgent = entry.immediate + entry.berth.errands > 0;
        Some(Call { session, tenant: entry.tenant, epoch, device_name: name.clone(), presence: *presence })
    }

    /// A session is connected; gives the link back when it is not wanted any more.
    pub(super) fn up(&mut self, session: SessionId, epoch: u64, link: Arc<dyn Link>, now: Duration) -> Result<(), Arc<dyn Link>> {
        let Some(entry) = self.entries.get_mut(&session) else { return Err(link) };
        entry.berth.dialing = false;
        if !matches!(entry.berth.phase, Phase::Warming(of) if of == epoch) {
            return Err(link);
        }
        entry.berth.backoff.succeeded();
        (entry.berth.phase, entry.berth.owed, entry.dry) = (Phase::Warm(link), None, None);
        if std::mem::take(&mut entry.berth.handed) {
            // It is no visit: it lingers on, as it did where it comes from.
            entry.berth.used = Some(now);
        }
        Ok(())
    }

    /// A session must give up its slot, once nothing is under way.
    pub(super) fn drain_slot(&mut self, session: SessionId) {
        if let Some(entry) = self.entries.get_mut(&session)
            && let Phase::Warm(link) = &entry.berth.phase
        {
            entry.berth.phase = Phase::Draining(link.clone());
        }
    }

    /// Links that are told to end and have nothing under way any more.
    pub(super) fn closable(&mut self) -> Vec<(SessionId, Arc<dyn Link>)> {
        let mut links = Vec::new();
        for (session, entry) in &mut self.entries {
            if entry.in_flight == 0
                && let Phase::Draining(link) = &entry.berth.phase
            {
                links.push((*session, link.clone()));
                entry.berth.phase = Phase::Closing;
            }
        }
        links
    }

    /// All links, to be ended at once. Those that lingered are owed another connection, here or elsewhere.
    pub(super) fn hang_up(&mut self, wall: DateTime<Utc>, now: Duration) -> Vec<Arc<dyn Link>> {
        let linger = self.rules.linger;
        let take = |entry: &mut Entry| match std::mem::replace(&mut entry.berth.phase, Phase::Closing) {
            Phase::Warm(link) => {
                entry.cut_off(entry.berth.since.unwrap_or(wall), linger, wall, now);
                Some(link)
            }
            Phase::Draining(link) => Some(link),
            Phase::Cold => {
                entry.berth.phase = Phase::Cold;
                None
            }
            Phase::Warming(_) | Phase::Closing => None,
        };
        self.entries.values_mut().filter_map(take).collect()
    }

    /// A session's connection ended, or was not made. Its slot is free. Gives back whether it was still being made; then it was no visit.
    pub(super) fn down(&mut self, session: SessionId, next: Next, wall: DateTime<Utc>, now: Duration) -> bool {
        let linger = self.rules.linger;
        let Some(entry) = self.entries.get_mut(&session) else { return true };
        let (phase, was_login) = (std::mem::take(&mut entry.berth.phase), std::mem::take(&mut entry.berth.dialing));
        let since = entry.berth.since.take().unwrap_or(wall);
        if !was_login {
            entry.berth.visited = Some(wall);
        }
        if matches!(phase, Phase::Warm(_) | Phase::Draining(_)) && matches!(next, Next::Reconnect | Next::BackOff(_)) {
            entry.berth.losses.lost((wall - since).to_std().unwrap_or_default(), now);
        }
        if matches!(phase, Phase::Warm(_)) && matches!(next, Next::Reconnect | Next::BackOff(_) | Next::Ours) {
            entry.cut_off(since, linger, wall, now);
        }
        was_login
    }

    /// When a session's last connection ended, if this replica saw it.
    pub(super) fn visited(&self, session: SessionId) -> Option<DateTime<Utc>> {
        self.entries.get(&session)?.berth.visited
    }

    /// Of a replica that leaves, the linked devices for which nothing is left to do. They are not ours from now on, so that nobody connects
    /// them for its sake.
    pub(super) fn finished(&mut self) -> Vec<GivenUp> {
        let is_finished = |entry: &Entry| entry.is_ours() && entry.is_web() && !entry.berth.has_slot() && entry.berth.owed.is_none();
        let finished: Vec<SessionId> = self.entries.iter().filter(|(_, entry)| is_finished(entry)).map(|(session, _)| *session).collect();
        finished.into_iter().filter_map(|session| self.give_up(session)).collect()
    }

    pub(super) fn connection_failed(&mut self, session: SessionId, failure: Failure, random: f64, now: Duration) {
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.berth.backoff.failed(failure, random, now);
        }
    }

    /// Failures that were not the sessions' own.
    pub(super) fn forgive(&mut self, sessions: &[SessionId]) {
        for session in sessions {
            if let Some(entry) = self.entries.get_mut(session) {
                entry.berth.backoff.succeeded();
                entry.berth.losses.forgive();
            }
        }
    }

    /// Gives a session up, if it is ours. What it is owed the next owner shall see to.
    pub(super) fn give_up(&mut self, session: SessionId) -> Option<GivenUp> {
        let entry = self.entries.get_mut(&session)?;
        let is_owed = entry.berth.owed.take().is_some();
        let offered = std::mem::take(&mut entry.leaves) || is_owed;
        entry.berth.handed = false;
        let (Ownership::Ours(epoch) | Ownership::Fencing(epoch)) = entry.ownership else { return None };
        entry.ownership = Ownership::Unknown;
        if let Some(sender) = &mut entry.sender {
            sender.owner = None;
        }
        Some(GivenUp { session, epoch, offered })
    }

    pub(super) fn link(&self, session: SessionId) -> Option<Arc<dyn Link>> {
        match &self.entries.get(&session)?.berth.phase {
            Phase::Warm(link) => Some(link.clone()),
            _ => None,
        }
    }

    /// Whether a session's row was read and says that it cannot be connected.
    pub(super) fn is_barred(&self, session: SessionId) -> bool {
        let Some(sender) = self.entries.get(&session).and_then(|entry| entry.sender.as_ref()) else { return false };
        let linked = matches!(&sender.way, Way::Web(device) if device.linked.is_some());
        !linked || matches!(sender.state, SessionState::Stopped | SessionState::LoggedOut | SessionState::Inactive)
    }

    /// Whether any session is.
    pub(super) fn is_connected(&self) -> bool {
        self.entries.values().any(|entry| matches!(entry.berth.phase, Phase::Warm(_) | Phase::Draining(_)))
    }

    /// Sessions in slots.
    pub(super) fn slots_used(&self) -> usize {
        self.entries.values().filter(|entry| entry.berth.has_slot()).count()
    }

    /// How this replica stands, for operators.
    pub(super) fn status(&self, why: &[Why], wall: DateTime<Utc>) -> Replica {
        let mut replica = Replica {
            slots: u32::try_from(self.rules.slots).unwrap_or(u32::MAX),
            slots_used: u32::try_from(self.slots_used()).unwrap_or(u32::MAX),
            in_flight: self.in_flight(),
            ..Replica::default()
        };
        for told in why {
            let Some(entry) = self.entries.get(&told.session) else { continue };
            let (session_id, tenant_id) = (told.session.to_string(), entry.tenant.to_string());
            let slot_class = slot_class(told.class).into();
            let waiting = entry.waiting + entry.berth.errands;
            if entry.berth.has_slot() {
                let (state, heard) = match &entry.berth.phase {
                    Phase::Warm(link) => ("warm", Some(link.silence())),
                    Phase::Draining(link) => ("draining", Some(link.silence())),
                    Phase::Closing => ("draining", None),
                    Phase::Warming(_) | Phase::Cold => ("warming", None),
                };
                replica.holders.push(SlotHolder {
                    session_id,
                    tenant_id,
                    state: state.to_owned(),
                    slot_class,
                    since: entry.berth.since.map(timestamp),
                    why: told.reason.to_string(),
                    waiting,
                    unacknowledged: entry.in_flight,
                    last_heard_time: heard.and_then(|ago| TimeDelta::from_std(ago).ok()).map(|ago| timestamp(wall - ago)),
                    pinned: matches!(entry.sender.as_ref().map(|sender| &sender.way), Some(Way::Web(device)) if device.pinned),
                });
            } else {
                replica.waiting.push(SlotWaiter {
                    session_id,
                    tenant_id,
                    slot_class,
                    waiting,
                    oldest_due_time: (entry.waiting > 0).then(|| timestamp(entry.oldest)),
                    why: told.reason.to_string(),
                });
            }
        }
        replica.holders.truncate(TOLD);
        replica.waiting.truncate(TOLD);
        replica
    }
}

fn slot_class(class: Class) -> SlotClass {
    match class {
        Class::Immediate => SlotClass::Immediate,
        Class::Peak => SlotClass::Peak,
        Class::HighVolume => SlotClass::HighVolume,
        Class::Recent => SlotClass::Recent,
        Class::Idle => SlotClass::Idle,
    }
}
