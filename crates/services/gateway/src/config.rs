//! What can be set.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use barid_domain::Secret;
use barid_runtime::{HealthConfig, TelemetryConfig, config::Validate};
use serde::{Deserialize, Serialize};

/// The defaults, with their explanations.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub listen: SocketAddr,
    pub max_body: usize,
    #[serde(with = "humantime_serde")]
    pub bulk_deadline: Duration,
    pub health: HealthConfig,
    pub limits: Limits,
    pub redis: barid_cache::Config,
    #[serde(default)]
    pub meta_apps: BTreeMap<String, MetaApp>,
    pub telemetry: TelemetryConfig,
    pub nats: barid_bus::Config,
}

/// How many calls are let through.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub per_minute: u32,
    pub burst: u32,
    pub refused_per_minute: u32,
    pub refused_burst: u32,
    pub waiting: usize,
}

/// A Meta app whose webhooks come in.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetaApp {
    /// Signs Meta's posts.
    pub app_secret: Secret,
    /// Proves that a subscription was asked for by us.
    pub verify_token: Secret,
}

impl Validate for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, app) in &self.meta_apps {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                problems.push(format!("meta_apps.{name}: the name stands in a path; use letters, digits, - and _"));
            }
            if app.app_secret.is_empty() {
                problems.push(format!("meta_apps.{name}.app_secret: is empty; without it anybody could post"));
            }
            if app.verify_token.is_empty() {
                problems.push(format!("meta_apps.{name}.verify_token: is empty; choose one and give it to Meta"));
            }
        }
        let limits = self.limits;
        for (key, value) in [("per_minute", limits.per_minute), ("burst", limits.burst), ("refused_per_minute", limits.refused_per_minute)]
        {
            if value == 0 {
                problems.push(format!("limits.{key}: is 0, which lets nobody in; give at least 1"));
            }
        }
        if limits.waiting == 0 {
            problems.push("limits.waiting: is 0, with which nobody can follow anything; give at least 1".to_owned());
        }
        problems
    }
}
