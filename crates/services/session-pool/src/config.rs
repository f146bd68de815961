//! What operators set.

use std::{path::PathBuf, time::Duration};

use barid_runtime::{HealthConfig, TelemetryConfig, config::Validate};
use serde::{Deserialize, Serialize};

use crate::{choice, pace::Curve};

/// The defaults, with their explanations.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub cloud: CloudConfig,
    pub web: WebConfig,
    pub pool: PoolConfig,
    pub pacing: PacingConfig,
    pub media: barid_blob::Config,
    pub egress: barid_egress::Settings,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub nats: barid_bus::Config,
    pub database: barid_db::Config,
    pub vault: barid_vault::Config,
}

/// Where Meta's Cloud API is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CloudConfig {
    pub base_url: String,
    pub version: String,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
}

/// Where WhatsApp Web is, and how it is spoken to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    pub url: String,
    /// Empty for the hosts that WhatsApp names.
    pub media_url: String,
    /// Empty for the version that this build was tried with.
    pub version: String,
    pub device_name: String,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub login_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub ack_timeout: Duration,
    pub prekeys: usize,
    pub media_limit: u64,
    pub event_queue: usize,
    /// Empty for the system's roots alone.
    pub root_certificate: PathBuf,
}

/// How much a replica takes on, and how it shares its slots.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    #[serde(with = "humantime_serde")]
    pub heartbeat_ttl: Duration,
    #[serde(with = "humantime_serde")]
    pub tick: Duration,
    pub slots: usize,
    #[serde(with = "humantime_serde")]
    pub max_wait: Duration,
    #[serde(with = "humantime_serde")]
    pub min_warm: Duration,
    #[serde(with = "humantime_serde")]
    pub min_turn: Duration,
    #[serde(with = "humantime_serde")]
    pub max_hold: Duration,
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    #[serde(with = "humantime_serde")]
    pub sweep: Duration,
    /// From so many messages waiting on a session counts as one of high volume.
    pub high_volume: u64,
    pub logins_per_second: f64,
    pub max_in_flight: u32,
    pub max_in_flight_per_session: u32,
}

/// How carefully linked devices write to customers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PacingConfig {
    #[serde(with = "humantime_serde")]
    pub recipient_spacing: Duration,
    /// Messages an hour, by the days since linking.
    pub warm_up: Curve,
    /// First messages to customers a day, by the days since linking.
    pub first_contacts: Curve,
    /// Customers that the numbers of a Meta portfolio write to within a day, all together; 0 for no limit.
    pub portfolio_limit: u32,
}

impl PoolConfig {
    pub(crate) fn rules(&self) -> choice::Settings {
        choice::Settings {
            slots: self.slots,
            max_wait: self.max_wait,
            min_warm: self.min_warm,
            high_volume: self.high_volume,
            min_turn: self.min_turn,
            max_hold: self.max_hold,
            linger: self.linger,
            sweep: self.sweep,
            ..choice::Settings::default()
        }
    }
}

impl WebConfig {
    /// Such as `2.3000.1026131876`; `None` when it is no version, and the build's own when it is empty.
    pub(crate) fn parsed_version(&self) -> Option<Option<(u32, u32, u32)>> {
        if self.version.is_empty() {
            return Some(None);
        }
        let mut parts = self.version.split('.').map(|part| part.parse().ok());
        let version = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Some(version))
    }
}

impl Validate for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |right: bool, problem: &str| {
            if !right {
                problems.push(problem.to_owned());
            }
        };
        let (cloud, web, pool) = (&self.cloud, &self.web, &self.pool);
        let is_address = cloud.base_url.starts_with("http://") || cloud.base_url.starts_with("https://");
        check(is_address, "cloud.base_url: is no http or https address");
        check(!cloud.version.is_empty(), "cloud.version: is empty; give one such as v23.0");
        check(!cloud.connect_timeout.is_zero(), "cloud.connect_timeout: is zero");
        check(cloud.request_timeout >= cloud.connect_timeout, "cloud.request_timeout: is shorter than connect_timeout");
        check(pool.heartbeat_ttl >= Duration::from_millis(300), "pool.heartbeat_ttl: is shorter than 300ms");
        check(
            pool.heartbeat_ttl <= Duration::from_secs(60),
            "pool.heartbeat_ttl: is longer than a minute; sessions would wait for so long",
        );
        check(pool.tick >= Duration::from_millis(10), "pool.tick: is shorter than 10ms");
        check(pool.tick <= Duration::from_secs(60), "pool.tick: is longer than a minute");
        check(pool.slots >= 1, "pool.slots: give at least 1");
        check(pool.slots <= 20_000, "pool.slots: is more than 20000; run more replicas instead");
        check(pool.max_wait >= Duration::from_secs(1), "pool.max_wait: is shorter than a second");
        check(pool.min_warm <= pool.min_turn, "pool.min_warm: is longer than min_turn");
        check(pool.min_turn <= pool.max_hold, "pool.min_turn: is longer than max_hold");
        check(pool.logins_per_second > 0.0, "pool.logins_per_second: is not above 0; nobody could log in");
        let is_socket = web.url.starts_with("ws://") || web.url.starts_with("wss://");
        check(is_socket, "web.url: is no ws or wss address");
        let is_media = web.media_url.is_empty() || web.media_url.starts_with("http://") || web.media_url.starts_with("https://");
        check(is_media, "web.media_url: is no http or https address; leave it empty for WhatsApp's own");
        check(web.parsed_version().is_some(), "web.version: is none; give one such as 2.3000.1026131876, or nothing for the build's own");
        check(!web.connect_timeout.is_zero(), "web.connect_timeout: is zero");
        check(web.ack_timeout >= Duration::from_secs(1), "web.ack_timeout: is shorter than a second; slow acks would count as uncertain");
        check((5..800).contains(&web.prekeys), "web.prekeys: give 5 to 799");
        check(web.event_queue >= 1, "web.event_queue: give at least 1");
        check((1..=4096).contains(&pool.max_in_flight), "pool.max_in_flight: give 1 to 4096");
        let per_session = (1..=pool.max_in_flight).contains(&pool.max_in_flight_per_session);
        check(per_session, "pool.max_in_flight_per_session: give at least 1 and at most max_in_flight");
        for (name, curve) in [("warm_up", &self.pacing.warm_up), ("first_contacts", &self.pacing.first_contacts)] {
            problems.extend(curve.problem().map(|problem| format!("pacing.{name}: {problem}")));
        }
        problems.extend(self.media.problems().into_iter().map(|problem| format!("media.{problem}")));
        problems.extend(self.egress.problems().into_iter().map(|problem| format!("egress.{problem}")));
        problems
    }
}
