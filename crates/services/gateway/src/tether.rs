//! What a stream hangs on: the right of its caller, and the gateway itself.

use std::time::Duration;

use barid_proto::{access::Method, fault};
use bytes::Bytes;
use http::HeaderMap;
use tokio::{
    sync::watch,
    time::{Interval, interval},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::{access::authorise, calls::Calls, state::State};

/// How often a stream makes sure of its right when nothing says that it was lost.
const RECHECK: Duration = Duration::from_secs(15);

pub(crate) struct Tether {
    calls: Calls,
    method: Method,
    headers: HeaderMap,
    request: Bytes,
    revocations: watch::Receiver<()>,
    recheck: Interval,
    shutdown: CancellationToken,
}

impl Tether {
    /// For a stream that `method` with `headers` and `request` was allowed to open.
    pub(crate) fn new(state: &State, method: &Method, headers: HeaderMap, request: Bytes) -> Self {
        let mut recheck = interval(RECHECK);
        recheck.reset();
        Self {
            calls: state.calls.clone(),
            method: method.clone(),
            headers,
            request,
            revocations: state.calls.auth.revocations(),
            recheck,
            shutdown: state.shutdown.clone(),
        }
    }

    /// Waits until the stream must end, and says why.
    pub(crate) async fn broken(&mut self) -> Status {
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => {
                    return fault(Code::Unavailable, "STOPPING", "this gateway stops; follow again after the last revision you have");
                }
                Ok(()) = self.revocations.changed() => {}
                _ = self.recheck.tick() => {}
            }
            if let Err(status) = self.allowed().await
                && matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied | Code::NotFound)
            {
                return status;
            }
            // Whoever cannot be asked at the moment has refused nothing.
        }
    }

    async fn allowed(&self) -> Result<(), Status> {
        let holder = self.calls.auth.principal(&self.headers).await?;
        authorise(&self.calls.directory, &self.method, &holder, &self.request).await.map(drop)
    }
}
