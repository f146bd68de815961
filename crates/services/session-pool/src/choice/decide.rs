//! Deals the slots out.

use barid_domain::SessionId;
use chrono::{DateTime, Utc};

use super::{
    Candidate, Class, Rank, Reason, Settings, Why, elapsed, rank,
    seats::{Seats, is_immediate},
};

/// What to do about the slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Sessions to connect now, most deserving first: there is a free slot and a login for each.
    pub warm: Vec<SessionId>,
    /// Sessions that shall give up their slot, the least deserving first: they write nothing more, and leave as soon as everything is
    /// acknowledged that they wrote.
    pub drain: Vec<SessionId>,
    /// Of every session that holds a slot or wants one, why: those in slots, those connected
    /// now, those that wait, and those that cannot send, each in the order of service.
    pub why: Vec<Why>,
}

/// A session that wants a slot.
struct Waiter<'a> {
    candidate: &'a Candidate,
    rank: Rank,
    tier: Tier,
    immediate: bool,
}

/// Comes before the rank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// Immediate work as much as the reserve has slots: also before those that waited long, who would else take what was freed for it.
    Reserve,
    /// Immediate work, and whoever waited long.
    First,
    Pin,
    Other,
}

/// Decides who gets the slots and who leaves them, when at most `logins` may begin. Never more than `slots` are taken, and nobody is told
/// to leave before `min_warm`, unless it is barred for good. Who is told to leave finishes: who is at work has something
/// unacknowledged at any moment, and would else never leave. The order of the candidates does not matter.
///
/// Nobody waits for ever: with every write acknowledged within `a`, every session gone `d` after it was told to, a decision every `t`, and
/// logins not the bottleneck, a session for which messages wait has a slot within `3 max_wait + n (max_hold + a + d + 2 t)`, where `n` is
/// the number of sessions divided by the slots that neither the reserve nor pins take, rounded up. For after three promotions only those
/// come before it that waited longer; each of them has one turn, after which it waits behind it; and a turn that others wait for ends.
/// And as many immediate sessions as the reserve has slots wait `min_turn + a + d + 2 t` at most, whatever others send: they need not even
/// wait for the end of a turn.
pub fn choose(candidates: &[Candidate], now: DateTime<Utc>, settings: &Settings, logins: usize) -> Decision {
    let seats = Seats::new(candidates, now, settings);
    let free = settings.slots.saturating_sub(seats.seats.len());
    let mut deal = Deal { settings, seats, free, logins, warm: Vec::new(), waiting: Vec::new(), unserved: [0; 5] };
    deal.shed();

    let cold = || candidates.iter().filter(|candidate| candidate.slot_since.is_none());
    for waiter in waiters(cold(), now, settings, &deal.seats) {
        deal.serve(&waiter);
    }
    deal.make_room();
    deal.sweep(cold(), now);
    deal.explain(cold(), now);
    deal.decision()
}

/// Those that want a slot for messages or for their pins, in the order in which they get one.
fn waiters<'a>(cold: impl Iterator<Item = &'a Candidate>, now: DateTime<Utc>, settings: &Settings, seats: &Seats<'_>) -> Vec<Waiter<'a>> {
    let wants = |candidate: &&Candidate| candidate.barred.is_none() && (candidate.pinned || candidate.has_work(now, settings));
    let waiter = |candidate: &'a Candidate| {
        let rank = rank(candidate, now, settings);
        let tier = if rank.class == Class::Immediate { Tier::First } else { Tier::Other };
        Waiter { candidate, rank, tier, immediate: is_immediate(&rank, candidate) }
    };
    let mut waiters: Vec<Waiter<'a>> = cold.filter(wants).map(waiter).collect();
    waiters.sort_by_key(|waiter| waiter.rank);
    let reserve = (settings.slots - settings.ordinary()).saturating_sub(seats.immediate);
    for waiter in waiters.iter_mut().filter(|waiter| waiter.immediate).take(reserve) {
        waiter.tier = Tier::Reserve;
    }
    let pins = settings.pins().saturating_sub(seats.pins);
    for waiter in waiters.iter_mut().filter(|waiter| waiter.candidate.pinned).take(pins) {
        waiter.tier = waiter.tier.min(Tier::Pin);
    }
    waiters.sort_by_key(|waiter| waiter.tier);
    waiters
}

struct Deal<'a> {
    settings: &'a Settings,
    seats: Seats<'a>,
    free: usize,
    logins: usize,
    warm: Vec<(Rank, SessionId)>,
    waiting: Vec<Why>,
    /// Those of each class that wait for a slot, so far.
    unserved: [usize; 5],
}

impl Deal<'_> {
    /// Makes good for slots that were taken away.
    fn shed(&mut self) {
        while self.seats.seats.len() - self.seats.freeing > self.settings.slots && self.seats.shed() {}
    }

    /// Gives a session a slot, or sees to it that one becomes free.
    fn serve(&mut self, waiter: &Waiter<'_>) {
        let (session, class) = (waiter.candidate.session, waiter.rank.class);
        let pins_full = waiter.rank.nothing_waits && waiter.tier == Tier::Other;
        if pins_full {
            self.waiting.push(Why { session, class, reason: Reason::PinsFull });
            return;
        }
        let ahead = self.unserved.iter().sum();
        let reason = if self.logins == 0 { Reason::Logins { ahead } } else { self.seat(waiter) };
        match reason {
            Reason::Connecting => self.warm.push((waiter.rank, session)),
            Reason::Freeing => self.waiting.push(Why { session, class, reason }),
            _ => {
                self.waiting.push(Why { session, class, reason });
                self.unserved[class as usize] += 1;
            }
        }
    }

    fn seat(&mut self, waiter: &Waiter<'_>) -> Reason {
        let class = waiter.rank.class;
        let (higher, same) = (self.unserved[..class as usize].iter().sum(), self.unserved[class as usize]);
        let reserved = !waiter.immediate && self.seats.ordinary >= self.settings.ordinary();
        if reserved {
            // Only in exchange for another like it.
            if !self.seats.clear_working(class, false, true) {
                return if self.free > 0 { Reason::Reserved } else { Reason::Behind { higher, earlier: same } };
            }
        } else if self.free > 0 {
            self.free -= 1;
            self.logins -= 1;
            self.seats.ordinary += usize::from(!waiter.immediate);
            return Reason::Connecting;
        } else if self.seats.freeing == 0
            && !self.seats.clear_lingering(Reason::Displaced { by: class })
            && !self.seats.clear_working(class, waiter.immediate, false)
        {
            return Reason::Behind { higher, earlier: same };
        }
        self.promise(waiter.immediate)
    }

    /// A slot that becomes free is for this one.
    fn promise(&mut self, immediate: bool) -> Reason {
        self.seats.freeing -= 1;
        self.logins -= 1;
        self.seats.ordinary += usize::from(!immediate);
        Reason::Freeing
    }

    /// Keeps a few slots free, so that immediate messages do not wait until someone is gone.
    fn make_room(&mut self) {
        while self.free + self.seats.freeing < self.settings.headroom() && self.seats.clear_lingering(Reason::MakingRoom) {}
    }

    /// Visits those that were not connected for long.
    fn sweep<'c>(&mut self, cold: impl Iterator<Item = &'c Candidate>, now: DateTime<Utc>) {
        let settings = self.settings;
        let is_due = |candidate: &&Candidate| {
            let idle = candidate.barred.is_none() && !candidate.pinned && !candidate.has_work(now, settings);
            idle && candidate.last_visit.is_none_or(|visit| elapsed(visit, now) >= settings.sweep)
        };
        let mut due: Vec<&Candidate> = cold.filter(is_due).collect();
        due.sort_by_key(|candidate| (candidate.last_visit, candidate.session));
        for candidate in due {
            let rank = rank(candidate, now, settings);
            let has_room = self.seats.visits < settings.visits() && self.seats.ordinary < settings.ordinary() && self.logins > 0;
            let mut reason = Reason::VisitDue;
            if has_room && self.free > 0 {
                self.free -= 1;
                self.logins -= 1;
                self.seats.ordinary += 1;
                self.warm.push((rank, candidate.session));
                reason = Reason::Connecting;
            } else if has_room && (self.seats.freeing > 0 || self.seats.clear_lingering(Reason::Displaced { by: Class::Idle })) {
                reason = self.promise(false);
            }
            match reason {
                Reason::VisitDue => {}
                _ => self.seats.visits += 1,
            }
            if reason != Reason::Connecting {
                self.waiting.push(Why { session: candidate.session, class: rank.class, reason });
            }
        }
    }

    /// Tells why sessions with messages do not even wait for a slot.
    fn explain<'c>(&mut self, cold: impl Iterator<Item = &'c Candidate>, now: DateTime<Utc>) {
        let why = |candidate: &Candidate| {
            let reason = match (candidate.barred, candidate.not_before) {
                (Some(bar), _) => Reason::Barred(bar),
                (None, Some(until)) if !candidate.pinned && !candidate.has_work(now, self.settings) => Reason::Paced { until },
                _ => return None,
            };
            Some((rank(candidate, now, self.settings), reason))
        };
        let mut others: Vec<_> = cold.filter(|candidate| candidate.waiting > 0 || candidate.pinned).filter_map(why).collect();
        others.sort_by_key(|(rank, _)| *rank);
        self.waiting.extend(others.into_iter().map(|(rank, reason)| Why { session: rank.session, class: rank.class, reason }));
    }

    fn decision(self) -> Decision {
        let mut seats = self.seats.seats;
        seats.sort_by_key(|seat| seat.rank);
        let drain = seats.iter().rev().filter(|seat| seat.leaves).map(|seat| seat.candidate.session).collect();
        let holds = seats.iter().map(|seat| Why { session: seat.candidate.session, class: seat.rank.class, reason: seat.reason });
        let connects = self.warm.iter().map(|(rank, session)| Why { session: *session, class: rank.class, reason: Reason::Connecting });
        let why = holds.chain(connects).chain(self.waiting).collect();
        Decision { warm: self.warm.into_iter().map(|(_, session)| session).collect(), drain, why }
    }
}
