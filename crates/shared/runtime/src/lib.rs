//! What every service needs around itself: configuration, telemetry, health, and an orderly life from start to drain.

mod batch;
pub mod config;
mod health;
mod lifecycle;
mod telemetry;

pub use batch::{BatchLimits, Batcher};
pub use health::{Config as HealthConfig, Health};
pub use lifecycle::{Jobs, shutdown_signal};
pub use telemetry::{Config as TelemetryConfig, Format, Guard, init as init_telemetry};
