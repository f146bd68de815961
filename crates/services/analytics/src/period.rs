//! A stretch of a tenant's days. Pure.

use barid_proto::Violations;
use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use tonic::Status;

/// Days from the first to the last, both counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub first: NaiveDate,
    pub last: NaiveDate,
    pub zone: Tz,
}

/// Days of a period whose first day is not given.
const USUAL: u64 = 7;

impl Period {
    /// Reads the days of a request; at most `most` of them.
    pub(crate) fn read(first: &str, last: &str, zone: Tz, now: DateTime<Utc>, most: u64) -> Result<Self, Status> {
        let mut violations = Violations::default();
        let mut read = |field: &str, text: &str, otherwise: NaiveDate| {
            if text.is_empty() {
                return otherwise;
            }
            match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
                Ok(day) if text.len() == 10 => day,
                _ => {
                    violations.add(field, "invalid_day", "is no day; give one such as `2026-01-15`");
                    otherwise
                }
            }
        };
        let last = read("lastDay", last, now.with_timezone(&zone).date_naive());
        let first = read("firstDay", first, last.checked_sub_days(Days::new(USUAL - 1)).unwrap_or(last));
        if violations.is_empty() {
            let days = last.signed_duration_since(first).num_days() + 1;
            if days < 1 {
                violations.add("firstDay", "after_last_day", "comes after lastDay; give an earlier day");
            } else if days.unsigned_abs() > most {
                violations.add("firstDay", "too_many_days", format!("is {days} days before the end; give at most {most} days"));
            }
        }
        violations.check()?;
        Ok(Self { first, last, zone })
    }

    /// From the first moment of the first day to before the first moment after the last.
    pub(crate) fn bounds(self) -> (DateTime<Utc>, DateTime<Utc>) {
        (self.midnight(self.first), self.last.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, |day| self.midnight(day)))
    }

    /// The first moment of a day. Where clocks are put forward at midnight, the day begins later.
    fn midnight(self, day: NaiveDate) -> DateTime<Utc> {
        let quarters = (0..96).filter_map(|quarter| day.and_hms_opt(quarter / 4, quarter % 4 * 15, 0));
        let first = quarters.filter_map(|time| self.zone.from_local_datetime(&time).earliest()).next();
        first.map_or_else(|| day.and_time(chrono::NaiveTime::MIN).and_utc(), |time| time.with_timezone(&Utc))
    }

    pub(crate) fn days(self) -> impl Iterator<Item = NaiveDate> {
        self.first.iter_days().take_while(move |day| *day <= self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T22:30:00Z".parse().expect("a time")
    }

    #[test]
    fn today_is_the_tenants_today() {
        let period = Period::read("", "", chrono_tz::Africa::Cairo, now(), 366).expect("a period");
        assert_eq!((period.first.to_string(), period.last.to_string()), ("2026-11-16".into(), "2026-11-22".into()));
        assert_eq!(period.bounds().1.to_rfc3339(), "2026-11-22T22:00:00+00:00");
    }

    #[test]
    fn a_day_without_midnight_begins_when_it_begins() {
        // Cairo put its clocks forward at midnight of this day.
        let day = "2024-04-26";
        let period = Period::read(day, day, chrono_tz::Africa::Cairo, now(), 366).expect("a period");
        assert_eq!(period.bounds().0.to_rfc3339(), "2024-04-25T22:00:00+00:00");
        assert_eq!(period.bounds().1 - period.bounds().0, chrono::TimeDelta::hours(23));
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |first: &str, last: &str| Period::read(first, last, chrono_tz::UTC, now(), 31).expect_err("refused").message().to_owned();
        assert!(refused("yesterday", "").contains("firstDay: is no day"));
        assert!(refused("2026-02-02", "2026-02-01").contains("firstDay: comes after lastDay"));
        assert!(refused("2026-01-01", "2026-03-01").contains("at most 31 days"));
    }
}
