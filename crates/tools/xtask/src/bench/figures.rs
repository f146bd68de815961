use serde::Serialize;

/// A distribution in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    pub count: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = ((values.len() as f64 * part).ceil() as usize).clamp(1, values.len().max(1)) - 1;
            tenth(values.get(index).copied().unwrap_or_default())
        };
        Self { count: values.len(), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

impl Spread {
    /// The same to the microsecond, for what takes less than a millisecond.
    pub fn exactly(values: Vec<f64>) -> Self {
        let Self { count, p50, p95, p99, max } = Self::of(values.into_iter().map(|value| value * 1000.0).collect());
        Self { count, p50: p50 / 1000.0, p95: p95 / 1000.0, p99: p99 / 1000.0, max: max / 1000.0 }
    }
}

/// Rounded to one digit: what a measurement is good for.
pub fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The middle one, or the upper of both.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let spread = Spread::of((1..=100).rev().map(f64::from).collect());
        assert_eq!(spread, Spread { count: 100, p50: 50.0, p95: 95.0, p99: 99.0, max: 100.0 });
        assert_eq!(Spread::of(vec![7.0]), Spread { count: 1, p50: 7.0, p95: 7.0, p99: 7.0, max: 7.0 });
        assert_eq!(Spread::of(vec![]), Spread::default());
    }
}
