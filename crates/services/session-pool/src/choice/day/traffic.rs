//! Who sends what, and when.

use super::{DAY, Dice, HOUR, Options, Time};

/// What kind of business a session is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Answers customers at once, and is pinned: one in fifty.
    Bot,
    /// Sends campaigns of thousands, and receipts: one in two hundred.
    Big,
    /// A till: a receipt for each customer, immediate: three in twenty.
    Shop,
    /// A few invoices now and then, as a batch: the rest.
    Small,
}

/// Messages that fall due together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub at: Time,
    pub session: usize,
    pub count: u32,
    pub immediate: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Traffic {
    pub kinds: Vec<Kind>,
    /// In their order.
    pub arrivals: Vec<Arrival>,
}

/// Lunch and evening: from, to, and how many times busier.
pub(super) const PEAKS: [(Time, Time, f64); 2] = [(12 * HOUR, 14 * HOUR, 4.0), (18 * HOUR, 21 * HOUR, 3.0)];

/// Whether businesses are in their peak windows.
pub(super) fn is_peak(at: Time) -> bool {
    PEAKS.iter().any(|(from, to, _)| (*from..*to).contains(&at))
}

/// How busy an hour is against the usual.
fn busy(at: Time) -> f64 {
    let peak = PEAKS.iter().find(|(from, to, _)| (*from..*to).contains(&at));
    match (peak, at / HOUR) {
        (Some((.., times)), _) => *times,
        (None, 0..6) => 0.05,
        (None, 6..8 | 22..24) => 0.3,
        (None, _) => 1.0,
    }
}

impl Traffic {
    pub(super) fn new(options: &Options) -> Self {
        let kind = |session| match () {
            () if session % 50 == 0 => Kind::Bot,
            () if session % 200 == 1 => Kind::Big,
            () if session % 20 < 5 && session % 20 > 1 => Kind::Shop,
            () => Kind::Small,
        };
        let kinds: Vec<Kind> = (0..options.sessions).map(kind).collect();
        let mut dice = Dice(options.seed);
        let mut arrivals = Vec::new();
        for (session, kind) in kinds.iter().enumerate() {
            let mut add = |at, count, immediate| arrivals.push(Arrival { at, session, count, immediate });
            // Groups an hour when nothing is special, and messages in a group.
            let (often, count, immediate) = match kind {
                Kind::Bot => (40.0, (1, 2), true),
                Kind::Big => (30.0, (1, 1), true),
                Kind::Shop => (5.0, (1, 1), true),
                Kind::Small => (0.25, (1, 8), false),
            };
            let often: f64 = often * options.load;
            // A Poisson process, thinned to the hour's pace.
            let most = often * 4.0;
            let mut at = 0.0;
            loop {
                at += -(1.0 - dice.part()).ln() / most * HOUR as f64;
                let time = at as Time;
                if time >= DAY {
                    break;
                }
                if dice.part() * 4.0 < busy(time) {
                    add(time, u32::try_from(dice.between(count.0, count.1)).unwrap_or(1), immediate);
                }
            }
            if *kind == Kind::Big {
                for hour in [8, 12, 18] {
                    let count = (dice.between(300, 1500) as f64 * options.load) as u32;
                    add(hour * HOUR + dice.between(0, HOUR / 2), count.max(1), false);
                }
            }
        }
        arrivals.sort_by_key(|arrival| (arrival.at, arrival.session, arrival.immediate));
        Self { kinds, arrivals }
    }
}

impl Kind {
    pub(super) fn messages_per_minute(self) -> u32 {
        match self {
            Self::Bot | Self::Big => 180,
            Self::Shop | Self::Small => 60,
        }
    }
}
