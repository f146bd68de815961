//! From counts to the figures of a dashboard.

use std::{cmp::Reverse, collections::BTreeMap};

use barid_proto::{
    analytics::v1::{Dashboard, DayFigures, TemplateFigures, Totals},
    timestamp,
};
use chrono::{DateTime, NaiveDate, Utc};

use crate::days::Range;

/// The counts of a range, each looked at in three ways.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub days: BTreeMap<NaiveDate, Totals>,
    /// Accepted messages by hour of the day.
    pub hours: [u64; 24],
    pub templates: BTreeMap<String, Totals>,
    pub as_of: Option<DateTime<Utc>>,
}

/// The dashboard of a range. Every day of it is there, also those on which nothing happened; templates come with the most used one first.
pub(crate) fn dashboard(range: Range, mut counted: Counted) -> Dashboard {
    let days: Vec<DayFigures> =
        range.days().map(|day| DayFigures { day: day.to_string(), totals: Some(counted.days.remove(&day).unwrap_or_default()) }).collect();
    let mut totals = Totals::default();
    for day in days.iter().filter_map(|figures| figures.totals.as_ref()) {
        for state in STATES {
            add(&mut totals, state, of(day, state));
        }
    }
    let mut templates: Vec<TemplateFigures> =
        counted.templates.into_iter().map(|(template, totals)| TemplateFigures { template, totals: Some(totals) }).collect();
    templates.sort_by_key(|figures| Reverse(figures.totals.map(|totals| totals.accepted)));
    Dashboard {
        first_day: range.first.to_string(),
        last_day: range.last.to_string(),
        delivery_rate: rate(totals.delivered, totals.sent),
        read_rate: rate(totals.read, totals.delivered),
        failure_rate: rate(totals.failed, totals.accepted),
        totals: Some(totals),
        days,
        accepted_by_hour: counted.hours.to_vec(),
        templates,
        as_of: counted.as_of.map(timestamp),
    }
}

const STATES: [&str; 7] = ["accepted", "sent", "delivered", "read", "failed", "cancelled", "expired"];

/// Adds messages that reached a state.
pub(crate) fn add(totals: &mut Totals, state: &str, messages: u64) {
    if let Some(count) = field(totals, state) {
        *count += messages;
    }
}

fn of(totals: &Totals, state: &str) -> u64 {
    field(&mut totals.clone(), state).copied().unwrap_or_default()
}

fn field<'a>(totals: &'a mut Totals, state: &str) -> Option<&'a mut u64> {
    Some(match state {
        "accepted" => &mut totals.accepted,
        "sent" => &mut totals.sent,
        "delivered" => &mut totals.delivered,
        "read" => &mut totals.read,
        "failed" => &mut totals.failed,
        "cancelled" => &mut totals.cancelled,
        "expired" => &mut totals.expired,
        _ => return None,
    })
}

/// A part of a whole: 0 of nothing, and at most 1. What was sent on the eve of the range and delivered on its first day would go beyond.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52, and a rate is rounded anyway")]
fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}
