//! What every request needs.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{calls::Calls, config::Config, hub::Hub, rest::Routes};

/// Clone it freely.
#[derive(Clone)]
pub(crate) struct State {
    pub calls: Calls,
    pub routes: Arc<Routes>,
    pub hub: Arc<Hub>,
    pub config: Arc<Config>,
    pub shutdown: CancellationToken,
}
