use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

fn id(number: u128) -> SessionId {
    SessionId::from_uuid(Uuid::from_u128(number))
}

fn cold(number: u128) -> Candidate {
    Candidate {
        session: id(number),
        immediate: 0,
        waiting: 0,
        oldest: now(),
        peak: false,
        last_used: None,
        slot_since: None,
        pinned: false,
        unacknowledged: false,
    }
}

fn warm(number: u128, since: i64) -> Candidate {
    Candidate { slot_since: Some(ago(since)), last_used: Some(ago(since)), ..cold(number) }
}

fn waiting(candidate: Candidate, immediate: u64, waiting: u64) -> Candidate {
    Candidate { immediate, waiting, oldest: ago(1), ..candidate }
}

fn slots(slots: usize) -> Settings {
    Settings { slots, ..Settings::default() }
}

#[test]
fn the_classes_stand_in_their_order() {
    let settings = slots(10);
    let order = [
        waiting(cold(5), 1, 1),
        Candidate { peak: true, ..waiting(cold(4), 0, 1) },
        waiting(cold(3), 0, 500),
        waiting(cold(2), 0, 1),
        Candidate { last_used: Some(ago(5)), ..cold(1) },
        Candidate { last_used: Some(ago(60)), ..cold(8) },
        Candidate { last_used: Some(ago(5000)), peak: true, ..cold(7) },
        cold(6),
    ];
    assert!(order.map(|candidate| rank(&candidate, now(), &settings)).is_sorted());
}

#[test]
fn waiting_promotes_by_a_class_each_time() {
    let settings = slots(10);
    let waits = |seconds| rank(&Candidate { oldest: ago(seconds), ..waiting(cold(1), 0, 1) }, now(), &settings).class;
    assert_eq!(
        [waits(19), waits(20), waits(40), waits(60), waits(9000)],
        [Class::Recent, Class::HighVolume, Class::Peak, Class::Immediate, Class::Immediate]
    );
}

#[test]
fn the_least_recently_used_leaves_when_a_slot_is_needed_and_only_then() {
    let settings = slots(4);
    let held = [warm(1, 50), warm(2, 300), warm(3, 100), warm(4, 200)];
    assert_eq!(choose(&held, now(), &settings), Decision::default());
    let one_more: Vec<Candidate> = held.into_iter().chain([waiting(cold(9), 1, 1)]).collect();
    assert_eq!(choose(&one_more, now(), &settings), Decision { warm: vec![], drain: vec![id(2)] });
    assert_eq!(choose(&one_more[..1], now(), &slots(1)), Decision::default());
}

#[test]
fn a_fifth_of_the_slots_waits_for_immediate_work() {
    let settings = slots(5);
    let batch: Vec<Candidate> = (1..=9).map(|number| waiting(cold(number), 0, 10)).collect();
    assert_eq!(choose(&batch, now(), &settings).warm.len(), 4);
    let immediate: Vec<Candidate> = (1..=9).map(|number| waiting(cold(number), 1, 10)).collect();
    assert_eq!(choose(&immediate, now(), &settings).warm.len(), 5);
}

#[test]
fn pins_take_at_most_half() {
    let pinned: Vec<Candidate> = (1..=9).map(|number| Candidate { pinned: true, ..cold(number) }).collect();
    assert_eq!(choose(&pinned, now(), &slots(8)).warm.len(), 4);
}

#[test]
fn who_had_its_turn_yields_to_others_that_wait_and_not_to_nobody() {
    let settings = slots(1);
    let spent = waiting(warm(1, 600), 9, 9);
    assert_eq!(choose(&[spent], now(), &settings), Decision::default());
    assert_eq!(choose(&[spent, waiting(cold(2), 0, 1)], now(), &settings).drain, [id(1)]);
    let busy = waiting(warm(1, 60), 9, 9);
    assert_eq!(choose(&[busy, waiting(cold(2), 0, 1)], now(), &settings), Decision::default());
}

prop_compose! {
    fn candidates()(rows in proptest::collection::vec(
        (0u64..3, 0u64..400, 0i64..200, any::<bool>(), proptest::option::of(0i64..1000), proptest::option::of(0i64..300), prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
        0..40,
    ), slots in 1usize..20) -> (Vec<Candidate>, usize) {
        let mut held = 0;
        let candidates = rows.into_iter().enumerate().map(|(number, (immediate, other, waited, peak, used, since, pinned, unacknowledged))| {
            let since = since.filter(|_| held < slots);
            held += usize::from(since.is_some());
            let other = if number % 3 == 0 { 0 } else { other };
            let immediate = if number % 2 == 0 { 0 } else { immediate };
            Candidate {
                immediate,
                waiting: immediate + other,
                oldest: ago(waited),
                peak,
                last_used: used.map(ago),
                slot_since: since.map(ago),
                pinned,
                unacknowledged: unacknowledged && since.is_some(),
                ..cold(number as u128)
            }
        });
        (candidates.collect(), slots)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_rules_hold((candidates, slots) in candidates()) {
        let settings = Settings { slots, ..Settings::default() };
        let decision = choose(&candidates, now(), &settings);
        let known: HashMap<SessionId, &Candidate> = candidates.iter().map(|candidate| (candidate.session, candidate)).collect();
        let (warmed, drained): (HashSet<_>, HashSet<_>) = (decision.warm.iter().copied().collect(), decision.drain.iter().copied().collect());
        prop_assert!(warmed.len() == decision.warm.len() && drained.len() == decision.drain.len());
        let held: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.slot_since.is_some()).collect();
        let stays = |candidate: &Candidate| candidate.unacknowledged || candidate.slot_since.is_some_and(|since| elapsed(since, now()) < settings.min_warm);
        let class = |candidate: &Candidate| rank(candidate, now(), &settings).class;

        prop_assert!(held.len() + warmed.len() <= slots, "never more than the slots");
        for session in &decision.warm {
            let candidate = known[session];
            prop_assert!(candidate.slot_since.is_none());
            prop_assert!(candidate.waiting > 0 || candidate.pinned, "nobody is connected for nothing");
        }
        for session in &decision.drain {
            prop_assert!(known[session].slot_since.is_some() && !stays(known[session]), "min_warm, and what is not acknowledged");
        }
        let after: Vec<&Candidate> = candidates.iter()
            .filter(|candidate| (candidate.slot_since.is_some() && !drained.contains(&candidate.session)) || warmed.contains(&candidate.session))
            .collect();
        let ordinary = after.iter().filter(|candidate| class(candidate) != Class::Immediate && !stays(candidate)).count();
        prop_assert!(ordinary <= slots - slots / 5, "the reserve stays free");

        // Immediate work waits only while every slot is held by what may not leave, by immediate work, or by pins.
        let unserved = candidates.iter().filter(|candidate| candidate.immediate > 0 && candidate.slot_since.is_none() && !warmed.contains(&candidate.session)).count();
        if unserved > 0 {
            prop_assert!(held.len() + warmed.len() == slots);
            let in_the_way = after.iter().filter(|candidate| class(candidate) != Class::Immediate && !stays(candidate) && !candidate.pinned).count();
            prop_assert!(in_the_way == 0 || drained.len() >= unserved, "{in_the_way} in the way of {unserved}");
        }
        // Of those that only linger, the least recently used leave first.
        let lingering = |candidate: &&&Candidate| candidate.waiting == 0 && !candidate.pinned && !stays(candidate);
        let oldest_kept = after.iter().filter(lingering).filter_map(|candidate| candidate.last_used).min();
        let latest_gone = held.iter().filter(lingering).filter(|candidate| drained.contains(&candidate.session)).filter_map(|candidate| candidate.last_used).max();
        if let (Some(kept), Some(gone)) = (oldest_kept, latest_gone) {
            prop_assert!(gone <= kept);
        }
    }
}

/// Two slots, twenty sessions: most have immediate messages all the time, a few have a batch now and then.
#[test]
fn nobody_starves() {
    let settings = Settings { max_hold: Duration::from_secs(30), ..slots(2) };
    let mut sessions: Vec<Candidate> =
        (0..20).map(|number| if number < 15 { waiting(cold(number), 1, 1) } else { waiting(cold(number), 0, 5) }).collect();
    let mut served: HashMap<SessionId, DateTime<Utc>> = HashMap::new();
    let mut time = now();
    let mut longest = TimeDelta::zero();
    for _ in 0..20_000 {
        time += TimeDelta::seconds(1);
        let decision = choose(&sessions, time, &settings);
        for session in &mut sessions {
            if decision.drain.contains(&session.session) {
                session.slot_since = None;
            }
            if decision.warm.contains(&session.session) {
                session.slot_since = Some(time);
                longest = longest.max(time - served.get(&session.session).copied().unwrap_or_else(now));
            }
            if session.slot_since.is_some() {
                // What waited is sent, and at once the next message comes.
                session.last_used = Some(time);
                session.oldest = time;
                served.insert(session.session, time);
            }
        }
        assert!(sessions.iter().filter(|session| session.slot_since.is_some()).count() <= 2);
    }
    assert_eq!(served.len(), 20);
    // Ten rounds of two, each at most the thirty seconds that a session may hold its slot and a moment to change.
    assert!(longest <= TimeDelta::seconds(10 * 33), "{longest}");
}
