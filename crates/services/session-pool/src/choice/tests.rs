use std::collections::{HashMap, HashSet};

use barid_domain::SessionId;
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
    Candidate { last_visit: Some(ago(3000)), ..Candidate::new(id(number), now()) }
}

/// Who is connected and who is told to leave, with as many logins as one likes.
fn moves(candidates: &[Candidate], settings: &Settings) -> (Vec<SessionId>, Vec<SessionId>) {
    let decision = choose(candidates, now(), settings, usize::MAX);
    (decision.warm, decision.drain)
}

fn nothing() -> (Vec<SessionId>, Vec<SessionId>) {
    (Vec::new(), Vec::new())
}

fn reason(candidates: &[Candidate], settings: &Settings, logins: usize, number: u128) -> Option<Reason> {
    let decision = choose(candidates, now(), settings, logins);
    decision.why.iter().find(|why| why.session == id(number)).map(|why| why.reason)
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
fn who_had_a_turn_waits_anew() {
    let settings = slots(10);
    let waits = |visit| rank(&Candidate { oldest: ago(500), last_visit: visit, ..waiting(cold(1), 0, 1) }, now(), &settings);
    let by = |candidate| rank(&candidate, now(), &settings);
    assert!(waits(Some(ago(5))) > by(Candidate { oldest: ago(6), ..waiting(cold(2), 0, 1) }), "its old messages earn it nothing");
    assert!(waits(None) < by(Candidate { oldest: ago(6), ..waiting(cold(2), 0, 1) }));
    let in_slot = Candidate { oldest: ago(500), last_visit: None, ..waiting(warm(1, 495), 0, 1) };
    assert_eq!(by(in_slot).class(), Class::Recent, "in a slot nobody waits");
}

#[test]
fn the_least_recently_used_leaves_when_a_slot_is_needed_and_only_then() {
    let settings = slots(4);
    let held = [warm(1, 50), warm(2, 300), warm(3, 100), warm(4, 200)];
    assert_eq!(moves(&held, &settings), nothing());
    let one_more: Vec<Candidate> = held.into_iter().chain([waiting(cold(9), 1, 1)]).collect();
    assert_eq!(moves(&one_more, &settings), (vec![], vec![id(2)]));
    assert_eq!(moves(&one_more[..1], &slots(1)), nothing());
    let leaving: Vec<Candidate> =
        one_more.iter().map(|candidate| Candidate { draining: candidate.session == id(2), ..*candidate }).collect();
    assert_eq!(moves(&leaving, &settings), nothing(), "one that leaves is enough, and its slot is not free before it is gone");
}

#[test]
fn a_few_slots_are_kept_free_of_those_that_only_linger() {
    let held: Vec<Candidate> = (0..40).map(|number| warm(number, 100 + i64::try_from(number).expect("small"))).collect();
    assert_eq!(moves(&held, &slots(40)), (vec![], vec![id(39), id(38)]));
    assert_eq!(moves(&held, &slots(42)), nothing());
}

#[test]
fn a_fifth_of_the_slots_waits_for_immediate_work_however_long_others_waited() {
    let settings = slots(5);
    let batch: Vec<Candidate> = (1..=9).map(|number| Candidate { oldest: ago(900), ..waiting(cold(number), 0, 10) }).collect();
    assert_eq!(moves(&batch, &settings).0.len(), 4);
    assert_eq!(reason(&batch, &settings, usize::MAX, 5), Some(Reason::Reserved));
    let immediate: Vec<Candidate> = (1..=9).map(|number| waiting(cold(number), 1, 10)).collect();
    assert_eq!(moves(&immediate, &settings).0.len(), 5);
}

#[test]
fn immediate_work_uses_its_reserve_until_its_sessions_may_leave() {
    let settings = slots(5);
    let busy = [10, 11, 12].map(|number| waiting(warm(number, 8), 0, 9));
    let done = |urgent| Candidate { urgent, ..warm(13, 2) };
    let promoted = Candidate { oldest: ago(900), ..waiting(cold(1), 0, 1) };
    let with = |done, waiters: &[Candidate]| moves(&[&busy[..], &[done], waiters].concat(), &settings).0;
    assert_eq!(with(done(false), &[promoted]), [], "the fourth of four ordinary ones is still there");
    assert_eq!(with(done(true), &[promoted]), [id(1)], "it is not one of the four");
    assert_eq!(with(done(true), &[promoted, waiting(cold(2), 1, 1)]), [id(1)], "the reserve is in use: who waited longer comes first");
    assert_eq!(with(done(false), &[promoted, waiting(cold(2), 1, 1)]), [id(2)], "the reserve is free");
    assert_eq!(moves(&[&busy[..2], &[promoted, waiting(cold(2), 1, 1)]].concat(), &slots(3)).0, [id(1)], "three slots have no reserve");
}

#[test]
fn immediate_work_takes_slots_from_any_other_and_others_only_from_lower_classes() {
    let settings = slots(2);
    assert_eq!(moves(&[waiting(warm(1, 14), 0, 9), waiting(cold(3), 1, 1)], &slots(1)), nothing(), "it began just now");
    let busy = [waiting(warm(1, 30), 0, 9), Candidate { peak: true, ..waiting(warm(2, 40), 0, 9) }];
    let with = |candidate| moves(&[busy[0], busy[1], candidate], &settings).1;
    assert_eq!(with(waiting(cold(3), 1, 1)), [id(1)], "the least deserving");
    assert_eq!(with(waiting(cold(3), 0, 200)), [id(1)], "high volume");
    assert_eq!(with(waiting(cold(3), 0, 1)), [], "its own class waits for the end of a turn");
    assert_eq!(with(Candidate { oldest: ago(39), ..waiting(cold(3), 0, 1) }), [id(1)], "promoted");
    let promoted = Candidate { oldest: ago(900), ..waiting(warm(1, 30), 0, 9) };
    assert_eq!(rank(&promoted, now(), &settings).class(), Class::Immediate);
    assert_eq!(moves(&[promoted, waiting(cold(3), 1, 1)], &slots(1)).1, [id(1)], "promotion gives precedence, not protection");
}

#[test]
fn pins_take_at_most_half_and_do_not_take_turns() {
    let pinned: Vec<Candidate> = (1..=9).map(|number| Candidate { pinned: true, ..cold(number) }).collect();
    assert_eq!(moves(&pinned, &slots(8)).0.len(), 4);
    assert_eq!(reason(&pinned, &slots(8), usize::MAX, 9), Some(Reason::PinsFull));
    let connected: Vec<Candidate> =
        pinned.iter().enumerate().map(|(index, pin)| Candidate { slot_since: (index > 4).then(|| ago(5000)), ..*pin }).collect();
    assert_eq!(moves(&connected, &slots(8)), nothing());
    let works = waiting(connected[0], 0, 3);
    assert_eq!(moves(&[&[works], &connected[1..]].concat(), &slots(8)).0, [id(1)], "with messages it is as any other");
}

#[test]
fn who_had_its_turn_yields_to_others_that_wait_and_not_to_nobody() {
    let settings = slots(1);
    let spent = waiting(warm(1, 600), 9, 9);
    assert_eq!(moves(&[spent], &settings), nothing());
    assert_eq!(moves(&[spent, waiting(cold(2), 0, 1)], &settings).1, [id(1)]);
    let unacknowledged = Candidate { unacknowledged: true, ..spent };
    assert_eq!(moves(&[unacknowledged, waiting(cold(2), 0, 1)], &settings).1, [id(1)], "it always has something under way");
    let busy = waiting(warm(1, 60), 9, 9);
    assert_eq!(moves(&[busy, waiting(cold(2), 0, 1)], &settings), nothing());
}

#[test]
fn a_session_lingers_and_then_leaves_though_nobody_needs_its_slot() {
    let settings = slots(9);
    assert_eq!(moves(&[Candidate { last_used: Some(ago(599)), ..warm(1, 5000) }], &settings), nothing());
    assert_eq!(moves(&[Candidate { last_used: Some(ago(600)), ..warm(1, 5000) }], &settings).1, [id(1)]);
    let unacknowledged = Candidate { last_used: Some(ago(600)), unacknowledged: true, ..warm(1, 5000) };
    assert_eq!(moves(&[unacknowledged], &settings), nothing());
    let other = waiting(cold(2), 1, 1);
    assert_eq!(moves(&[Candidate { unacknowledged: true, ..warm(1, 14) }, other], &slots(1)), nothing(), "it is at work still");
    assert_eq!(moves(&[Candidate { unacknowledged: true, ..warm(1, 15) }, other], &slots(1)).1, [id(1)], "always something under way");
}

#[test]
fn the_sweep_visits_shortly_who_was_away_for_long_with_a_tenth_of_the_slots() {
    let settings = slots(20);
    let away: Vec<Candidate> =
        (0u32..9).map(|number| Candidate { last_visit: Some(ago(22_000 + 100 * i64::from(number))), ..cold(number.into()) }).collect();
    assert_eq!(moves(&away, &settings).0, [id(8), id(7)], "who was away longest");
    assert_eq!(moves(&[Candidate { last_visit: Some(ago(21_500)), ..cold(1) }], &settings), nothing());
    assert_eq!(moves(&[Candidate { last_visit: None, ..cold(1) }], &settings).0, [id(1)]);
    let visiting = |since| [Candidate { slot_since: Some(ago(since)), ..cold(98) }, Candidate { slot_since: Some(ago(since)), ..cold(99) }];
    assert_eq!(moves(&[&away[..], &visiting(4)].concat(), &settings), nothing());
    assert_eq!(moves(&[&away[..], &visiting(5)].concat(), &settings), (vec![id(8), id(7)], vec![id(99), id(98)]));
    let busy: Vec<Candidate> = (100..116).map(|number| waiting(warm(number, 50), 0, 9)).collect();
    assert_eq!(moves(&[&away[..], &busy].concat(), &settings), nothing(), "not from the reserve");
}

#[test]
fn who_cannot_send_gets_no_slot_and_loses_it_when_it_is_of_no_use() {
    let settings = slots(9);
    for bar in [Bar::Paused, Bar::Stopped, Bar::LoggedOut, Bar::Resting] {
        let barred = |candidate| Candidate { barred: Some(bar), pinned: true, ..waiting(candidate, 5, 5) };
        assert_eq!(moves(&[barred(cold(1))], &settings), nothing());
        assert_eq!(reason(&[barred(cold(1))], &settings, usize::MAX, 1), Some(Reason::Barred(bar)));
        let leaves = matches!(bar, Bar::Stopped | Bar::LoggedOut);
        assert_eq!(moves(&[barred(warm(1, 3))], &settings).1.len(), usize::from(leaves), "{bar}");
        let away = Candidate { last_visit: None, pinned: false, ..barred(cold(1)) };
        assert_eq!(moves(&[away], &settings), nothing(), "not even for a visit");
    }
}

#[test]
fn a_session_held_up_by_its_pace_does_not_connect_and_keeps_a_slot_only_for_a_moment() {
    let paced = |candidate, seconds: i64| Candidate { not_before: Some(ago(-seconds)), ..waiting(candidate, 0, 9) };
    assert_eq!(moves(&[paced(cold(1), 5)], &slots(1)), nothing());
    assert_eq!(reason(&[paced(cold(1), 5)], &slots(1), usize::MAX, 1), Some(Reason::Paced { until: ago(-5) }));
    assert_eq!(moves(&[paced(cold(1), 0)], &slots(1)).0, [id(1)]);
    let other = waiting(cold(2), 0, 1);
    assert_eq!(moves(&[paced(warm(1, 60), 5), other], &slots(1)), nothing());
    assert_eq!(moves(&[paced(warm(1, 60), 6), other], &slots(1)).1, [id(1)]);
}

#[test]
fn logins_go_to_those_that_deserve_them_and_nobody_leaves_for_one_that_may_not_log_in() {
    let waiters = [waiting(cold(1), 0, 1), waiting(cold(2), 1, 1), Candidate { peak: true, ..waiting(cold(3), 0, 1) }];
    let warm_with = |logins| choose(&waiters, now(), &slots(9), logins).warm;
    assert_eq!([warm_with(0), warm_with(1), warm_with(2)], [vec![], vec![id(2)], vec![id(2), id(3)]]);
    assert_eq!(reason(&waiters, &slots(9), 1, 1), Some(Reason::Logins { ahead: 1 }));
    let full: Vec<Candidate> = (10..13).map(|number| warm(number, 100)).chain(waiters).collect();
    let drain_with = |logins| choose(&full, now(), &slots(3), logins).drain.len();
    assert_eq!([drain_with(0), drain_with(1), drain_with(2)], [0, 1, 2]);
}

#[test]
fn fewer_slots_than_before_send_some_away() {
    let held = [warm(1, 50), waiting(warm(2, 300), 0, 1), waiting(warm(3, 30), 1, 1), warm(4, 3)];
    assert_eq!(moves(&held, &slots(2)).1, [id(1), id(2)]);
}

#[test]
fn everybody_with_a_slot_or_a_wish_is_explained() {
    let settings = slots(3);
    let all = [
        waiting(warm(1, 3), 0, 7),
        waiting(warm(2, 50), 4, 4),
        Candidate { pinned: true, ..warm(3, 50) },
        Candidate { oldest: ago(3), ..waiting(cold(4), 1, 1) },
        waiting(cold(5), 1, 1),
        waiting(cold(6), 0, 1),
        Candidate { barred: Some(Bar::Paused), ..waiting(cold(7), 0, 1) },
        cold(8),
    ];
    let decision = choose(&all, now(), &settings, usize::MAX);
    assert_eq!((&decision.warm, &decision.drain), (&vec![], &vec![]));
    let why = |number| decision.why.iter().find(|why| why.session == id(number)).map(|why| why.reason.to_string());
    let expected = [
        (1, "sending: 7 messages wait"),
        (2, "sending: 4 messages wait"),
        (3, "it is pinned"),
        (4, "waiting for a slot: it is next, but none may be taken from others yet"),
        (5, "waiting for a slot: 1 session of its class waited longer"),
        (6, "waiting for a slot: 2 sessions of a higher class"),
        (7, "no slot: it is paused"),
    ];
    for (number, sentence) in expected {
        assert_eq!(why(number).as_deref(), Some(sentence));
    }
    assert_eq!((why(8), decision.why.len()), (None, 7));
    assert_eq!(decision.why.iter().take_while(|why| why.reason.holds_slot()).count(), 3, "those in slots first");
}

prop_compose! {
    fn candidates()(rows in proptest::collection::vec(
        (
            (0u64..3, 0u64..400, 0i64..200, any::<bool>()),
            (proptest::option::of(0i64..1000), proptest::option::of(0i64..300), proptest::option::of(0i64..40_000)),
            (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.1), proptest::option::weighted(0.1, 0usize..4)),
        ),
        0..40,
    ), slots in 1usize..20) -> (Vec<Candidate>, usize) {
        let mut held = 0;
        let candidates = rows.into_iter().enumerate().map(|(number, (work, times, (pinned, unacknowledged, draining, barred)))| {
            let ((immediate, other, waited, peak), (used, since, visit)) = (work, times);
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
                draining: draining && since.is_some(),
                pinned,
                unacknowledged: unacknowledged && since.is_some(),
                last_visit: visit.map(ago),
                barred: barred.map(|bar| [Bar::Paused, Bar::Stopped, Bar::LoggedOut, Bar::Resting][bar]),
                ..cold(number as u128)
            }
        });
        (candidates.collect(), slots)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]
    #[test]
    fn the_rules_hold((mut candidates, slots) in candidates(), logins in 0usize..30) {
        let settings = Settings { slots, ..Settings::default() };
        let decision = choose(&candidates, now(), &settings, logins);
        let known: HashMap<SessionId, Candidate> = candidates.iter().map(|candidate| (candidate.session, *candidate)).collect();
        let warmed: HashSet<SessionId> = decision.warm.iter().copied().collect();
        let drained: HashSet<SessionId> = decision.drain.iter().copied().collect();
        prop_assert!(warmed.len() == decision.warm.len() && drained.len() == decision.drain.len(), "nobody twice");
        let held: Vec<&Candidate> = known.values().filter(|candidate| candidate.slot_since.is_some()).collect();
        let is_new = |candidate: &Candidate| candidate.slot_since.is_some_and(|since| elapsed(since, now()) < settings.min_warm);
        let is_busy = |candidate: &Candidate| candidate.slot_since.is_some_and(|since| elapsed(since, now()) < settings.min_turn);
        let works = |candidate: &Candidate| candidate.waiting > 0 && candidate.barred.is_none();

        prop_assert!(held.len() + warmed.len() <= slots, "never more than the slots");
        prop_assert!(warmed.len() <= logins);
        for session in &decision.warm {
            let candidate = known[session];
            prop_assert!(candidate.slot_since.is_none() && candidate.barred.is_none());
            let away = candidate.last_visit.is_none_or(|visit| elapsed(visit, now()) >= settings.sweep);
            prop_assert!(candidate.waiting > 0 || candidate.pinned || away, "nobody is connected for nothing");
        }
        for session in &decision.drain {
            let candidate = known[session];
            let useless = matches!(candidate.barred, Some(Bar::Stopped | Bar::LoggedOut));
            prop_assert!(candidate.slot_since.is_some() && !candidate.draining);
            prop_assert!(useless || !is_new(&candidate), "min_warm");
            let at_work = works(&candidate) || candidate.unacknowledged;
            prop_assert!(useless || !at_work || !is_busy(&candidate), "min_turn");
        }
        let leaves = |candidate: &Candidate| drained.contains(&candidate.session) || candidate.draining;
        let stays: Vec<&Candidate> = held.iter().copied().filter(|candidate| !leaves(candidate)).collect();
        let is_immediate = |candidate: &Candidate| works(candidate) && candidate.immediate > 0;
        if warmed.iter().any(|session| !is_immediate(&known[session])) {
            let at_work = stays.iter().filter(|candidate| !is_immediate(candidate) && works(candidate)).count();
            let others = warmed.iter().filter(|session| !is_immediate(&known[session])).count();
            prop_assert!(at_work + others <= slots - slots / 5, "the reserve stays free");
        }
        let in_slots = stays.iter().copied().chain(warmed.iter().map(|session| &known[session]));
        let kept = in_slots.filter(|candidate| candidate.pinned && !works(candidate)).count();
        let surplus = held.iter().filter(|candidate| candidate.pinned).count().saturating_sub(slots / 2);
        prop_assert!(kept <= slots / 2 + surplus, "pins");

        // Immediate work waits only for logins, for one that leaves, or while nobody may be asked to leave for it.
        for why in decision.why.iter().filter(|why| matches!(why.reason, Reason::Behind { .. } | Reason::Reserved)) {
            if is_immediate(&known[&why.session]) {
                let may_leave = |candidate: &&&Candidate| {
                    let pinned = candidate.pinned && candidate.barred.is_none();
                    let free = if works(candidate) || candidate.unacknowledged { !is_busy(candidate) } else { !is_new(candidate) };
                    !pinned && !is_immediate(candidate) && free
                };
                prop_assert_eq!(stays.iter().filter(may_leave).count(), 0, "in the way of immediate work");
                prop_assert!(held.len() + warmed.len() == slots);
            }
        }
        // Of those that only linger, the least recently used leave first.
        let lingering = |candidate: &&&Candidate| {
            let used_here = candidate.last_used.zip(candidate.slot_since).is_some_and(|(used, since)| used >= since);
            !works(candidate) && !candidate.pinned && !is_new(candidate) && !candidate.unacknowledged && used_here && !candidate.draining
        };
        let oldest_kept = stays.iter().filter(lingering).filter_map(|candidate| candidate.last_used).min();
        let able = held.iter().filter(|candidate| !candidate.barred.is_some_and(Bar::ends) && drained.contains(&candidate.session));
        let latest_gone = able.filter(lingering).filter_map(|candidate| candidate.last_used).max();
        if let (Some(kept), Some(gone)) = (oldest_kept, latest_gone) {
            prop_assert!(gone <= kept);
        }
        // Whatever order they come in.
        candidates.reverse();
        prop_assert_eq!(&choose(&candidates, now(), &settings, logins), &decision);
        let by = slots.min(candidates.len());
        candidates.rotate_left(by);
        prop_assert_eq!(choose(&candidates, now(), &settings, logins), decision);
    }
}
