//! What happened in the day.

use std::time::Duration;

use serde::Serialize;

use super::{
    super::{Class, Reason},
    DAY, Options, Time, optimum,
    pool::is_eviction,
    traffic::{Kind, Traffic},
};

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Immediate,
    Peak,
    HighVolume,
    Other,
    Pinned,
    Visiting,
    Changing,
    Lingering,
}

impl Use {
    pub(super) const ALL: [Self; 8] =
        [Self::Immediate, Self::Peak, Self::HighVolume, Self::Other, Self::Pinned, Self::Visiting, Self::Changing, Self::Lingering];
}

pub(super) const CLASSES: [(Class, &str); 4] =
    [(Class::Immediate, "immediate"), (Class::Peak, "peak window"), (Class::HighVolume, "high volume"), (Class::Recent, "other")];

/// How something is spread, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    pub count: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<Time>) -> Self {
        values.sort_unstable();
        let at = |part: f64| {
            let index = (values.len() as f64 * part) as usize;
            values.get(index.min(values.len().saturating_sub(1))).map_or(0.0, |value| *value as f64 / 1000.0)
        };
        Self { count: values.len(), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

/// One minute of the day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Minute {
    /// Slots by use, in the order of the picture's legend.
    pub slots: [u32; 8],
    /// Logins for messages and pins, and visits.
    pub logins: u32,
    pub visits: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub sessions: usize,
    pub replicas: usize,
    pub slots: usize,
    pub seed: u64,
    pub sent: usize,
    pub unsent: u64,
    /// From the moment a session without a slot had messages until it was logged in, by class.
    pub slot_waits: Vec<(&'static str, Spread)>,
    /// From the moment a message was due until it was written, by kind of session; its pace included.
    pub message_waits: Vec<(&'static str, Spread)>,
    /// For messages and pins.
    pub logins: usize,
    /// The fewest logins of one who knows the day beforehand and lets nobody wait.
    pub optimum: usize,
    /// How many times as many there were.
    pub ratio: f64,
    /// What is proven of any schedule in which nobody waits longer than here.
    pub lower_bound: usize,
    pub visits: usize,
    /// Sessions that left because others needed their slots, of these at work; and those that had nothing more to do.
    pub evictions: usize,
    pub interrupted: usize,
    pub finished: usize,
    pub most_slots: u32,
    #[serde(skip)]
    pub max_wait: Duration,
    #[serde(skip)]
    pub minutes: Vec<Minute>,
    /// When a wait began, its class, and how long it was.
    #[serde(skip)]
    pub(super) waits: Vec<(Time, Class, Time)>,
}

#[derive(Debug, Default)]
pub(super) struct Diary {
    waits: Vec<(Time, Class, Time)>,
    messages: Vec<(Kind, Time)>,
    logins: usize,
    visits: usize,
    evictions: usize,
    interrupted: usize,
    finished: usize,
    pub unsent: u64,
    minutes: Vec<Minute>,
}

impl Diary {
    pub(super) fn minute(&mut self, at: Time, slots: [u32; 8]) {
        let minute = self.at(at);
        minute.slots = slots;
    }

    fn at(&mut self, at: Time) -> &mut Minute {
        let index = (at / 60_000) as usize;
        self.minutes.resize(self.minutes.len().max(index + 1), Minute::default());
        &mut self.minutes[index]
    }

    pub(super) fn sent(&mut self, kind: Kind, due: Time, begun: Time) {
        self.messages.push((kind, begun - due));
    }

    /// A login: for messages of this class that waited since then, and are served from then.
    pub(super) fn login(&mut self, now: Time, work: Option<(Class, Time, Time)>) {
        if let Some((class, since, ready)) = work {
            self.waits.push((since, class, ready - since));
            self.logins += 1;
            self.at(now).logins += 1;
        } else {
            self.visits += 1;
            self.at(now).visits += 1;
        }
    }

    pub(super) fn left(&mut self, reason: Reason, worked: bool) {
        self.evictions += usize::from(is_eviction(reason));
        self.interrupted += usize::from(is_eviction(reason) && worked);
        self.finished += usize::from(!is_eviction(reason));
    }

    pub(super) fn report(self, options: &Options, traffic: &Traffic) -> Report {
        let waits_of = |class| Spread::of(self.waits.iter().filter(|(_, of, _)| *of == class).map(|(.., wait)| *wait).collect());
        let kinds = [(Kind::Bot, "bots"), (Kind::Big, "big"), (Kind::Shop, "shops"), (Kind::Small, "small")];
        let messages_of = |kind| Spread::of(self.messages.iter().filter(|(of, _)| *of == kind).map(|(_, wait)| *wait).collect());
        let longest = self.waits.iter().map(|(.., wait)| *wait).max().unwrap_or_default();
        let lower_bound = optimum::lower_bound(options, traffic, longest);
        let optimum = optimum::without_waiting(options, traffic);
        let mut minutes = self.minutes;
        minutes.truncate((DAY / 60_000) as usize);
        Report {
            sessions: options.sessions,
            replicas: options.replicas,
            slots: options.settings.slots * options.replicas,
            seed: options.seed,
            sent: self.messages.len(),
            unsent: self.unsent,
            slot_waits: CLASSES.map(|(class, name)| (name, waits_of(class))).to_vec(),
            message_waits: kinds.map(|(kind, name)| (name, messages_of(kind))).to_vec(),
            logins: self.logins,
            optimum,
            ratio: self.logins as f64 / optimum.max(1) as f64,
            lower_bound,
            visits: self.visits,
            evictions: self.evictions,
            interrupted: self.interrupted,
            finished: self.finished,
            most_slots: minutes.iter().map(|minute| minute.slots.iter().sum()).max().unwrap_or_default(),
            max_wait: options.settings.max_wait,
            minutes,
            waits: self.waits,
        }
    }
}
