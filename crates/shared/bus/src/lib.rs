//! NATS for Barid: gRPC services over request/reply, the telling of events over JetStream, and small broadcasts.
//!
//! Generated tonic clients call through a [`Channel`]; generated tonic servers are served by a [`Server`]. A [`Relay`] tells
//! what a ledger's event table holds, and [`consume`] hands it to those who count. Nothing here is an authority: what is lost
//! on NATS is told again from PostgreSQL.

pub mod acl;
mod channel;
mod connect;
mod consume;
mod inbox;
mod lag;
mod metadata;
mod relay;
mod server;
pub mod subject;
mod trace;

pub use channel::Channel;
pub use connect::{Bus, Config, ConnectError, Notices, Service};
pub use consume::{Applied, Checkpoint, Consumer, consume};
pub use lag::Lag;
pub use relay::{Outbox, POSITION_HEADER, Relay, RelayConfig};
pub use server::{Caller, ServeError, Server, principal, tenant};

/// An error of a store that the bus reads from or writes to.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
