//! The cluster: sessions, their slots and their messages, in steps of half a second.

use std::{collections::VecDeque, time::Duration};

use barid_domain::SessionId;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    super::{Candidate, Class, Reason, choose, rank},
    DAY, Dice, HOUR, Options, Time,
    report::{Diary, Use},
    traffic::{Kind, Traffic, is_peak},
};
use crate::{logins::Budget, ownership::is_preferred, pace::Pace};

const STEP: Time = 500;
/// With nothing new it is decided again after so many steps.
const CALM: Time = 4;
/// A login takes 0.7 to 1.5 s, a send 0.2 to 0.4 s until it is acknowledged, and a session that leaves so long.
const LOGIN: (u64, u64) = (700, 1500);
const SEND: (u64, u64) = (200, 400);
const LEAVE: Time = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Cold,
    Warming { ready: Time },
    Warm,
    Draining,
    Closing { gone: Time },
}

struct Session {
    id: SessionId,
    kind: Kind,
    replica: usize,
    immediate: VecDeque<Time>,
    batch: VecDeque<Time>,
    phase: Phase,
    slot_since: Option<Time>,
    urgent: bool,
    last_used: Option<Time>,
    last_visit: Option<DateTime<Utc>>,
    pace: Pace,
    /// When what it wrote last is acknowledged.
    acknowledged: Time,
    /// Among those that the replica looks at.
    active: bool,
}

impl Session {
    /// Whether it wants a slot though nothing waits.
    fn wants(&self, wall: DateTime<Utc>, sweep: TimeDelta) -> bool {
        self.kind == Kind::Bot || self.last_visit.is_none_or(|visit| wall - visit >= sweep)
    }
}

struct Replica {
    budget: Budget,
    /// Sessions in slots, with messages, or due for a visit.
    active: Vec<usize>,
    changed: bool,
    /// Whether sessions wait for slots.
    short: bool,
}

pub(super) struct Cluster<'a> {
    options: &'a Options,
    sessions: Vec<Session>,
    replicas: Vec<Replica>,
    dice: Dice,
    start: DateTime<Utc>,
    sweep: TimeDelta,
}

fn uptime(at: Time) -> Duration {
    Duration::from_millis(at)
}

impl<'a> Cluster<'a> {
    pub(super) fn new(options: &'a Options, traffic: &Traffic) -> Self {
        let start = DateTime::<Utc>::from_timestamp(1_800_057_600, 0).unwrap_or_default();
        let ids: Vec<Uuid> = (1..=options.replicas as u128).map(Uuid::from_u128).collect();
        let mut dice = Dice(options.seed ^ 0x5eed);
        let sweep = TimeDelta::from_std(options.settings.sweep).unwrap_or(TimeDelta::MAX);
        let session = |(number, kind): (usize, &Kind)| {
            let id = SessionId::from_uuid(Uuid::from_u128(number as u128 + 1));
            Session {
                id,
                kind: *kind,
                replica: ids.iter().position(|replica| is_preferred(id, *replica, &ids)).unwrap_or_default(),
                immediate: VecDeque::new(),
                batch: VecDeque::new(),
                phase: Phase::Cold,
                slot_since: None,
                urgent: false,
                last_used: None,
                // As on any day: some were connected a moment ago, some hours ago.
                last_visit: Some(start - TimeDelta::milliseconds((sweep.num_milliseconds() as f64 * dice.part()) as i64)),
                pace: Pace::new(kind.messages_per_minute(), Duration::ZERO),
                acknowledged: 0,
                active: false,
            }
        };
        let sessions: Vec<Session> = traffic.kinds.iter().enumerate().map(session).collect();
        let budget = Budget::new(options.logins, options.replicas, Duration::ZERO);
        let replicas = ids.iter().map(|_| Replica { budget, active: Vec::new(), changed: true, short: false }).collect();
        Self { options, sessions, replicas, dice, start, sweep }
    }

    fn wall(&self, at: Time) -> DateTime<Utc> {
        self.start + TimeDelta::milliseconds(at.cast_signed())
    }

    pub(super) fn play(&mut self, traffic: &Traffic, diary: &mut Diary) {
        let mut arrivals = traffic.arrivals.iter().peekable();
        let mut waiting: u64 = 0;
        let mut now = 0;
        // What does not get through in half a day more never will.
        while now < DAY || (waiting > 0 && now < DAY + 12 * HOUR) {
            while let Some(arrival) = arrivals.next_if(|arrival| arrival.at <= now) {
                let session = &mut self.sessions[arrival.session];
                let queue = if arrival.immediate { &mut session.immediate } else { &mut session.batch };
                queue.extend((0..arrival.count).map(|_| arrival.at));
                waiting += u64::from(arrival.count);
                self.activate(arrival.session);
            }
            if now % 60_000 == 0 {
                self.find_due(now);
                diary.minute(now, self.usage(now));
            }
            for replica in 0..self.replicas.len() {
                let active = std::mem::take(&mut self.replicas[replica].active);
                for session in &active {
                    waiting -= self.advance(*session, now, diary);
                }
                let wall = self.wall(now);
                let (sessions, sweep) = (&mut self.sessions, self.sweep);
                let keep = |session: &usize| {
                    let session = &mut sessions[*session];
                    let idle = session.immediate.is_empty() && session.batch.is_empty();
                    session.active = !idle || session.slot_since.is_some() || session.wants(wall, sweep);
                    session.active
                };
                self.replicas[replica].active = active.into_iter().filter(keep).collect();
                if self.replicas[replica].changed || (now / STEP).is_multiple_of(CALM) {
                    self.decide(replica, now, diary);
                }
            }
            now += STEP;
        }
        diary.unsent = waiting;
    }

    fn activate(&mut self, index: usize) {
        let session = &mut self.sessions[index];
        let replica = &mut self.replicas[session.replica];
        if !session.active {
            session.active = true;
            replica.active.push(index);
        }
        replica.changed |= session.slot_since.is_none();
    }

    fn find_due(&mut self, now: Time) {
        let wall = self.wall(now);
        let wants = |index: &usize| self.sessions[*index].wants(wall, self.sweep);
        let due: Vec<usize> = (0..self.sessions.len()).filter(wants).collect();
        due.into_iter().for_each(|index| self.activate(index));
    }

    /// Does what a session does until now; tells how many messages it sent.
    fn advance(&mut self, index: usize, now: Time, diary: &mut Diary) -> u64 {
        let wall = self.wall(now);
        let session = &mut self.sessions[index];
        let Replica { changed, short, .. } = &mut self.replicas[session.replica];
        let mut sent = 0;
        match session.phase {
            Phase::Warming { ready } if ready <= now => (session.phase, session.acknowledged) = (Phase::Warm, ready),
            Phase::Draining if session.acknowledged <= now => session.phase = Phase::Closing { gone: now + LEAVE },
            Phase::Closing { gone } if gone <= now => {
                (session.phase, session.slot_since, session.last_visit) = (Phase::Cold, None, Some(wall));
                *changed = true;
            }
            _ => {}
        }
        while session.phase == Phase::Warm && session.acknowledged <= now {
            let queue = if session.immediate.is_empty() { &mut session.batch } else { &mut session.immediate };
            let Some(due) = queue.front().copied() else { break };
            if session.pace.room(uptime(now)) == 0 {
                break;
            }
            queue.pop_front();
            session.pace.spend(self.dice.part());
            // Not before it fell due, nor before the one before it was acknowledged.
            let begun = session.acknowledged.max(due);
            session.acknowledged = begun + self.dice.between(SEND.0, SEND.1);
            session.last_used = Some(now);
            diary.sent(session.kind, due, begun);
            sent += 1;
            *changed |= *short && session.immediate.is_empty() && session.batch.is_empty();
        }
        sent
    }

    fn candidate(&mut self, index: usize, now: Time) -> Candidate {
        let wall = |at: Time| self.start + TimeDelta::milliseconds(at.cast_signed());
        let session = &mut self.sessions[index];
        let oldest = session.immediate.front().into_iter().chain(session.batch.front()).min().copied();
        let pause = session.pace.wait(uptime(now));
        Candidate {
            immediate: session.immediate.len() as u64,
            waiting: (session.immediate.len() + session.batch.len()) as u64,
            oldest: wall(oldest.unwrap_or(now)),
            peak: is_peak(now),
            last_used: session.last_used.map(wall),
            slot_since: session.slot_since.map(wall),
            urgent: session.urgent,
            draining: matches!(session.phase, Phase::Draining | Phase::Closing { .. }),
            pinned: session.kind == Kind::Bot,
            unacknowledged: session.acknowledged > now,
            last_visit: session.last_visit,
            not_before: TimeDelta::from_std(pause).ok().map(|pause| wall(now) + pause),
            ..Candidate::new(session.id, wall(now))
        }
    }

    fn decide(&mut self, replica: usize, now: Time, diary: &mut Diary) {
        let active = self.replicas[replica].active.clone();
        let candidates: Vec<Candidate> = active.iter().map(|index| self.candidate(*index, now)).collect();
        let room = self.replicas[replica].budget.room(uptime(now));
        let (wall, settings) = (self.wall(now), &self.options.settings);
        let decision = choose(&candidates, wall, settings, room);
        self.replicas[replica].changed = false;
        self.replicas[replica].short = decision.why.iter().any(|why| !why.reason.holds_slot());
        let index = |id: &SessionId| (id.uuid().as_u128() - 1) as usize;
        for why in decision.why.iter().filter(|why| decision.drain.contains(&why.session)) {
            let session = &mut self.sessions[index(&why.session)];
            // One that still logs in is told when it is done.
            if session.phase == Phase::Warm {
                session.phase = Phase::Draining;
                diary.left(why.reason, !session.immediate.is_empty() || !session.batch.is_empty());
            }
        }
        for id in &decision.warm {
            let took = self.dice.between(LOGIN.0, LOGIN.1);
            let session = &mut self.sessions[index(id)];
            (session.phase, session.slot_since) = (Phase::Warming { ready: now + took }, Some(now));
            session.urgent = !session.immediate.is_empty();
            self.replicas[replica].budget.spend();
        }
        for candidate in candidates.iter().filter(|candidate| decision.warm.contains(&candidate.session)) {
            let Phase::Warming { ready } = self.sessions[index(&candidate.session)].phase else { continue };
            let works = candidate.has_work(wall, settings);
            let since = (candidate.waits_since() - self.start).num_milliseconds().max(0).cast_unsigned();
            let base = Candidate { oldest: wall, last_visit: None, ..*candidate };
            diary.login(now, works.then(|| (rank(&base, wall, settings).class, since, ready)));
        }
    }

    /// How the slots are used.
    fn usage(&mut self, now: Time) -> [u32; Use::ALL.len()] {
        let mut counts = [0; Use::ALL.len()];
        let wall = self.wall(now);
        let held: Vec<usize> = (0..self.sessions.len()).filter(|index| self.sessions[*index].slot_since.is_some()).collect();
        for index in held {
            let candidate = self.candidate(index, now);
            let base = Candidate { oldest: wall, last_visit: None, ..candidate };
            let rank = rank(&base, wall, &self.options.settings);
            let phase = self.sessions[index].phase;
            let unused = candidate.last_used.is_none_or(|used| candidate.slot_since.is_some_and(|since| used < since));
            let used = match () {
                () if matches!(phase, Phase::Warming { .. } | Phase::Draining | Phase::Closing { .. }) => Use::Changing,
                () if rank.nothing_waits && candidate.pinned => Use::Pinned,
                () if rank.nothing_waits && unused => Use::Visiting,
                () if rank.nothing_waits => Use::Lingering,
                () => match rank.class {
                    Class::Immediate => Use::Immediate,
                    Class::Peak => Use::Peak,
                    Class::HighVolume => Use::HighVolume,
                    Class::Recent | Class::Idle => Use::Other,
                },
            };
            counts[used as usize] += 1;
        }
        counts
    }
}

/// Whether a session left because another needed its slot.
pub(super) fn is_eviction(reason: Reason) -> bool {
    matches!(reason, Reason::Displaced { .. } | Reason::Spent | Reason::MakingRoom | Reason::TooMany)
}
