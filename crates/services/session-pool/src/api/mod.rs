//! What the service answers, one file per proto service.

mod pool;
mod sessions;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{clients::Directory, store::Store};

#[derive(Clone)]
pub(crate) struct State {
    pub store: Store,
    pub directory: Directory,
    /// Notified when a webhook was stored.
    pub arrived: Arc<Notify>,
}
