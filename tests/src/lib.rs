//! A whole Barid in one process, on real servers: every service, the simulator, and a business that can send.

mod api;
mod business;
mod settings;
mod stack;

pub use api::{Answer, Api};
pub use business::{Business, SEED_CALL, SEED_TEXT};
pub use stack::{Replica, Servers, Stack};
