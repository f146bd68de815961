//! Evens out what replicas look after: one with more than its share hands sessions over that have nothing to do, and one with room takes them.

use std::{collections::HashMap, time::Duration};

use barid_domain::{SessionId, TenantId};
use barid_proto::session_pool::v1::SessionState;
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Pump,
    board::{Board, Entry, Ownership, entry},
    slots::Phase,
};
use crate::{
    Error,
    balance::{Activity, Balance, Held, Replica, Rules},
    store::{GivenUp, Way},
};

impl Entry {
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.ownership, Ownership::Fencing(_) | Ownership::Ours(_))
    }

    /// Whether one of these had it when its row was read.
    pub(super) fn is_owned_by(&self, alive: &[Replica]) -> bool {
        let owner = self.sender.as_ref().and_then(|sender| sender.owner);
        alive.iter().any(|replica| Some(replica.id) == owner)
    }

    fn is_pinned(&self) -> bool {
        matches!(self.sender.as_ref().map(|sender| &sender.way), Some(Way::Web(device)) if device.pinned)
    }

    /// Whether somebody should own it.
    fn wants_owner(&self) -> bool {
        self.can_send() && (self.left > 0 || self.offered.is_some() || self.berth.waits() || self.is_pinned())
    }

    /// How hard it is to let go.
    fn activity(&self, now: Duration, wall: DateTime<Utc>, min_warm: Duration) -> Activity {
        let idle = now.saturating_sub(self.active.max(self.berth.used.unwrap_or_default()));
        let is_new = |since: DateTime<Utc>| (wall - since).to_std().is_ok_and(|held| held < min_warm);
        let rests = !self.can_send() || !self.berth.rests(now).max(self.breaker.wait(now)).is_zero();
        let at_work = self.in_flight > 0 || self.wants_owner() || matches!(self.ownership, Ownership::Fencing(_));
        match &self.berth.phase {
            // Who rests after failures would fail elsewhere.
            _ if at_work || rests => Activity::Busy,
            Phase::Cold if self.is_web() => Activity::Cold,
            Phase::Cold => Activity::Idle { since: idle },
            // What was sent a moment ago has its receipts and replies under way.
            Phase::Warm(_) if idle >= min_warm && !self.berth.since.is_some_and(is_new) => Activity::Idle { since: idle },
            Phase::Warm(_) | Phase::Warming(_) | Phase::Draining(_) | Phase::Closing => Activity::Busy,
        }
    }
}

impl Board {
    /// How many sessions are ours, and how many should be somebody's and are nobody's. What was let go after `counted`, when it was last counted
    /// who owns how many, is among those.
    pub(super) fn owners(&self, alive: &[Replica], counted: DateTime<Utc>, now: Duration) -> (usize, usize) {
        let is_owned = |entry: &Entry| match entry.ownership {
            Ownership::Ours(_) | Ownership::Fencing(_) => true,
            Ownership::Foreign(until) if until > now => true,
            Ownership::Foreign(_) | Ownership::Unknown => entry.offered.map_or_else(|| entry.is_owned_by(alive), |since| since > counted),
        };
        let ours = self.entries.values().filter(|entry| entry.is_ours() && !entry.leaves).count();
        let unowned = self.entries.values().filter(|entry| entry.wants_owner() && !is_owned(entry)).count();
        (ours, unowned)
    }

    /// Our sessions, and what they do.
    pub(super) fn activities(&self, now: Duration, wall: DateTime<Utc>) -> Vec<Held> {
        let ours = self.entries.iter().filter(|(_, entry)| entry.is_ours() && !entry.leaves);
        ours.map(|(session, entry)| Held { session: *session, activity: entry.activity(now, wall, self.rules.min_warm) }).collect()
    }

    /// A session shall be another's: nothing more is claimed for it, and its connection ends.
    pub(super) fn leave(&mut self, session: SessionId) {
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.leaves = true;
        }
        self.drain_slot(session);
    }

    /// Linked devices that should be connected and are not shall be another's. Says how many begin to leave.
    pub(super) fn leave_unconnected(&mut self) -> usize {
        let waits = |entry: &Entry| entry.is_ours() && entry.is_web() && entry.wants_owner() && !entry.berth.has_slot() && !entry.leaves;
        let leaving = self.entries.values_mut().filter(|entry| waits(entry));
        leaving.map(|entry| entry.leaves = true).count()
    }

    /// Of the sessions that leave, those with nothing under way any more. They are not ours from now on.
    pub(super) fn departed(&mut self) -> Vec<GivenUp> {
        let done = |entry: &Entry| entry.leaves && entry.in_flight == 0 && !entry.berth.has_slot();
        let gone: Vec<SessionId> = self.entries.iter().filter(|(_, entry)| done(entry)).map(|(session, _)| *session).collect();
        gone.into_iter().filter_map(|session| self.give_up(session)).collect()
    }

    /// Sessions that others let go.
    pub(super) fn set_offered(&mut self, offered: &[(SessionId, TenantId)], now: Duration, wall: DateTime<Utc>) {
        let mut before: HashMap<SessionId, DateTime<Utc>> =
            self.entries.iter_mut().filter_map(|(session, entry)| Some((*session, entry.offered.take()?))).collect();
        for (session, tenant) in offered {
            let entry = self.entries.entry(*session).or_insert_with(|| entry(*tenant, DateTime::default(), now));
            entry.offered = Some(before.remove(session).unwrap_or(wall));
            if matches!(entry.ownership, Ownership::Foreign(_)) {
                entry.ownership = Ownership::Unknown;
            }
        }
    }
}

/// How long a session waits for somebody to take it.
pub(super) fn waited(entry: &Entry, wall: DateTime<Utc>) -> Duration {
    let messages = (entry.left > 0).then_some(entry.oldest);
    let since = messages.into_iter().chain(entry.offered).chain(entry.berth.waits_since(entry.is_pinned())).min();
    since.map_or(TimeDelta::zero(), |since| wall - since).to_std().unwrap_or_default()
}

impl Pump {
    pub(super) fn balance(&mut self) -> Balance {
        let (mut alive, now) = (self.alive(), self.parts.lease.now());
        let own = alive.iter_mut().find(|replica| replica.id == self.parts.replica);
        own.into_iter().for_each(|own| own.takes = self.slots.reach.takes(now));
        let (owned, unowned) = self.board.owners(&alive, self.counted, now);
        Balance::new(self.parts.replica, owned, &alive, unowned, Rules::default())
    }

    /// Lets go, after every heartbeat, what is more than this replica's share, and whatever it cannot connect while others could; and gives up
    /// what is ready to go.
    pub(super) async fn hand_over(&mut self) -> Result<(), Error> {
        if self.parts.alive.has_changed().unwrap_or(false) {
            self.parts.alive.mark_unchanged();
            self.counted = self.parts.clock.now();
            let (balance, now, wall) = (self.balance(), self.parts.lease.now(), self.counted);
            let release = balance.release(&self.board.activities(now, wall));
            if !release.is_empty() {
                tracing::info!(sessions = release.len(), "others have room for these sessions");
            }
            for session in release {
                if self.board.link(session).is_some() {
                    self.slots.states.insert(session, SessionState::Draining);
                }
                self.board.leave(session);
            }
        }
        if self.slots.reach.gives_up(self.parts.lease.now()) && self.balance().others_take() {
            let leaving = self.board.leave_unconnected();
            if leaving > 0 {
                tracing::warn!(sessions = leaving, "others may connect what cannot be connected here");
            }
        }
        self.slots.given_up.extend(self.board.departed());
        self.settle().await
    }
}
