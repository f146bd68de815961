//! The rules over time: a pool in small, under whatever load proptest thinks of.

use std::{collections::HashMap, time::Duration};

use barid_domain::SessionId;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// How a session's messages come: so many every so often, beginning at some second.
#[derive(Clone, Copy, Debug)]
struct Habit {
    immediate: bool,
    peak: bool,
    pinned: bool,
    count: u64,
    every: i64,
    from: i64,
}

#[derive(Clone, Copy, Debug)]
struct Nature {
    /// Seconds until a write is acknowledged, until a session that was told to leave is gone, and messages a second.
    ack: i64,
    leave: i64,
    speed: u64,
}

struct Session {
    habit: Habit,
    candidate: Candidate,
    due: std::collections::VecDeque<DateTime<Utc>>,
    acked: DateTime<Utc>,
    gone: Option<DateTime<Utc>>,
}

/// What happened.
#[derive(Default)]
struct Story {
    logins: usize,
    most_held: usize,
    /// The longest that a session with immediate messages, and any session, waited for a slot.
    immediate: i64,
    longest: i64,
    shortest_stay: Option<i64>,
    sent: u64,
    left: u64,
}

fn play(habits: &[Habit], nature: Nature, settings: &Settings, seconds: i64) -> Story {
    let start = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).expect("a time");
    let mut story = Story::default();
    let mut sessions: Vec<Session> = (0u128..)
        .zip(habits)
        .map(|(number, habit)| {
            let id = SessionId::from_uuid(Uuid::from_u128(number));
            let candidate = Candidate { peak: habit.peak, pinned: habit.pinned, last_visit: Some(start), ..Candidate::new(id, start) };
            Session { habit: *habit, candidate, due: Default::default(), acked: start, gone: None }
        })
        .collect();
    for second in 0..seconds {
        let now = start + TimeDelta::seconds(second);
        for session in &mut sessions {
            let Session { habit, candidate, due, acked, gone } = session;
            if second >= habit.from && (second - habit.from) % habit.every == 0 {
                due.extend((0..habit.count).map(|_| now));
            }
            if candidate.draining && !candidate.unacknowledged && gone.is_none() {
                *gone = Some(now + TimeDelta::seconds(nature.leave));
            }
            if gone.is_some_and(|gone| gone <= now) {
                (candidate.slot_since, candidate.draining, candidate.last_visit, *gone) = (None, false, Some(now), None);
            }
            if candidate.slot_since.is_some() && !candidate.draining && !due.is_empty() {
                for _ in 0..nature.speed.min(due.len() as u64) {
                    due.pop_front();
                    story.sent += 1;
                }
                candidate.last_used = Some(now);
                *acked = now + TimeDelta::seconds(nature.ack);
            }
            candidate.unacknowledged = *acked > now;
            candidate.waiting = due.len() as u64;
            candidate.immediate = if habit.immediate { candidate.waiting } else { 0 };
            candidate.oldest = due.front().copied().unwrap_or(now);
        }
        let candidates: Vec<Candidate> = sessions.iter().map(|session| session.candidate).collect();
        let decision = choose(&candidates, now, settings, usize::MAX);
        let index: HashMap<SessionId, usize> = candidates.iter().enumerate().map(|(index, candidate)| (candidate.session, index)).collect();
        for session in &decision.drain {
            let candidate = &mut sessions[index[session]].candidate;
            candidate.draining = true;
            let stay = (now - candidate.slot_since.expect("it holds a slot")).num_seconds();
            story.shortest_stay = Some(story.shortest_stay.map_or(stay, |shortest| shortest.min(stay)));
        }
        for session in &mut sessions {
            let candidate = &mut session.candidate;
            if candidate.slot_since.is_none() && candidate.waiting > 0 {
                // Counted while it waits, so that one who never gets a slot is counted too.
                let waited = (now - candidate.waits_since()).num_seconds();
                story.longest = story.longest.max(waited);
                story.immediate = story.immediate.max(if session.habit.immediate { waited } else { 0 });
            }
            if decision.warm.contains(&candidate.session) {
                (candidate.slot_since, candidate.urgent) = (Some(now), candidate.immediate > 0);
                story.logins += 1;
            }
        }
        story.most_held = story.most_held.max(sessions.iter().filter(|session| session.candidate.slot_since.is_some()).count());
    }
    story.left = sessions.iter().map(|session| session.due.len() as u64).sum();
    story
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

fn habit() -> impl Strategy<Value = Habit> {
    let pinned = prop::bool::weighted(0.2);
    (any::<bool>(), prop::bool::weighted(0.3), pinned, 1u64..300, 1i64..200, 0i64..300)
        .prop_map(|(immediate, peak, pinned, count, every, from)| Habit { immediate, peak, pinned, count, every, from })
}

fn nature() -> impl Strategy<Value = Nature> {
    (0i64..4, 0i64..3, 1u64..5).prop_map(|(ack, leave, speed)| Nature { ack, leave, speed })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    /// What the doc of `choose` promises.
    #[test]
    fn nobody_waits_longer_than_promised_and_nothing_flutters(
        habits in proptest::collection::vec(habit(), 1..24), nature in nature(), slots in 1usize..9,
        min_warm in 1i64..12, turn in 0i64..10, hold in 0i64..30,
    ) {
        let (max_wait, max_hold) = (5, min_warm + turn + hold);
        let settings = Settings {
            slots,
            max_wait: seconds(max_wait),
            min_warm: seconds(min_warm),
            min_turn: seconds(min_warm + turn),
            max_hold: seconds(max_hold),
            linger: seconds(40),
            sweep: seconds(300),
            ..Settings::default()
        };
        let lasts = 1500;
        let story = play(&habits, nature, &settings, lasts);
        prop_assert!(story.most_held <= slots);
        prop_assert!(story.shortest_stay.is_none_or(|stay| stay >= min_warm), "{:?}", story.shortest_stay);
        prop_assert!(story.logins as i64 <= slots as i64 * (lasts / min_warm + 1), "{} logins", story.logins);

        let others = settings.ordinary() - settings.pins();
        let turns = habits.len().div_ceil(others) as i64;
        let bound = 3 * max_wait + turns * (max_hold + nature.ack + nature.leave + 2);
        prop_assert!(story.longest <= bound, "{} of {bound}", story.longest);
    }

    /// Immediate sessions, as few as the reserve has slots, beside a flood of others.
    #[test]
    fn others_do_not_keep_immediate_work_waiting(
        flood in proptest::collection::vec(habit(), 20..40), immediate in proptest::collection::vec(habit(), 2),
        nature in nature(), min_turn in 3i64..12,
    ) {
        let settings = Settings {
            slots: 10,
            min_warm: seconds(3),
            min_turn: seconds(min_turn),
            max_hold: seconds(60),
            max_wait: seconds(5),
            ..Settings::default()
        };
        let flood = flood.into_iter().map(|habit| Habit { immediate: false, pinned: false, ..habit });
        let immediate = immediate.into_iter().map(|habit| Habit { immediate: true, pinned: false, ..habit });
        let story = play(&flood.chain(immediate).collect::<Vec<_>>(), nature, &settings, 1000);
        let bound = min_turn + nature.ack + nature.leave + 2;
        prop_assert!(story.immediate <= bound, "{} of {bound}", story.immediate);
    }

    /// As many sessions as there are slots for: each logs in once and stays.
    #[test]
    fn without_need_nobody_changes(habits in proptest::collection::vec(habit(), 1..9), nature in nature()) {
        let settings = Settings { slots: 10, linger: seconds(2000), ..Settings::default() };
        let habits: Vec<Habit> = habits.into_iter().map(|habit| Habit { pinned: false, ..habit }).take(8).collect();
        let story = play(&habits, nature, &settings, 1000);
        prop_assert!(story.logins <= habits.len(), "{} logins of {} sessions", story.logins, habits.len());
        prop_assert_eq!(story.shortest_stay, None);
    }
}

/// Two that never end and one with a single message: the two must not pass the slot to each other.
#[test]
fn endless_work_lets_others_in() {
    let endless = Habit { immediate: false, peak: false, pinned: false, count: 1000, every: 10, from: 0 };
    let modest = Habit { count: 1, every: 5000, from: 100, ..endless };
    let nature = Nature { ack: 1, leave: 1, speed: 1 };
    let story = play(&[endless, endless, endless, modest], nature, &Settings { slots: 1, ..Settings::default() }, 2000);
    assert!(story.longest <= 3 * 20 + 4 * (120 + 4), "{}", story.longest);
    assert!(story.logins <= 20, "{}", story.logins);
}

/// Work that fits ends, and is all sent.
#[test]
fn what_fits_is_sent() {
    let habits: Vec<Habit> = (0..30)
        .map(|number| Habit { immediate: number % 3 == 0, peak: false, pinned: false, count: 5, every: 300, from: number * 7 })
        .collect();
    let story = play(&habits, Nature { ack: 1, leave: 1, speed: 5 }, &Settings { slots: 5, ..Settings::default() }, 900);
    assert!((420..=450).contains(&story.sent), "{}", story.sent);
    assert!(story.left <= 15, "{}", story.left);
}

/// A message a second: nothing waits whenever one looks, and always something is unacknowledged.
#[test]
fn a_trickle_lets_others_in() {
    let trickle = Habit { immediate: false, peak: false, pinned: false, count: 1, every: 1, from: 0 };
    let story = play(&[trickle, trickle], Nature { ack: 1, leave: 0, speed: 2 }, &Settings { slots: 1, ..Settings::default() }, 1000);
    assert!(story.longest <= 3 * 20 + 2 * (120 + 3), "{}", story.longest);
}
