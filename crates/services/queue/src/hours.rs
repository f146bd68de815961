//! When messages may go out: the windows they ask for, and the quiet hours of their tenant. Pure.
//!
//! Both are stretches of the clock on the wall, every day anew. What counts at a moment is what that clock shows: an hour that it skips in
//! spring is in no window, and one that it shows twice in autumn is in its window twice.

use chrono::{DateTime, Offset, SubsecRound, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::lanes::Lane;

const DAY: u32 = 24 * 3600;
/// How many changes are looked at for the next opening: a week of a window and quiet hours. What is not open by then never is.
const CHANGES: usize = 32;

/// A stretch of every day, over midnight when it ends before it starts. In minutes of the day; the end is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Daily {
    start: u16,
    end: u16,
}

impl Daily {
    /// From `HH:MM` to `HH:MM`; `None` when one of them is no time, or both are the same.
    pub fn parse(start: &str, end: &str) -> Option<Self> {
        Self::new(minute(start)?, minute(end)?)
    }

    pub fn new(start: u16, end: u16) -> Option<Self> {
        let of_day = |minute: u16| u32::from(minute) * 60 < DAY;
        (start != end && of_day(start) && of_day(end)).then_some(Self { start, end })
    }

    /// Minutes of the day.
    pub const fn minutes(self) -> (u16, u16) {
        (self.start, self.end)
    }

    /// As `HH:MM`.
    pub fn texts(self) -> (String, String) {
        let text = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        (text(self.start), text(self.end))
    }

    fn contains(self, second: u32) -> bool {
        let minute = second / 60;
        let (start, end) = (u32::from(self.start), u32::from(self.end));
        if start < end { (start..end).contains(&minute) } else { minute >= start || minute < end }
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| digits && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

/// The hours of a tenant.
#[derive(Clone, Copy, Debug)]
pub struct Hours {
    pub zone: Tz,
    pub quiet: Option<Quiet>,
}

/// When what can wait is not sent.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    pub hours: Daily,
    /// Whether what failed and is tried again waits, too.
    pub retries: bool,
}

/// Why a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Window,
    Quiet,
}

impl Closed {
    /// The code of it as a reason.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Window => "outside_window",
            Self::Quiet => "quiet_hours",
        }
    }
}

/// A stretch of time in which a message may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub from: DateTime<Utc>,
    /// The end, which is outside; `None` when it never closes.
    pub until: Option<DateTime<Utc>>,
    /// Why it did not go out before `from`, if it was closed then.
    pub after: Option<Closed>,
}

impl Hours {
    /// The same for the same hours.
    pub fn text(&self) -> String {
        let quiet = self.quiet.map(|quiet| format!(" {:?} {}", quiet.hours.minutes(), quiet.retries)).unwrap_or_default();
        format!("{}{quiet}", self.zone)
    }

    /// The first opening at or after a moment for a message in this lane; `None` when there is none, because the window lies within the quiet
    /// hours.
    pub fn opening(&self, lane: Lane, window: Option<Daily>, at: DateTime<Utc>) -> Option<Opening> {
        let quiet = self.quiet.filter(|quiet| match lane {
            Lane::Immediate => false,
            Lane::Batch => true,
            Lane::Retry => quiet.retries,
        });
        let rules = Rules { zone: self.zone, window, quiet: quiet.map(|quiet| quiet.hours) };
        if rules.window.is_none() && rules.quiet.is_none() {
            return Some(Opening { from: at, until: None, after: None });
        }
        let (mut from, mut after) = (at, None);
        let mut changes = 0;
        while let Some(closed) = rules.closed(from) {
            changes += 1;
            if changes > CHANGES {
                return None;
            }
            after = Some(closed);
            from = rules.next_change(from);
        }
        let mut until = rules.next_change(from);
        while rules.closed(until).is_none() {
            until = rules.next_change(until);
        }
        Some(Opening { from, until: Some(until), after })
    }
}

/// What to do with a message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It may go out, until `closes` if that ever comes.
    Open { closes: Option<DateTime<Utc>> },
    /// It waits until then. `closed` tells why, unless that is the time that was asked for.
    Wait { until: DateTime<Utc>, closed: Option<Closed> },
}

impl Hours {
    /// How a message stands now that was asked to go out at some time.
    pub fn plan(&self, lane: Lane, window: Option<Daily>, asked: DateTime<Utc>, now: DateTime<Utc>) -> Plan {
        let from = asked.max(now);
        match self.opening(lane, window, from) {
            Some(opening) if opening.from <= now => Plan::Open { closes: opening.until },
            Some(opening) => Plan::Wait { until: opening.from, closed: opening.after },
            // Its hours may change before it expires.
            None => Plan::Wait { until: from + TimeDelta::days(1), closed: Some(Closed::Quiet) },
        }
    }
}

/// At least one of the two.
struct Rules {
    zone: Tz,
    window: Option<Daily>,
    quiet: Option<Daily>,
}

impl Rules {
    fn closed(&self, at: DateTime<Utc>) -> Option<Closed> {
        let second = at.with_timezone(&self.zone).num_seconds_from_midnight();
        if self.window.is_some_and(|window| !window.contains(second)) {
            Some(Closed::Window)
        } else if self.quiet.is_some_and(|quiet| quiet.contains(second)) {
            Some(Closed::Quiet)
        } else {
            None
        }
    }

    /// The next moment at which the clock on the wall shows the start or end of one of the stretches, or is set.
    fn next_change(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let at = at.trunc_subsecs(0);
        let second = at.with_timezone(&self.zone).num_seconds_from_midnight();
        let until = |minute: u16| match (u32::from(minute) * 60 + DAY - second) % DAY {
            0 => DAY,
            seconds => seconds,
        };
        let bounds = self.window.into_iter().chain(self.quiet).flat_map(|daily| [daily.start, daily.end]);
        let next = at + TimeDelta::seconds(bounds.map(until).min().unwrap_or(DAY).into());
        if self.offset(next) == self.offset(at) { next } else { self.clock_set(at, next) }
    }

    /// The moment between the two at which the clock is set.
    fn clock_set(&self, mut before: DateTime<Utc>, mut after: DateTime<Utc>) -> DateTime<Utc> {
        let old = self.offset(before);
        while after - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
            if self.offset(middle) == old {
                before = middle;
            } else {
                after = middle;
            }
        }
        after
    }

    fn offset(&self, at: DateTime<Utc>) -> i32 {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
    }
}

#[cfg(test)]
mod tests;
