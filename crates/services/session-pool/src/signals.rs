//! Wakes calls that wait for something another replica does. A signal may be lost: whoever waits looks again by itself now and then.

use std::{str::FromStr, time::Duration};

use barid_bus::{Bus, Service};
use barid_domain::SessionId;
use futures::{StreamExt, stream};
use tokio::{sync::broadcast, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    store::{ERRAND, PAIRING},
};

/// Signals that a slow listener may be behind; after that it looks by itself.
const BEHIND: usize = 1024;
/// How often a waiting call looks by itself.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(crate) struct Signals(broadcast::Sender<SessionId>);

impl Signals {
    /// Signals, and the work of listening for them.
    pub(crate) async fn listen(bus: &Bus, shutdown: CancellationToken) -> Result<(Self, impl Future<Output = ()> + Send + use<>), Error> {
        let (sender, _) = broadcast::channel(BEHIND);
        let listen = async |topic| bus.notices(Service::SessionPool, topic).await.map_err(|error| Error::Listen(error.into()));
        let mut notices = stream::select_all([listen(PAIRING).await?.boxed(), listen(ERRAND).await?.boxed()]);
        let signals = sender.clone();
        let work = async move {
            loop {
                let notice = tokio::select! {
                    () = shutdown.cancelled() => return,
                    notice = notices.next() => notice,
                };
                let Some(notice) = notice else { return };
                let session = std::str::from_utf8(&notice).ok().and_then(|id| SessionId::from_str(id).ok());
                if let Some(session) = session {
                    // Nobody may be waiting.
                    signals.send(session).ok();
                }
            }
        };
        Ok((Self(sender), work))
    }

    /// Listens for signals of a session from now on, for at most `patience`.
    pub(crate) fn of(&self, session: SessionId, patience: Duration) -> Listening {
        Listening { session, signals: self.0.subscribe(), until: Instant::now() + patience }
    }
}

/// When it is worth looking again.
pub(crate) struct Listening {
    session: SessionId,
    signals: broadcast::Receiver<SessionId>,
    until: Instant,
}

impl Listening {
    /// Waits until it is worth looking again; `false` when the time is over.
    pub(crate) async fn again(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        let next = (Instant::now() + LOOK).min(self.until);
        let heard = async {
            loop {
                match self.signals.recv().await {
                    Ok(signalled) if signalled != self.session => {}
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
                }
            }
        };
        // Either way it is time to look.
        tokio::time::timeout_at(next, heard).await.ok();
        true
    }
}
