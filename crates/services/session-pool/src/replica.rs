//! The life of a replica: beats, pumps, and leaves its sessions behind for others to take at once.

use std::time::Duration;

use barid_bus::Bus;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    balance::Replica,
    ownership::Lease,
    pump::{Pump, RELEASED},
    store::Store,
};

/// What a replica says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// How it stands, an encoded `Replica`.
    pub status: Vec<u8>,
    /// Whether others may hand sessions over to it.
    pub takes: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self { status: Vec::new(), takes: true }
    }
}

/// The heartbeat of a replica.
pub(crate) struct Heart {
    pub store: Store,
    pub replica: Uuid,
    pub ttl: Duration,
    pub lease: Lease,
    pub alive: watch::Sender<Vec<Replica>>,
    pub standing: watch::Receiver<Standing>,
}

impl Heart {
    /// Says once that the replica is alive.
    pub(crate) async fn beat(&self) -> Result<(), Error> {
        let begun = self.lease.now();
        let standing = self.standing.borrow().clone();
        let alive = self.store.beat(self.replica, self.ttl, standing).await?;
        self.lease.renew(begun);
        self.alive.send_replace(alive);
        Ok(())
    }

    async fn run(&self, stop: CancellationToken) {
        let mut silent = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.ttl / 3) => {}
            }
            match tokio::time::timeout(self.ttl, self.beat()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "no heartbeat"),
                Err(_) => tracing::warn!("a heartbeat did not end"),
            }
            if silent == self.lease.holds() {
                silent = !silent;
                tracing::warn!(silent, "the replica {}", if silent { "falls silent" } else { "is heard of again" });
            }
        }
    }
}

/// Pumps until `shutdown`. The heart beats until the last message under way has its outcome.
pub(crate) async fn live(heart: Heart, pump: Pump, bus: Bus, shutdown: CancellationToken) {
    let stop = CancellationToken::new();
    let beating = heart.run(stop.clone());
    let pumping = async {
        pump.run(shutdown).await;
        stop.cancel();
    };
    tokio::join!(beating, pumping);
    heart.lease.end();
    match heart.store.leave(heart.replica).await {
        Ok(()) => bus.notify(RELEASED, heart.replica.to_string().into_bytes().into()).await,
        Err(error) => tracing::warn!(%error, "the replica leaves without a word; others take over later"),
    }
}
