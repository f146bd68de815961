//! What the service answers, one file per proto service.

mod devices;
mod media;
mod pairing;
mod pool;
mod sessions;
mod status;

use std::{sync::Arc, time::Duration};

use barid_domain::Clock;
use barid_whatsapp::cloud::Client;

use crate::{
    clients::Directory,
    link::Pairer,
    signals::Signals,
    store::{Intake, Store},
};

#[derive(Clone)]
pub(crate) struct State {
    pub store: Store,
    pub intake: Intake,
    pub cloud: Client,
    pub directory: Directory,
    pub signals: Signals,
    /// Links devices; missing in a build without them.
    pub pairer: Option<Arc<dyn Pairer>>,
    /// What customers sent.
    pub blobs: barid_blob::Store,
    pub clock: Arc<dyn Clock>,
    /// Largest file that is brought, in bytes.
    pub media_limit: u64,
    /// How long a replica counts as alive.
    pub ttl: Duration,
}
