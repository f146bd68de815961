use proptest::prelude::*;

use super::*;

fn every_standing() -> impl Iterator<Item = Standing> {
    State::ALL.into_iter().flat_map(|state| {
        (0..4).flat_map(move |attempt| {
            let standing = move |failures| Standing { state, attempt, failures, dead_letter: state == State::Failed, played: false };
            let played = (state == State::Read).then(|| Standing { played: true, ..standing(0) });
            (0..MAX_FAILURES).map(standing).chain(played)
        })
    })
}

fn every_fact() -> Vec<Fact> {
    let mut facts = vec![
        Fact::Due,
        Fact::Deferred,
        Fact::Claimed,
        Fact::Repeated,
        Fact::Sent,
        Fact::Delivered,
        Fact::Read,
        Fact::Played,
        Fact::Cancelled,
        Fact::Expired,
        Fact::GivenUp,
        Fact::Redriven,
        Fact::Rejected { retry: true },
        Fact::Rejected { retry: false },
    ];
    for attempt in 0..5 {
        facts.extend([
            Fact::AttemptFailed { attempt },
            Fact::Dead { attempt },
            Fact::Returned { attempt },
            Fact::Uncertain { attempt },
            Fact::FellBack { attempt },
        ]);
    }
    facts
}

/// (standing, fact, the standings it leads through), over everything there is.
fn every_step() -> impl Iterator<Item = (Standing, Fact, Vec<Standing>)> {
    every_standing().flat_map(|from| every_fact().into_iter().map(move |fact| (from, fact, follow(from, fact))))
}

#[test]
fn what_was_taken_is_never_untaken_except_by_a_rejection_before_delivery() {
    for (from, fact, path) in every_step() {
        if from.state.is_taken() {
            for to in path {
                let rejected = matches!(fact, Fact::Rejected { .. }) && from.state == State::Sent;
                let further = to.state > from.state || (to.state == from.state && to.played && !from.played);
                assert!(rejected || (to.state.is_taken() && further), "{from:?} {fact:?} {to:?}");
            }
        }
    }
}

#[test]
fn a_receipt_beats_every_state_but_a_later_receipt() {
    for from in every_standing() {
        for (fact, told) in
            [(Fact::Sent, State::Sent), (Fact::Delivered, State::Delivered), (Fact::Read, State::Read), (Fact::Played, State::Read)]
        {
            let last = follow(from, fact).last().map_or(from.state, |to| to.state);
            let expected = if from.state.is_taken() { from.state.max(told) } else { told };
            assert_eq!(last, expected, "{from:?} {fact:?}");
        }
    }
}

#[test]
fn every_step_on_the_way_is_told() {
    let sending = Standing { state: State::Sending, attempt: 1, failures: 0, dead_letter: false, played: false };
    let states = |from, fact| follow(from, fact).into_iter().map(|to| to.state).collect::<Vec<_>>();
    assert_eq!(states(sending, Fact::Read), [State::Sent, State::Delivered, State::Read]);
    assert_eq!(states(Standing { state: State::Sent, ..sending }, Fact::Read), [State::Delivered, State::Read]);
    assert_eq!(states(Standing { state: State::Read, ..sending }, Fact::Delivered), []);
    assert_eq!(states(sending, Fact::Played), [State::Sent, State::Delivered, State::Read, State::Read]);
}

#[test]
fn what_was_played_was_read_and_is_told_once() {
    for from in every_standing() {
        let path = follow(from, Fact::Played);
        let end = *path.last().unwrap_or(&from);
        assert_eq!((end.state, end.played, end.dead_letter), (State::Read, true, false), "{from:?}");
        assert_eq!(path.iter().filter(|to| to.played).count(), usize::from(!from.played));
        assert!(path.iter().rev().skip(1).all(|to| !to.played), "a step on the way tells of playing: {path:?}");
    }
}

#[test]
fn only_what_is_uncertain_is_repeated_and_that_costs_no_retry() {
    for (from, fact, path) in every_step() {
        let again = path.iter().any(|to| to.state == State::Sending);
        let dead = from.dead_letter && fact == Fact::FellBack { attempt: from.attempt };
        assert_eq!(again, dead || matches!((from.state, fact), (State::Queued, Fact::Claimed) | (State::Uncertain, Fact::Repeated)));
        if fact == Fact::Repeated && again {
            assert_eq!(path, [Standing { state: State::Sending, attempt: from.attempt + 1, ..from }]);
        }
    }
}

#[test]
fn repeats_wait_longer_each_time_and_a_minute_at_most() {
    let waits: Vec<u64> = (1..12).map(|attempt| repeat_after(attempt).as_secs()).collect();
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    assert_eq!(repeat_after(u32::MAX), Duration::from_secs(60));
}

#[test]
fn the_same_fact_twice_changes_nothing_more() {
    for (_, fact, path) in every_step() {
        // A second claim, failure, re-drive or deferral is another event; a fact that names its attempt, or a receipt, is the same one.
        if let (Some(&to), false) = (path.last(), matches!(fact, Fact::Rejected { retry: true } | Fact::Deferred)) {
            let again = follow(to, fact);
            let stays_current = matches!(to.state, State::Sending | State::Uncertain);
            assert!(again.is_empty() || stays_current, "{fact:?} {to:?} {again:?}");
        }
    }
}

#[test]
fn commands_of_another_attempt_change_nothing() {
    for (from, fact, path) in every_step() {
        if let Fact::AttemptFailed { attempt }
        | Fact::Dead { attempt }
        | Fact::Returned { attempt }
        | Fact::Uncertain { attempt }
        | Fact::FellBack { attempt } = fact
            && attempt != from.attempt
        {
            assert!(path.is_empty(), "{from:?} {fact:?}");
        }
    }
}

#[test]
fn attempts_only_rise_and_dead_letters_have_failed() {
    for (from, fact, path) in every_step() {
        for to in path {
            assert!(to.attempt >= from.attempt);
            assert_eq!(to.attempt, from.attempt + u32::from(matches!(fact, Fact::Claimed | Fact::Repeated | Fact::FellBack { .. })));
            assert!(!to.dead_letter || to.state == State::Failed);
            assert!(to.failures <= MAX_FAILURES);
        }
    }
}

#[test]
fn cancel_wins_from_waiting_states_only() {
    for from in every_standing() {
        assert_eq!(!follow(from, Fact::Cancelled).is_empty(), from.state.waits());
    }
}

#[test]
fn only_what_waits_is_deferred_and_loses_nothing_by_it() {
    for from in every_standing() {
        let path = follow(from, Fact::Deferred);
        assert_eq!(!path.is_empty(), from.state.waits());
        assert!(path.iter().all(|to| *to == Standing { state: State::Scheduled, ..from }), "{from:?} {path:?}");
    }
}

#[test]
fn three_retries_wait_one_two_and_four_seconds() {
    let mut at = Standing { state: State::Queued, attempt: 0, failures: 0, dead_letter: false, played: false };
    let mut waits = Vec::new();
    loop {
        at = follow(at, Fact::Claimed)[0];
        at = follow(at, Fact::AttemptFailed { attempt: at.attempt })[0];
        if at.state == State::Failed {
            break;
        }
        waits.push(backoff(at.failures).as_secs());
    }
    assert_eq!((waits, at.attempt, at.dead_letter), (vec![1, 2, 4], 4, true));
}
/// What an owner, its successors and WhatsApp may do to a message on a session that sends again.
fn any_fact() -> impl Strategy<Value = Fact> {
    let attempt = 0u32..6;
    prop_oneof![
        4 => Just(Fact::Claimed),
        4 => Just(Fact::Repeated),
        3 => attempt.clone().prop_map(|attempt| Fact::Uncertain { attempt }),
        1 => attempt.clone().prop_map(|attempt| Fact::AttemptFailed { attempt }),
        1 => attempt.prop_map(|attempt| Fact::Returned { attempt }),
        1 => prop_oneof![Just(Fact::Sent), Just(Fact::Delivered), Just(Fact::Read), Just(Fact::Played)],
        1 => prop_oneof![Just(Fact::Deferred), Just(Fact::Due)],
        1 => Just(Fact::Cancelled),
        1 => Just(Fact::Expired),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_message_goes_forward_and_uncertainty_counts_no_failure(facts in proptest::collection::vec(any_fact(), 0..60)) {
        let mut at = Standing { state: State::Queued, attempt: 0, failures: 0, dead_letter: false, played: false };
        for fact in facts {
            for to in follow(at, fact) {
                // Back into the queue goes an attempt that ended; everything else goes up in (attempt, rank).
                let forward = (to.attempt, to.state, to.played) > (at.attempt, at.state, at.played);
                let ended = matches!(fact, Fact::AttemptFailed { .. } | Fact::Returned { .. } | Fact::Deferred);
                prop_assert!(forward || ended || matches!(to.state, State::Sent | State::Delivered | State::Read), "{at:?} {fact:?} {to:?}");
                let failed = matches!(fact, Fact::AttemptFailed { .. });
                prop_assert!(failed || to.failures == at.failures);
                at = to;
            }
        }
    }
}
