use super::{
    traffic::{Arrival, Kind, Traffic},
    *,
};

fn small() -> Options {
    Options { sessions: 500, replicas: 2, settings: Settings { slots: 20, ..Settings::default() }, ..Options::default() }
}

fn longest(report: &Report) -> f64 {
    report.slot_waits.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max)
}

#[test]
fn a_day_is_sent_without_long_waits_and_with_few_logins() {
    let options = small();
    let traffic = Traffic::new(&options);
    let report = run(&options);
    let messages: u64 = traffic.arrivals.iter().map(|arrival| u64::from(arrival.count)).sum();
    assert_eq!((report.sent as u64, report.unsent), (messages, 0));
    assert!(longest(&report) <= options.settings.max_wait.as_secs_f64(), "{:?}", report.slot_waits);
    assert!(report.logins <= 2 * report.optimum, "{} logins, {} at best", report.logins, report.optimum);
    assert!(report.lower_bound <= report.optimum && report.lower_bound <= report.logins, "{} is no bound", report.lower_bound);
    assert!(report.most_slots <= 40);
    assert!(report.visits >= 500, "everybody is connected every six hours: {}", report.visits);
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let day = |seed| serde_json::to_value(run(&Options { sessions: 60, seed, ..small() })).ok();
    assert_eq!(day(1), day(1));
    let sent = |seed| day(seed).map(|day| day["sent"].clone());
    assert_ne!(sent(1), sent(2));
}

/// Half of the slots are pins' and the businesses are far busier than the rest can serve at once: all wait, and none of them for ever.
#[test]
fn in_an_overload_everybody_gets_a_turn() {
    let settings = Settings { slots: 6, ..Settings::default() };
    let report = run(&Options { load: 2.5, settings, ..small() });
    assert_eq!(report.unsent, 0);
    assert!(longest(&report) > 10.0, "it is no overload: {:?}", report.slot_waits);
    // A few minutes, where unfair rules had some wait for hours.
    assert!(longest(&report) <= 300.0, "{:?}", report.slot_waits);
}

#[test]
fn the_picture_has_all_its_parts() {
    let picture = draw(&run(&Options { sessions: 100, replicas: 1, ..small() }));
    for part in ["<svg ", "A day of 100 sessions", "Slots by use", "Wait for a slot", "Logins per minute", "max_wait", "</svg>"] {
        assert!(picture.contains(part), "{part}");
    }
    assert!(!picture.contains("NaN") && !picture.contains("inf"));
}

/// One slot beside the pins, and sessions that come in this order.
fn logins_of(slots: usize, sessions: &[usize]) -> (usize, usize) {
    let at = |index: usize| index as Time * 3 * HOUR / 60;
    let arrivals: Vec<Arrival> = sessions
        .iter()
        .enumerate()
        .map(|(index, session)| Arrival { at: at(index), session: *session, count: 1, immediate: true })
        .collect();
    let traffic = Traffic { kinds: vec![Kind::Shop; 10], arrivals };
    let options = Options { replicas: 1, settings: Settings { slots, ..Settings::default() }, ..small() };
    (optimum::without_waiting(&options, &traffic), optimum::lower_bound(&options, &traffic, 0))
}

#[test]
fn the_optimum_is_what_one_who_knows_the_future_needs() {
    assert_eq!(logins_of(9, &[1, 2, 1, 3, 2, 1]), (3, 3), "one each");
    assert_eq!(logins_of(1, &[1, 2, 1, 2]).0, 4);
    assert_eq!(logins_of(2, &[1, 2, 3, 1, 2, 1, 3]).0, 5, "who left least recently used would need six");
    let (optimum, bound) = logins_of(2, &[1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    assert!(bound <= optimum && bound >= 6, "{bound} of {optimum}");
}
