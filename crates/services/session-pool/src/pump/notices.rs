//! What makes a pump look: messages that wait, sessions that changed, replicas that left. Any of it may be lost.

use std::{pin::Pin, str::FromStr};

use barid_bus::{Bus, Service};
use barid_domain::SessionId;
use futures::{Stream, StreamExt, stream};
use uuid::Uuid;

use crate::{
    Error,
    store::{CHANGED, ERRAND},
};

/// Topic on which a replica that leaves says that its sessions are free, by its id.
pub(crate) const RELEASED: &str = "sessions-released";

/// Topic on which a replica says that it let sessions go that others shall take.
pub(super) const OFFERED: &str = "sessions-offered";

pub(super) enum Notice {
    Demand,
    Changed(Option<SessionId>),
    Released(Option<Uuid>),
    Offered,
    Errand,
}

pub(super) type Notices = Pin<Box<dyn Stream<Item = Notice> + Send>>;

/// Listens to all of them.
pub(super) async fn listen(bus: &Bus) -> Result<Notices, Error> {
    let listen = async |from, topic| bus.notices(from, topic).await.map_err(|error| Error::Listen(error.into()));
    let demand = listen(Service::Queue, "demand").await?.map(|_| Notice::Demand);
    let changed = listen(Service::SessionPool, CHANGED).await?.map(|id| Notice::Changed(read(&id)));
    let released = listen(Service::SessionPool, RELEASED).await?.map(|id| Notice::Released(read(&id)));
    let offered = listen(Service::SessionPool, OFFERED).await?.map(|_| Notice::Offered);
    let errand = listen(Service::SessionPool, ERRAND).await?.map(|_| Notice::Errand);
    Ok(stream::select_all([demand.boxed(), changed.boxed(), released.boxed(), offered.boxed(), errand.boxed()]).boxed())
}

fn read<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
