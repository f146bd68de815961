//! The slots as they are taken: who may be asked to leave, and in which order.

use std::{cmp::Reverse, collections::VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Candidate, Class, Rank, Reason, Settings, elapsed, rank};

/// A session in a slot.
pub(super) struct Seat<'a> {
    pub candidate: &'a Candidate,
    pub rank: Rank,
    pub reason: Reason,
    /// Told to leave now, for `reason`.
    pub leaves: bool,
    /// Counted as such below.
    ordinary: bool,
}

impl Seat<'_> {
    fn is_immediate(&self) -> bool {
        is_immediate(&self.rank, self.candidate)
    }
}

/// Whether immediate messages wait that can go. Promotion makes nobody immediate: it gives precedence, not the reserve.
pub(super) fn is_immediate(rank: &Rank, candidate: &Candidate) -> bool {
    !rank.nothing_waits && candidate.immediate > 0
}

/// All of them. The lists hold indices of seats that may be asked to leave, the first to leave at the front.
pub(super) struct Seats<'a> {
    pub seats: Vec<Seat<'a>>,
    /// Without work: the least recently used first.
    lingering: VecDeque<usize>,
    /// Had their turn, without immediate messages and with: who holds a slot longest first.
    spent: VecDeque<usize>,
    spent_immediate: VecDeque<usize>,
    /// At work: those without immediate messages first, the least deserving first.
    working: VecDeque<usize>,
    /// Leaving, and not promised to anyone.
    pub freeing: usize,
    /// Slots that immediate work cannot have at once, and that it does not have: those at work on other messages, pins, visits, and those
    /// that did such work and may not leave yet.
    pub ordinary: usize,
    /// Slots that immediate work has, or had and may not leave yet. Were these counted as ordinary, others would wait for ever because
    /// immediate work comes and goes; were they not counted at all, it would take every slot that becomes free.
    pub immediate: usize,
    pub pins: usize,
    pub visits: usize,
}

impl<'a> Seats<'a> {
    pub(super) fn new(candidates: &'a [Candidate], now: DateTime<Utc>, settings: &Settings) -> Self {
        let held = candidates.iter().filter_map(|candidate| Some((candidate, candidate.slot_since?)));
        let mut held: Vec<_> = held.map(|(candidate, since)| (since, candidate, rank(candidate, now, settings))).collect();
        held.sort_by_key(|(since, candidate, _)| (*since, candidate.session));
        let mut all = Self {
            seats: Vec::with_capacity(held.len()),
            lingering: VecDeque::new(),
            spent: VecDeque::new(),
            spent_immediate: VecDeque::new(),
            working: VecDeque::new(),
            freeing: 0,
            ordinary: 0,
            immediate: 0,
            pins: 0,
            visits: 0,
        };
        // In the order in which they got their slots, so that pins beyond the half do not take turns.
        for (since, candidate, rank) in held {
            all.add(since, candidate, rank, now, settings);
        }
        let Self { seats, lingering, working, .. } = &mut all;
        lingering.make_contiguous().sort_by_key(|seat| (seats[*seat].candidate.last_used, seats[*seat].candidate.session));
        working.make_contiguous().sort_by_key(|seat| (seats[*seat].is_immediate(), Reverse(seats[*seat].rank)));
        all
    }

    fn add(&mut self, since: DateTime<Utc>, candidate: &'a Candidate, rank: Rank, now: DateTime<Utc>, settings: &Settings) {
        let index = self.seats.len();
        let held = elapsed(since, now);
        let works = !rank.nothing_waits;
        let able = candidate.barred.is_none();
        let unused = candidate.last_used.is_none_or(|used| used < since);
        let is_visit = !works && unused;
        let quiet = candidate.last_used.map_or(since, |used| used.max(since));
        let pinned = candidate.pinned && able && self.pins < settings.pins();
        let mut leaves = false;
        let reason = match candidate.barred {
            _ if candidate.draining => Reason::Draining,
            Some(bar) if bar.ends() => {
                leaves = true;
                Reason::Barred(bar)
            }
            _ if pinned => Reason::Pinned,
            _ if candidate.unacknowledged && !works => Reason::Unacknowledged,
            _ if works => Reason::Sending { waiting: candidate.waiting },
            _ if held < settings.min_warm && is_visit => Reason::Visiting,
            _ if held < settings.min_warm => Reason::New,
            _ if is_visit => {
                leaves = true;
                Reason::Visited
            }
            _ if elapsed(quiet, now) >= settings.linger => {
                leaves = true;
                Reason::Finished
            }
            _ => Reason::Lingering { until: quiet + TimeDelta::from_std(settings.linger).unwrap_or_default() },
        };
        let mut seat = Seat { candidate, rank, reason, leaves, ordinary: false };
        if candidate.draining || leaves {
            self.freeing += 1;
            self.seats.push(seat);
            return;
        }
        // Who waits for an acknowledgement is at work still. Else one that sends a message a second would never be seen to be at work, and never be
        // asked to leave.
        let busy = works || candidate.unacknowledged;
        let new = held < settings.min_warm;
        let immediate = seat.is_immediate();
        let lingers = !new && !pinned && !busy;
        let for_immediate = immediate || (!works && !lingers && !pinned && candidate.urgent);
        self.immediate += usize::from(for_immediate);
        self.pins += usize::from(pinned);
        self.visits += usize::from(is_visit && !pinned);
        seat.ordinary = !for_immediate && !lingers;
        self.ordinary += usize::from(seat.ordinary);
        let list = match () {
            () if new || pinned => None,
            () if !busy => Some(&mut self.lingering),
            () if held >= settings.max_hold && immediate => Some(&mut self.spent_immediate),
            () if held >= settings.max_hold => Some(&mut self.spent),
            () if held >= settings.min_turn => Some(&mut self.working),
            () => None,
        };
        if let Some(list) = list {
            list.push_back(index);
        }
        self.seats.push(seat);
    }

    /// Someone without work leaves: the least recently used.
    pub(super) fn clear_lingering(&mut self, reason: Reason) -> bool {
        let seat = self.lingering.pop_front();
        seat.is_some_and(|seat| self.leave(seat, reason))
    }

    /// Someone at work leaves for one that waits: who had its turn; else the least deserving of a lower class. Nobody without immediate
    /// messages is spared when such wait. With `exchange` only one without immediate messages may go.
    pub(super) fn clear_working(&mut self, class: Class, immediate: bool, exchange: bool) -> bool {
        let spent = self.spent.pop_front().or_else(|| if exchange { None } else { self.spent_immediate.pop_front() });
        if let Some(seat) = spent {
            return self.leave(seat, Reason::Spent);
        }
        let Some(&seat) = self.working.front() else { return false };
        let victim = &self.seats[seat];
        let yields = !victim.is_immediate() && (immediate || class < victim.rank.class);
        if yields {
            self.working.pop_front();
            return self.leave(seat, Reason::Displaced { by: class });
        }
        false
    }

    /// More sessions hold slots than there are: someone leaves if anybody may.
    pub(super) fn shed(&mut self) -> bool {
        let lists = [&mut self.lingering, &mut self.spent, &mut self.spent_immediate, &mut self.working];
        let seat = lists.into_iter().find_map(VecDeque::pop_front);
        seat.is_some_and(|seat| self.leave(seat, Reason::TooMany))
    }

    fn leave(&mut self, index: usize, reason: Reason) -> bool {
        let seat = &mut self.seats[index];
        (seat.leaves, seat.reason) = (true, reason);
        self.ordinary -= usize::from(seat.ordinary);
        self.freeing += 1;
        true
    }
}
