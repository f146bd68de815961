//! Files that customers sent: brought from WhatsApp when first asked for, then read from our own store.

use std::time::Duration;

use barid_blob::Digest;
use barid_domain::{SessionId, TenantId};
use barid_proto::{fault, session_pool::v1::FetchMediaResponse};
use barid_whatsapp::cloud::MediaError;
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};

use super::State;
use crate::{
    Error, meta,
    store::{ErrandKind, Errands, Way},
};

/// Bytes of one answer.
const PART: usize = 1 << 20;
/// How long WhatsApp may take to hand a file over.
const PATIENCE: Duration = Duration::from_secs(25);
/// Largest file that is brought, in bytes: as large as WhatsApp lets them be.
const LARGEST: u64 = 100 << 20;

impl State {
    /// A part of the file that a pointer leads to.
    pub(super) async fn media_part(
        &self,
        tenant: TenantId,
        session: SessionId,
        pointer: &[u8],
        offset: u64,
    ) -> Result<FetchMediaResponse, Status> {
        let name = hex::encode(Sha256::digest(pointer));
        let kept = self.store.kept_media(tenant, &name).await?;
        if let Some(digest) = kept
            && let Some(part) = self.read(tenant, digest, offset).await?
        {
            return Ok(part);
        }
        let digest = self.bring(tenant, session, pointer).await?;
        self.store.keep_media(tenant, &name, digest).await?;
        match self.read(tenant, digest, offset).await? {
            Some(part) => Ok(part),
            None => Err(Status::internal("a file that was just kept is not there")),
        }
    }

    async fn bring(&self, tenant: TenantId, session: SessionId, pointer: &[u8]) -> Result<Digest, Status> {
        if let Some(id) = meta::file_id(pointer) {
            let bringing = self.bring_from_meta(tenant, session, &id);
            return tokio::time::timeout(PATIENCE, bringing).await.unwrap_or_else(|_| Err(refusal("slow")));
        }
        match self.ask_for(tenant, session, ErrandKind::Media, pointer, PATIENCE).await? {
            Some(Errands::Done(answer)) => match <[u8; 16]>::try_from(answer.as_slice()) {
                Ok(bytes) => Ok(Digest::from_bytes(bytes)),
                Err(_) => Err(Status::internal("an errand for a file brought something else")),
            },
            Some(Errands::Failed(code)) => Err(refusal(&code)),
            Some(Errands::Open) | None => {
                Err(fault(Code::Unavailable, "NOT_CONNECTED", "the session is not connected yet; ask again in a moment"))
            }
        }
    }

    /// Meta hands files out to whoever has the number's token; no connection is needed.
    async fn bring_from_meta(&self, tenant: TenantId, session: SessionId, id: &str) -> Result<Digest, Status> {
        let sender = self.store.senders(vec![session]).await?.remove(&session).filter(|sender| sender.tenant == tenant);
        let Some(Way::Cloud { number, .. }) = sender.map(|sender| sender.way) else { return Err(refusal("not_connected")) };
        let download = self.cloud.media(&number, id).await.map_err(|error| {
            tracing::info!(%session, %error, "a file does not come");
            refusal(if error == MediaError::Gone { "gone" } else { "unavailable" })
        })?;
        let pieces = stream::try_unfold(download, async |mut download| {
            let piece = download.chunk().await?;
            Ok::<_, MediaError>(piece.map(|piece| (piece, download)))
        });
        match self.blobs.put_stream(tenant, pieces, LARGEST).await {
            Ok(stored) => Ok(stored.digest),
            Err(barid_blob::Error::TooLarge { .. }) => Err(refusal("too_large")),
            Err(error) => {
                tracing::error!(%session, %error, "a file is not kept");
                Err(refusal("unavailable"))
            }
        }
    }

    async fn read(&self, tenant: TenantId, digest: Digest, offset: u64) -> Result<Option<FetchMediaResponse>, Error> {
        let Some(mut reader) = self.blobs.get_stream(tenant, &digest, self.media_limit).await? else { return Ok(None) };
        let total_size = reader.size();
        let mut skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut data = Vec::new();
        while data.len() < PART
            && let Some(chunk) = reader.try_next().await?
        {
            let chunk: Bytes = chunk;
            let wanted = &chunk[skip.min(chunk.len())..];
            skip = skip.saturating_sub(chunk.len());
            data.extend_from_slice(&wanted[..wanted.len().min(PART - data.len())]);
        }
        Ok(Some(FetchMediaResponse { data: data.into(), total_size }))
    }
}

fn refusal(code: &str) -> Status {
    match code {
        "not_connected" => fault(
            Code::FailedPrecondition,
            "NOT_CONNECTED",
            "the session is not linked or not active, so WhatsApp cannot be asked for the file",
        ),
        "too_large" => fault(Code::FailedPrecondition, "FILE_TOO_LARGE", "the file is larger than this installation brings"),
        "gone" => fault(Code::NotFound, "FILE_GONE", "WhatsApp does not keep the file any more; ask the customer to send it again"),
        _ => fault(Code::Unavailable, "FILE_UNAVAILABLE", "WhatsApp did not hand the file over; try again later"),
    }
}
