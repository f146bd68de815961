use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn daily(start: &str, end: &str) -> Daily {
    Daily::parse(start, end).expect("a stretch")
}

fn hours(zone: Tz, quiet: Option<(&str, &str)>) -> Hours {
    Hours { zone, quiet: quiet.map(|(start, end)| Quiet { hours: daily(start, end), retries: false }) }
}

/// The opening for a batch, as texts.
fn opening(hours: Hours, window: Option<(&str, &str)>, moment: &str) -> Option<(String, String, Option<Closed>)> {
    let window = window.map(|(start, end)| daily(start, end));
    let found = hours.opening(Lane::Batch, window, at(moment))?;
    let text = |time: DateTime<Utc>| time.format("%dT%H:%M:%S").to_string();
    Some((text(found.from), found.until.map(text).unwrap_or_default(), found.after))
}

fn told(from: &str, until: &str, after: Option<Closed>) -> Option<(String, String, Option<Closed>)> {
    Some((from.to_owned(), until.to_owned(), after))
}

#[test]
fn only_times_of_a_day_are_taken() {
    for (start, end) in [
        ("8:00", "10:00"),
        ("08:00", "24:00"),
        ("08:60", "10:00"),
        ("08:00", "08:00"),
        ("", "10:00"),
        ("+8:00", "10:00"),
        ("08:00:00", "10:00"),
    ] {
        assert_eq!(Daily::parse(start, end), None, "{start} {end}");
    }
    assert_eq!(daily("22:05", "06:00").texts(), ("22:05".to_owned(), "06:00".to_owned()));
}

#[test]
fn a_batch_goes_out_in_its_window_or_waits_for_it() {
    // Cairo is two hours ahead in winter.
    let cairo = hours(Tz::Africa__Cairo, None);
    let window = Some(("08:00", "10:00"));
    assert_eq!(opening(cairo, window, "2026-01-15T05:59:59.5Z"), told("15T06:00:00", "15T08:00:00", Some(Closed::Window)));
    assert_eq!(opening(cairo, window, "2026-01-15T06:00:00Z"), told("15T06:00:00", "15T08:00:00", None));
    assert_eq!(opening(cairo, window, "2026-01-15T07:59:59Z"), told("15T07:59:59", "15T08:00:00", None));
    assert_eq!(opening(cairo, window, "2026-01-15T08:00:00Z"), told("16T06:00:00", "16T08:00:00", Some(Closed::Window)));
    assert_eq!(opening(cairo, None, "2026-01-15T08:00:00Z"), told("15T08:00:00", "", None));
}

#[test]
fn quiet_hours_over_midnight_are_waited_out() {
    let cairo = hours(Tz::Africa__Cairo, Some(("21:00", "08:00")));
    assert_eq!(opening(cairo, None, "2026-01-15T18:59:00Z"), told("15T18:59:00", "15T19:00:00", None));
    assert_eq!(opening(cairo, None, "2026-01-15T19:00:00Z"), told("16T06:00:00", "16T19:00:00", Some(Closed::Quiet)));
    assert_eq!(opening(cairo, None, "2026-01-16T01:00:00Z"), told("16T06:00:00", "16T19:00:00", Some(Closed::Quiet)));
    // A window that reaches into them is cut short, and one within them never opens.
    assert_eq!(opening(cairo, Some(("07:00", "09:00")), "2026-01-16T01:00:00Z"), told("16T06:00:00", "16T07:00:00", Some(Closed::Quiet)));
    assert_eq!(opening(cairo, Some(("22:00", "23:00")), "2026-01-16T01:00:00Z"), None);
}

#[test]
fn who_waits_is_the_tenants_choice() {
    let night = at("2026-01-15T23:00:00Z");
    let mut cairo = hours(Tz::Africa__Cairo, Some(("21:00", "08:00")));
    let waits = |hours: Hours, lane| hours.opening(lane, None, night).expect("an opening").from > night;
    assert_eq!(Lane::ALL.map(|lane| waits(cairo, lane)), [false, false, true], "immediate, retry, batch");
    cairo.quiet = cairo.quiet.map(|quiet| Quiet { retries: true, ..quiet });
    assert_eq!(Lane::ALL.map(|lane| waits(cairo, lane)), [false, true, true]);
    // A window is the message's own wish, whatever became of it.
    let window = Some(daily("08:00", "10:00"));
    assert!(hours(Tz::Africa__Cairo, None).opening(Lane::Retry, window, night).is_some_and(|opening| opening.from > night));
}

#[test]
fn an_hour_that_is_skipped_is_in_no_window() {
    // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
    let berlin = hours(Tz::Europe__Berlin, None);
    assert_eq!(opening(berlin, Some(("02:15", "02:45")), "2026-03-29T00:00:00Z"), told("30T00:15:00", "30T00:45:00", Some(Closed::Window)));
    assert_eq!(opening(berlin, Some(("02:30", "04:00")), "2026-03-29T00:00:00Z"), told("29T01:00:00", "29T02:00:00", Some(Closed::Window)));
    let quiet = hours(Tz::Europe__Berlin, Some(("21:00", "02:30")));
    assert_eq!(opening(quiet, None, "2026-03-29T00:59:59Z"), told("29T01:00:00", "29T19:00:00", Some(Closed::Quiet)));
}

#[test]
fn an_hour_that_comes_twice_is_in_its_window_twice() {
    // Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
    let berlin = hours(Tz::Europe__Berlin, None);
    let window = Some(("02:15", "02:45"));
    assert_eq!(opening(berlin, window, "2026-10-25T00:00:00Z"), told("25T00:15:00", "25T00:45:00", Some(Closed::Window)));
    assert_eq!(opening(berlin, window, "2026-10-25T00:45:00Z"), told("25T01:15:00", "25T01:45:00", Some(Closed::Window)));
    assert_eq!(opening(berlin, Some(("02:30", "03:30")), "2026-10-25T00:40:00Z"), told("25T00:40:00", "25T01:00:00", None));
    // Days are 23 and 25 hours long, and the window keeps to the clock on the wall.
    assert_eq!(opening(berlin, Some(("08:00", "10:00")), "2026-10-24T08:00:00Z"), told("25T07:00:00", "25T09:00:00", Some(Closed::Window)));
}

#[test]
fn the_time_that_was_asked_for_comes_before_all_else() {
    let cairo = hours(Tz::Africa__Cairo, Some(("21:00", "08:00")));
    let plan = |asked: &str, now: &str| cairo.plan(Lane::Batch, None, at(asked), at(now));
    let (noon, evening, night, morning) = ("2026-01-15T10:00:00Z", "2026-01-15T18:00:00Z", "2026-01-15T20:00:00Z", "2026-01-16T06:00:00Z");
    assert_eq!(plan(noon, noon), Plan::Open { closes: Some(at("2026-01-15T19:00:00Z")) });
    assert_eq!(plan(evening, noon), Plan::Wait { until: at(evening), closed: None });
    assert_eq!(plan(noon, night), Plan::Wait { until: at(morning), closed: Some(Closed::Quiet) });
    assert_eq!(plan(night, noon), Plan::Wait { until: at(morning), closed: Some(Closed::Quiet) });
    let never = cairo.plan(Lane::Batch, Some(daily("22:00", "23:00")), at(noon), at(noon));
    assert_eq!(never, Plan::Wait { until: at("2026-01-16T10:00:00Z"), closed: Some(Closed::Quiet) });
}

const ZONES: [Tz; 8] = [
    Tz::UTC,
    Tz::Africa__Cairo,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Asia__Kathmandu,
    Tz::Australia__Lord_Howe,
    Tz::America__Santiago,
    Tz::Pacific__Chatham,
];

/// What `opening` tells, found by trying every minute: `None` when it opens in none of these days.
fn tried(hours: &Hours, window: Option<Daily>, at: DateTime<Utc>) -> Option<(DateTime<Utc>, Option<DateTime<Utc>>)> {
    let open = |moment: &DateTime<Utc>| {
        let minute = u16::try_from(moment.with_timezone(&hours.zone).num_seconds_from_midnight() / 60).expect("a minute");
        let within = |daily: Daily| match daily.minutes() {
            (start, end) if start < end => start <= minute && minute < end,
            (start, end) => !(end <= minute && minute < start),
        };
        window.is_none_or(within) && !hours.quiet.is_some_and(|quiet| within(quiet.hours))
    };
    let minutes = |from: DateTime<Utc>| (0..3 * 24 * 60).map(move |minute| from + TimeDelta::minutes(minute));
    let from = minutes(at).find(open)?;
    Some((from, minutes(from).find(|moment| !open(moment))))
}

fn stretch() -> impl Strategy<Value = Daily> {
    (0u16..1440, 0u16..1440).prop_filter_map("both the same", |(start, end)| Daily::new(start, end))
}

proptest! {
    #[test]
    fn what_is_told_is_what_the_clock_on_the_wall_shows(
        zone in 0..ZONES.len(),
        // Half of them near a day on which clocks are set somewhere.
        minute in prop_oneof![0i64..2 * 366 * 1440, (0usize..6, -2000i64..2000).prop_map(|(day, minute)| [87, 115, 95, 303, 297, 249][day] * 1440 + minute)],
        window in proptest::option::of(stretch()),
        quiet in proptest::option::of(stretch()),
    ) {
        let hours = Hours { zone: ZONES[zone], quiet: quiet.map(|hours| Quiet { hours, retries: false }) };
        let moment = at("2026-01-01T00:00:00Z") + TimeDelta::minutes(minute);
        let found = hours.opening(Lane::Batch, window, moment);
        match (found, tried(&hours, window, moment)) {
            (Some(found), Some((from, until))) => {
                prop_assert_eq!((found.from, found.after.is_some()), (from, from > moment));
                prop_assert_eq!(found.until, until);
            }
            // A short window that is skipped once is open again on another day.
            (found, None) => prop_assert!(found.is_none_or(|found| found.from > moment + TimeDelta::days(2)), "{:?}", found),
            (None, tried) => prop_assert!(false, "closed for good, and yet {:?}", tried),
        }
    }

    #[test]
    fn an_opening_begins_where_it_is_looked_for_from_within(
        zone in 0..ZONES.len(), second in 0i64..366 * 86400, window in stretch(), quiet in proptest::option::of(stretch()),
    ) {
        let hours = Hours { zone: ZONES[zone], quiet: quiet.map(|hours| Quiet { hours, retries: false }) };
        let moment = at("2026-01-01T00:00:00Z") + TimeDelta::seconds(second);
        if let Some(found) = hours.opening(Lane::Batch, Some(window), moment) {
            let within = hours.opening(Lane::Batch, Some(window), found.from);
            prop_assert_eq!(within, Some(Opening { after: None, ..found }));
            let until = found.until.expect("a window closes");
            let next = hours.opening(Lane::Batch, Some(window), until).expect("it opens again");
            prop_assert!(next.from > until && next.after.is_some());
        }
    }
}
