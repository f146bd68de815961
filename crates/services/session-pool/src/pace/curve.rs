//! How much a young number may do, by its age.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const DAY: f64 = 86_400.0;

/// From this day on, so much.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Point {
    pub day: u32,
    pub most: u32,
}

/// A limit that grows with a number's age since it was linked: straight lines between its points, then as at the last point, then none.
///
/// WhatsApp publishes no such figures for linked devices. The defaults are an assumption: they have the shape that operators of gateways
/// report to work (slow in the first days, doubling every two or three, all after two weeks, new customers far more slowly than known
/// ones), at its careful end. They are configuration, so that experience can correct them.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    pub points: Vec<Point>,
    /// The day from which there is no limit.
    pub full_from: Option<u32>,
}

impl Curve {
    /// Messages an hour: 20 on the day of linking, all after two weeks.
    pub fn hourly() -> Self {
        Self { points: points(&[(0, 20), (1, 40), (3, 80), (7, 200), (14, 600)]), full_from: Some(14) }
    }

    /// New customers in 24 hours: 10 on the day of linking, and never more than 250. To write first is what numbers are blocked for.
    pub fn first_contacts() -> Self {
        Self { points: points(&[(0, 10), (3, 20), (7, 50), (14, 100), (30, 250)]), full_from: None }
    }

    /// What is wrong with it, for whoever configures it.
    pub fn problem(&self) -> Option<&'static str> {
        let pairs = || self.points.iter().zip(self.points.iter().skip(1));
        if pairs().any(|(one, next)| one.day >= next.day) {
            return Some("the days do not ascend");
        }
        if pairs().any(|(one, next)| one.most > next.most) {
            return Some("the limit falls with age");
        }
        let last = self.points.last().map_or(0, |point| point.day);
        if self.points.is_empty() && self.full_from != Some(0) {
            return Some("there are no points; full_from = 0 means no limit at all");
        }
        if self.full_from.is_some_and(|day| day < last) {
            return Some("full_from is before the last point");
        }
        None
    }

    /// The limit at an age since linking; `None` when there is none.
    pub fn most(&self, age: Duration) -> Option<u32> {
        let days = age.as_secs_f64() / DAY;
        if self.full_from.is_some_and(|day| days >= f64::from(day)) {
            return None;
        }
        let after = self.points.iter().position(|point| f64::from(point.day) > days);
        let most = match after {
            Some(0) => self.points[0].most,
            Some(next) => {
                let (one, next) = (self.points[next - 1], self.points[next]);
                let part = (days - f64::from(one.day)) / f64::from(next.day - one.day);
                // It lies between the two.
                (f64::from(one.most) + part * (f64::from(next.most) - f64::from(one.most))) as u32
            }
            None => self.points.last()?.most,
        };
        Some(most)
    }
}

fn points(points: &[(u32, u32)]) -> Vec<Point> {
    points.iter().map(|(day, most)| Point { day: *day, most: *most }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn days(days: f64) -> Duration {
        Duration::from_secs_f64(days * DAY)
    }

    #[test]
    fn a_number_grows_up_in_two_weeks() {
        let curve = Curve::hourly();
        let most = [0.0, 1.0, 2.0, 3.0, 7.0, 10.5, 13.99, 14.0].map(|day| curve.most(days(day)));
        assert_eq!(most, [Some(20), Some(40), Some(60), Some(80), Some(200), Some(400), Some(599), None]);
        let curve = Curve::first_contacts();
        assert_eq!([0.0, 1.5, 30.0, 5000.0].map(|day| curve.most(days(day))), [Some(10), Some(15), Some(250), Some(250)]);
    }

    #[test]
    fn a_curve_that_makes_no_sense_is_told() {
        let curve = |given: &[(u32, u32)], full_from| Curve { points: points(given), full_from }.problem();
        assert_eq!(curve(&[(0, 5), (3, 5)], Some(3)), None);
        assert_eq!(curve(&[], Some(0)), None);
        assert!(curve(&[], None).is_some_and(|problem| problem.contains("no points")));
        assert!(curve(&[(3, 5), (3, 6)], None).is_some_and(|problem| problem.contains("ascend")));
        assert!(curve(&[(0, 5), (3, 4)], None).is_some_and(|problem| problem.contains("falls")));
        assert!(curve(&[(0, 5), (3, 6)], Some(2)).is_some_and(|problem| problem.contains("before")));
        assert_eq!((Curve::hourly().problem(), Curve::first_contacts().problem()), (None, None));
    }

    proptest! {
        #[test]
        fn age_never_takes_anything_away(one in 0.0f64..40.0, more in 0.0f64..40.0) {
            for curve in [Curve::hourly(), Curve::first_contacts()] {
                let (young, old) = (curve.most(days(one)).unwrap_or(u32::MAX), curve.most(days(one + more)).unwrap_or(u32::MAX));
                prop_assert!(young <= old);
            }
        }
    }
}
