//! Redis for Barid: rate limits, and nothing that may not be lost.

mod gcra;
mod limiter;

pub use gcra::{Decision, Rate};
pub use limiter::{Config, Error, Limiter};
