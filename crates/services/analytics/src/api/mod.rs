//! What the service answers, one file per proto service.

mod analytics;

use std::sync::Arc;

use barid_domain::Clock;

use crate::{clients::Directory, store::Store};

#[derive(Clone)]
pub(crate) struct State {
    pub store: Store,
    pub directory: Directory,
    pub clock: Arc<dyn Clock>,
}
