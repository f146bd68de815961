//! What the service answers, one file per proto service.

mod deliveries;
mod endpoints;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{body::Writer, carrier::Carrier, store::Store};

#[derive(Clone)]
pub(crate) struct State {
    pub store: Store,
    pub carrier: Carrier,
    pub writer: Writer,
    /// Tests under way: nobody waits for the slow endpoints of others.
    pub tests: Arc<Semaphore>,
}
