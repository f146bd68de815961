//! The list of what is tried.

mod kills;

use super::trial::{Outcome, Trial};
use anyhow::Result;
use futures::future::LocalBoxFuture;

/// A fault, and how it is injected.
pub struct Scenario {
    pub name: &'static str,
    /// What is claimed.
    pub about: &'static str,
    /// Messages unless said otherwise.
    pub messages: u32,
    /// Replicas of the session-pool.
    pub pools: usize,
    pub play: for<'a> fn(&'a mut Trial<'_>) -> LocalBoxFuture<'a, Result<Outcome>>,
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kill-pool",
        about: "one of three session-pools is killed every two seconds",
        messages: 400,
        pools: 3,
        play: |trial| Box::pin(kills::pool(trial)),
    },
    Scenario {
        name: "kill-all-services",
        about: "all services are killed at random, again and again",
        messages: 400,
        pools: 1,
        play: |trial| Box::pin(kills::all_services(trial)),
    },
];
