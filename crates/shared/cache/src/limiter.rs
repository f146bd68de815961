//! Limits rates over all replicas by Redis; without Redis each replica limits by itself, at its share.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use barid_domain::Secret;
use deadpool_redis::{Config as PoolConfig, Pool, PoolConfig as Size, Runtime, Timeouts, redis::Script};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::gcra::{Decision, Rate, decide};

/// How to reach Redis.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `redis://:password@host:port`
    pub url: Secret,
    /// The part of a limit that this replica allows by itself while Redis is away: 1 divided by the number of replicas.
    #[serde(default = "whole")]
    pub local_share: f64,
}

fn whole() -> f64 {
    1.0
}

#[derive(Debug, thiserror::Error)]
#[error("redis.url: {0}")]
pub struct Error(#[from] deadpool_redis::CreatePoolError);

/// The same algorithm as [`decide`], by the clock of the server and in one step. Answers microseconds to wait, or 0.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or '0')
local after = math.max(arrival, now) + interval
local excess = after - (now + tolerance)
if excess > 0 then return excess end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1)
return 0";

/// Limits rates. Clone it freely.
#[derive(Clone)]
pub struct Limiter {
    pool: Pool,
    script: Script,
    share: f64,
    local: Arc<Mutex<Local>>,
}

struct Local {
    started: Instant,
    arrivals: HashMap<String, u64>,
    /// Until when Redis is not asked, after it failed.
    rest_until: Option<Instant>,
}

impl Limiter {
    /// How long Redis may take.
    const PATIENCE: Duration = Duration::from_millis(100);
    /// How long a Redis that failed is left alone.
    const REST: Duration = Duration::from_secs(1);
    /// Keys limited locally at once.
    const LOCAL_KEYS: usize = 100_000;

    /// Connects when first needed: a Redis that is away keeps nothing from starting.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let mut pool = PoolConfig::from_url(config.url.expose());
        let patience = Some(Self::PATIENCE);
        pool.pool =
            Some(Size { max_size: 8, timeouts: Timeouts { wait: patience, create: patience, recycle: patience }, ..Size::default() });
        Ok(Self {
            pool: pool.create_pool(Some(Runtime::Tokio1))?,
            script: Script::new(SCRIPT),
            share: config.local_share.clamp(0.0, 1.0),
            local: Arc::new(Mutex::new(Local { started: Instant::now(), arrivals: HashMap::new(), rest_until: None })),
        })
    }

    /// Whether a call counted under `key` may come now.
    pub async fn check(&self, key: &str, rate: Rate) -> Decision {
        if !self.rests() {
            match tokio::time::timeout(Self::PATIENCE, self.ask(key, rate)).await {
                Ok(Ok(0)) => return Decision::Allowed,
                Ok(Ok(wait)) => return Decision::Wait(Duration::from_micros(wait)),
                Ok(Err(error)) => tracing::warn!(%error, "rates are limited locally: redis failed"),
                Err(_) => tracing::warn!("rates are limited locally: redis did not answer"),
            }
            self.local.lock().rest_until = Some(Instant::now() + Self::REST);
        }
        self.check_locally(key, rate)
    }

    fn rests(&self) -> bool {
        self.local.lock().rest_until.is_some_and(|until| Instant::now() < until)
    }

    async fn ask(&self, key: &str, rate: Rate) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        let mut connection = self.pool.get().await?;
        let mut call = self.script.prepare_invoke();
        call.key(format!("barid:rate:{key}")).arg(rate.interval()).arg(rate.tolerance());
        Ok(call.invoke_async(&mut connection).await?)
    }

    fn check_locally(&self, key: &str, rate: Rate) -> Decision {
        let scaled = |value: u32| ((f64::from(value) * self.share) as u32).max(1);
        let rate = Rate { per_minute: scaled(rate.per_minute), burst: scaled(rate.burst) };
        let mut local = self.local.lock();
        let now = u64::try_from(local.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        if local.arrivals.len() >= Self::LOCAL_KEYS {
            local.arrivals.retain(|_, arrival| *arrival > now);
        }
        let arrival = local.arrivals.get(key).copied().unwrap_or_default();
        let (decision, kept) = decide(rate, now, arrival);
        local.arrivals.insert(key.to_owned(), kept);
        decision
    }
}
