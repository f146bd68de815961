//! PostgreSQL for Barid's services: two ways in, and the tables that every service has.
//!
//! [`Tenant::transaction`] acts for one tenant, whose rows are all it can see. [`Engine::transaction`] serves many tenants in one commit and is
//! for stores only. Both run in a task of their own, so that a caller who goes away leaves no transaction behind;
//! and both end within a minute although the database vanishes without a word.

mod bad_value;
mod checkpoint;
mod connect;
mod keys;
mod outbox;
mod pool;
mod transaction;

pub use bad_value::is_bad_value;
pub use checkpoint::{advance, load as checkpoint};
pub use connect::{Config, Db, Error};
pub use keys::TenantKeys;
pub use outbox::{APART, NewEvent, Outbox, OutboxTable, append, first_id, id_time};
pub use transaction::{Engine, Tenant, Tx};
