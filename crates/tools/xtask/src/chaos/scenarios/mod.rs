//! The list of what is tried.

mod callers;
mod clocks;
mod disks;
mod kills;
mod neighbours;
mod owners;
mod servers;
mod whatsapp;

use super::trial::{Outcome, Trial};
use anyhow::Result;
use futures::future::LocalBoxFuture;

/// A fault, and how it is injected.
pub struct Scenario {
    pub name: &'static str,
    /// What happens.
    pub about: &'static str,
    /// Messages unless said otherwise.
    pub messages: u32,
    /// Messages before a release.
    pub full: u32,
    /// Messages a second while there are few, and with the full number.
    pub slow: u32,
    pub pace: u32,
    /// Replicas of the session-pool.
    pub pools: usize,
    /// Settings of its own, as TOML.
    pub settings: &'static str,
    pub play: for<'a> fn(&'a mut Trial<'_>) -> LocalBoxFuture<'a, Result<Outcome>>,
}

const ORDINARY: Scenario = Scenario {
    name: "",
    about: "",
    messages: 300,
    full: 10_000,
    slow: 30,
    pace: 170,
    pools: 1,
    settings: "",
    play: |_| Box::pin(async { Ok(Outcome::default()) }),
};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kill-pool",
        about: "one of three session-pools is killed every two seconds",
        pools: 3,
        play: |trial| Box::pin(kills::pool(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "freeze-owner",
        about: "the owners of sessions are frozen in the middle of sends for three times their time to live",
        pools: 3,
        play: |trial| Box::pin(owners::freeze(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "cut-pool-from-ledger",
        about: "the network between a session-pool and its servers is gone; it falls silent, another takes over, it comes back",
        play: |trial| Box::pin(owners::cut(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "kill-all-services",
        about: "all services are killed at random, again and again",
        play: |trial| Box::pin(kills::all_services(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "rolling-upgrade",
        about: "every service is replaced, one by one",
        pools: 2,
        play: |trial| Box::pin(kills::rolling_upgrade(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "restart-nats",
        about: "NATS is restarted again and again; those who listen miss nothing",
        play: |trial| Box::pin(servers::restart_nats(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "wipe-jetstream",
        about: "NATS is killed and loses everything it stored; those who listen miss nothing",
        play: |trial| Box::pin(servers::wipe_jetstream(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "kill-postgres",
        about: "PostgreSQL is killed and recovers; every answer is still true and every key still answers the same",
        pace: 1_000,
        play: |trial| Box::pin(servers::kill_postgres(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "full-disk",
        about: "the disks of PostgreSQL and of NATS are full for a while; calls are refused clearly, and all goes on",
        // Each of three strikes takes seconds.
        slow: 5,
        play: |trial| Box::pin(disks::full(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "flush-redis",
        about: "Redis forgets everything, again and again",
        play: |trial| Box::pin(servers::flush_redis(trial)),
        ..ORDINARY
    },
    Scenario { name: "stop-redis", about: "Redis is away for seconds", play: |trial| Box::pin(servers::stop_redis(trial)), ..ORDINARY },
    Scenario {
        name: "lost-replies",
        about: "WhatsApp takes messages and never answers, or too late",
        play: |trial| Box::pin(whatsapp::lost_replies(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "meta-outage",
        about: "Meta answers with errors for a while; no message pays with an attempt",
        play: |trial| Box::pin(whatsapp::meta_outage(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "storm-of-receipts",
        about: "receipts come twice, in disorder and late; every step is told once",
        play: |trial| Box::pin(whatsapp::storm_of_receipts(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "clock-jump",
        about: "the clocks of all services jump ahead by an hour and back",
        play: |trial| Box::pin(clocks::jump(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "same-key",
        about: "many callers at once use one idempotency key",
        messages: 200,
        full: 200,
        play: |trial| Box::pin(callers::same_key(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "cancelled-callers",
        about: "callers hang up at random moments; nothing leaks, and their calls can be repeated",
        full: 100_000,
        settings: "gateway.limits.waiting = 20",
        play: |trial| Box::pin(callers::cancelled(trial)),
        ..ORDINARY
    },
    Scenario {
        name: "noisy-tenant",
        about: "one tenant queues all of them; the others hardly wait longer than before",
        messages: 2_000,
        full: 1_000_000,
        play: |trial| Box::pin(neighbours::noisy(trial)),
        ..ORDINARY
    },
];
