//! How few logins could do, for one who knows the whole day beforehand.

use std::collections::{BTreeSet, HashSet};

use super::{
    Options, Time,
    traffic::{Kind, Traffic},
};

const GRID: Time = 60_000;
/// Longest window, in steps of the grid.
const LONGEST: usize = 240;

/// Slots for all but the pins, which are always connected, and how many pins that are.
fn slots(options: &Options, traffic: &Traffic) -> (usize, usize) {
    let pinned = traffic.kinds.iter().filter(|kind| **kind == Kind::Bot).count();
    let pins = pinned.min(options.settings.pins() * options.replicas);
    (options.settings.slots * options.replicas - pins, pins)
}

/// The fewest logins if nobody may wait at all and everything is sent in no time: when a slot is needed, the session leaves that is needed
/// again last (Bélády's MIN, which is optimal). It knows the future and shares the slots among all replicas.
pub(super) fn without_waiting(options: &Options, traffic: &Traffic) -> usize {
    let (slots, pins) = slots(options, traffic);
    let requests: Vec<usize> =
        traffic.arrivals.iter().map(|arrival| arrival.session).filter(|session| traffic.kinds[*session] != Kind::Bot).collect();
    let mut next = vec![usize::MAX; requests.len()];
    let mut seen = vec![usize::MAX; traffic.kinds.len()];
    for (index, session) in requests.iter().enumerate().rev() {
        next[index] = std::mem::replace(&mut seen[*session], index);
    }
    let mut connected: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut logins = pins;
    for (index, session) in requests.iter().enumerate() {
        if !connected.remove(&(index, *session)) {
            logins += 1;
            if connected.len() >= slots {
                connected.pop_last();
            }
        }
        connected.insert((next[index], *session));
    }
    logins
}

/// No schedule in which no session waits longer than `wait` for its slot, and in which the pins are always connected, has fewer logins.
///
/// In a window of time at whose end all messages of `d` sessions must have found them connected, at least `d - k` of these log in, where
/// `k` is the number of slots: no more can have been connected at its beginning. Messages that fall due in the last `wait` of it may be
/// left to the next. The logins of windows that do not overlap add up; of all ways to cut the day, the one that proves most counts. It is
/// what can be proven, not what can be reached: the real optimum lies above.
pub(super) fn lower_bound(options: &Options, traffic: &Traffic, wait: Time) -> usize {
    let (slots, pins) = slots(options, traffic);
    let delay = wait.div_ceil(GRID) as usize;
    // Who has messages in each step; once in a step is enough.
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for arrival in traffic.arrivals.iter().filter(|arrival| traffic.kinds[arrival.session] != Kind::Bot) {
        let step = (arrival.at / GRID) as usize;
        steps.resize(steps.len().max(step + 1), Vec::new());
        steps[step].push(arrival.session);
    }
    for step in &mut steps {
        step.sort_unstable();
        step.dedup();
    }
    let end = steps.len() + delay;
    // The most logins that windows up to a step prove; the first slots are filled by logins too, for nobody is connected at midnight.
    let mut proven = vec![0; end + 1];
    for from in 0..steps.len() {
        proven[from + 1] = proven[from + 1].max(proven[from]);
        let mut seen: HashSet<usize> = HashSet::new();
        for (length, step) in steps[from..].iter().take(LONGEST).enumerate() {
            seen.extend(step);
            let free = if from == 0 { 0 } else { slots };
            let to = (from + length + 1 + delay).min(end);
            proven[to] = proven[to].max(proven[from] + seen.len().saturating_sub(free));
        }
    }
    proven.into_iter().max().unwrap_or_default() + pins
}
