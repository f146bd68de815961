//! Which days a question is about.

use barid_proto::Violations;
use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use tonic::Status;

/// Most days in all.
pub(crate) const MOST: i64 = 366;
/// Most days by the hour.
pub(crate) const MOST_BY_HOUR: i64 = 31;
/// Days before the last when no first one is given.
const BEFORE: Days = Days::new(6);

/// Days of a time zone, the last one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub first: NaiveDate,
    pub last: NaiveDate,
    pub zone: Tz,
}

impl Range {
    /// Reads the days of a request, at most `most` of them.
    pub(crate) fn read(first: &str, last: &str, zone: Tz, now: DateTime<Utc>, most: i64) -> Result<Self, Status> {
        let mut violations = Violations::default();
        let last = read(last, "lastDay", &mut violations).unwrap_or_else(|| now.with_timezone(&zone).date_naive());
        let first = read(first, "firstDay", &mut violations).unwrap_or_else(|| last.checked_sub_days(BEFORE).unwrap_or(last));
        violations.check()?;
        let count = (last - first).num_days() + 1;
        if count < 1 {
            return Err(Violations::one(
                "firstDay",
                "out_of_order",
                format!("is after the last day, {last}; give that day or an earlier one"),
            ));
        }
        if count > most {
            return Err(Violations::one(
                "firstDay",
                "out_of_range",
                format!("is {count} days before the end of {last}; ask for at most {most} days"),
            ));
        }
        Ok(Self { first, last, zone })
    }

    pub(crate) fn days(self) -> impl Iterator<Item = NaiveDate> {
        self.first.iter_days().take_while(move |day| *day <= self.last)
    }
}

/// `None` for a day that is not given, and for one that cannot be read.
fn read(text: &str, field: &str, violations: &mut Violations) -> Option<NaiveDate> {
    if text.is_empty() {
        return None;
    }
    // Written again it must be the same: chrono also reads `2026-3-1`.
    let day = text.parse::<NaiveDate>().ok().filter(|day| day.to_string() == text);
    if day.is_none() {
        violations.add(field, "invalid_day", "is no day of the calendar; give one as `YYYY-MM-DD`, such as `2026-03-10`");
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(first: &str, last: &str) -> Result<(String, String), String> {
        let now = "2026-03-10T20:00:00Z".parse().expect("a time");
        let range = Range::read(first, last, chrono_tz::Asia::Kolkata, now, MOST).map_err(|status| status.message().to_owned())?;
        Ok((range.first.to_string(), range.last.to_string()))
    }

    fn days(first: &str, last: &str) -> Result<(String, String), String> {
        Ok((first.into(), last.into()))
    }

    #[test]
    fn a_week_until_today_unless_said_otherwise() {
        assert_eq!(read("", ""), days("2026-03-05", "2026-03-11"), "it is past midnight in Kolkata");
        assert_eq!(read("", "2026-03-01"), days("2026-02-23", "2026-03-01"));
        assert_eq!(read("2026-03-01", ""), days("2026-03-01", "2026-03-11"));
        assert_eq!(read("2026-03-01", "2026-03-01"), days("2026-03-01", "2026-03-01"));
    }

    #[test]
    fn a_leap_year_fits_and_no_more() {
        assert_eq!(read("2024-01-01", "2024-12-31"), days("2024-01-01", "2024-12-31"));
        let error = read("2023-12-31", "2024-12-31").expect_err("too long");
        assert_eq!(error, "firstDay: is 367 days before the end of 2024-12-31; ask for at most 366 days");
    }

    #[test]
    fn wrong_days_are_named_at_once() {
        for wrong in ["yesterday", "2026-3-01", "2026-02-29", "2026-02-1", "20260301", "2026-03-01T", "٢٠٢٦-٠٣-٠١", " 2026-3-1"] {
            let error = read(wrong, wrong).expect_err(wrong);
            assert!(error.contains("firstDay: is no day") && error.contains("lastDay: is no day"), "{error}");
        }
        let error = read("2026-03-02", "2026-03-01").expect_err("out of order");
        assert_eq!(error, "firstDay: is after the last day, 2026-03-01; give that day or an earlier one");
        assert!(read("0000-01-01", "0000-01-07").is_ok() && read("", "9999-12-31").is_ok(), "the ends of what can be written");
    }

    #[test]
    fn a_range_has_both_of_its_ends() {
        let now = "2026-03-10T20:00:00Z".parse().expect("a time");
        let range = Range::read("2026-02-27", "2026-03-01", Tz::UTC, now, MOST).expect("a range");
        assert_eq!(range.days().map(|day| day.to_string()).collect::<Vec<_>>(), ["2026-02-27", "2026-02-28", "2026-03-01"]);
    }
}
