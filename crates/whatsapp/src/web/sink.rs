//! Where a connection puts what customers write.

use async_trait::async_trait;

use super::Inbound;

/// Why messages were not committed. WhatsApp keeps them, and hands them over again on the next connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("inbound messages were not committed: {0}")]
pub struct SinkError(pub String);

/// Takes what customers write. One per connection.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Commits messages before WhatsApp is told that they arrived. All or nothing, in this order. The same message may come again,
    /// alone or in another batch: know it by (chat, sender, id). While this waits, nothing more is received. An error closes
    /// the connection, because only a new one makes WhatsApp repeat them.
    async fn inbound(&self, batch: Vec<Inbound>) -> Result<(), SinkError>;
}
