//! A day of a whole cluster in a few seconds: the real rules ([`choose`](super::choose), pace, login budget) under the load of thousands of
//! businesses. It finds what examples and properties do not: whether the rules are good.
//!
//! Modelled are: messages by lane, with two peaks; sessions by kind; logins that take about a second; sends that take about 0.3 s and one
//! after the other; drains. Not modelled are failures, receipts as such, and the time that claims take. The same seed gives the same day.

mod optimum;
mod picture;
mod pool;
mod report;
#[cfg(test)]
mod tests;
mod traffic;

use super::Settings;
use crate::logins;

pub use picture::draw;
pub use report::{Minute, Report, Spread};

/// Milliseconds since midnight.
type Time = u64;

const HOUR: Time = 3_600_000;
const DAY: Time = 24 * HOUR;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub sessions: usize,
    pub replicas: usize,
    /// How busy the businesses are; 1 is what `traffic` describes.
    pub load: f64,
    pub seed: u64,
    /// Of each replica.
    pub settings: Settings,
    pub logins: logins::Rules,
}

impl Default for Options {
    /// Ten thousand sessions on three replicas of 200 slots.
    fn default() -> Self {
        Self { sessions: 10_000, replicas: 3, load: 1.0, seed: 1, settings: Settings::default(), logins: logins::Rules::default() }
    }
}

/// Plays the day, and on until everything is sent.
pub fn run(options: &Options) -> Report {
    let traffic = traffic::Traffic::new(options);
    let mut cluster = pool::Cluster::new(options, &traffic);
    let mut diary = report::Diary::default();
    cluster.play(&traffic, &mut diary);
    diary.report(options, &traffic)
}

/// SplitMix64: the same numbers on every machine and with every version of whatever crate.
#[derive(Clone, Copy, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }
}
