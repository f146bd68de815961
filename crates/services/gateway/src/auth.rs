//! Who calls: bearer tokens, looked up by their hash and remembered for seconds.

use std::{sync::Arc, time::Duration};

use barid_bus::{Bus, Channel, Service};
use barid_proto::{
    access::Principal,
    fault,
    tenant::v1::{AuthenticateRequest, directory_service_client::DirectoryServiceClient},
};
use bytes::Bytes;
use futures::StreamExt;
use http::HeaderMap;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// SHA-256 of a token.
type Hash = [u8; 32];

/// How long a key is remembered when nothing says that it was revoked.
const REMEMBER: Duration = Duration::from_secs(5);

/// Finds the holders of keys. Clone it freely.
#[derive(Clone)]
pub(crate) struct Auth {
    client: DirectoryServiceClient<Channel>,
    known: Cache<Hash, Arc<Principal>>,
    /// Changes whenever a key is revoked.
    revoked: watch::Sender<()>,
}

impl Auth {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            client: DirectoryServiceClient::new(bus.channel()),
            known: Cache::builder().max_capacity(100_000).time_to_live(REMEMBER).build(),
            revoked: watch::Sender::new(()),
        }
    }

    /// Changes whenever a key was revoked and is forgotten here. A notice may be lost: who must know asks from time to time as well.
    pub(crate) fn revocations(&self) -> watch::Receiver<()> {
        self.revoked.subscribe()
    }

    /// The holder of the key that a call carries. `UNAUTHENTICATED` without one, or when it is unknown or revoked.
    pub(crate) async fn principal(&self, headers: &HeaderMap) -> Result<Arc<Principal>, Status> {
        let token = bearer(headers)?;
        let hash: Hash = Sha256::digest(token).into();
        let mut client = self.client.clone();
        let look_up = async move {
            let request = AuthenticateRequest { secret_sha256: hash.to_vec() };
            match client.authenticate(request).await {
                Ok(answer) => answer.into_inner().principal.map(Arc::new).ok_or_else(refused),
                Err(status) if status.code() == Code::NotFound => Err(refused()),
                Err(status) => Err(status),
            }
        };
        self.known.try_get_with(hash, look_up).await.map_err(Arc::unwrap_or_clone)
    }

    /// Forgets keys that are revoked, until `shutdown`.
    pub(crate) async fn follow(self, bus: Bus, shutdown: CancellationToken) {
        let Ok(mut revoked) = bus.notices(Service::Tenant, "key-revoked").await else { return };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                notice = revoked.next() => {
                    let Some(notice) = notice else { return };
                    if let Ok(hash) = Hash::try_from(Bytes::as_ref(&notice)) {
                        self.known.invalidate(&hash).await;
                        self.revoked.send_replace(());
                    }
                }
            }
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&[u8], Status> {
    let missing =
        || fault(Code::Unauthenticated, "KEY_MISSING", "the call carries no API key; send the header `Authorization: Bearer <key>`");
    let value = headers.get(http::header::AUTHORIZATION).ok_or_else(missing)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7).ok_or_else(missing)?;
    let token = token.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty() { Ok(token) } else { Err(missing()) }
}

fn refused() -> Status {
    fault(Code::Unauthenticated, "KEY_REFUSED", "the API key is unknown or revoked; use a valid one")
}
