//! From content to an object.

use std::sync::Arc;

use barid_domain::TenantId;
use barid_vault::TenantKey;
use bytes::{Bytes, BytesMut};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart, path::Path};
use sha2::{Digest as _, Sha256};

use crate::{
    Digest, Error, Stored,
    frame::{FRAME, Frames},
};

/// What is held before an upload in parts begins, and the size of those parts: S3 takes no less than 5 MiB, some take equal parts only.
pub(crate) const PART: usize = 8 << 20;
/// Parts on their way at once.
const ABREAST: usize = 2;

/// Takes content and writes it sealed.
pub(crate) struct Writer {
    objects: Arc<dyn ObjectStore>,
    staging: Path,
    key: Arc<TenantKey>,
    frames: Frames,
    hash: Sha256,
    size: u64,
    waiting: BytesMut,
    held: Vec<Bytes>,
    upload: Option<WriteMultipart>,
}

impl Writer {
    pub fn new(objects: Arc<dyn ObjectStore>, staging: Path, key: Arc<TenantKey>, tenant: TenantId) -> Self {
        let frames = Frames::new(tenant);
        let held = vec![frames.head()];
        Self { objects, staging, key, frames, hash: Sha256::new(), size: 0, waiting: BytesMut::new(), held, upload: None }
    }

    pub async fn take(&mut self, mut content: &[u8]) -> Result<(), Error> {
        self.size += content.len() as u64;
        while !content.is_empty() {
            // Sealed only when more comes, so that the last frame has something in it.
            if self.waiting.len() == FRAME {
                let sealed = self.frames.seal(&self.key, &self.waiting);
                self.waiting.clear();
                self.send(sealed).await?;
                tokio::task::yield_now().await;
            }
            let (now, later) = content.split_at(content.len().min(FRAME - self.waiting.len()));
            self.hash.update(now);
            self.waiting.extend_from_slice(now);
            content = later;
        }
        Ok(())
    }

    async fn send(&mut self, sealed: Bytes) -> Result<(), Error> {
        self.held.push(sealed);
        if self.upload.is_none() {
            if self.held.iter().map(Bytes::len).sum::<usize>() <= PART {
                return Ok(());
            }
            let upload = self.objects.put_multipart(&self.staging).await?;
            self.upload = Some(WriteMultipart::new_with_chunk_size(upload, PART));
        }
        if let Some(upload) = &mut self.upload {
            for sealed in self.held.drain(..) {
                upload.wait_for_capacity(ABREAST).await?;
                upload.put(sealed);
            }
        }
        Ok(())
    }

    /// Writes what is left and gives the object its name.
    pub async fn finish(mut self) -> Result<Stored, Error> {
        let digest = Digest::of(&self.key, self.hash);
        let last = self.frames.seal_last(&self.key, &self.waiting, digest);
        let target = digest.path(&self.key);
        match self.upload.take() {
            None => {
                self.held.push(last);
                self.objects.put(&target, PutPayload::from_iter(self.held)).await?;
            }
            Some(mut upload) => {
                upload.put(last);
                upload.finish().await?;
                self.objects.rename(&self.staging, &target).await?;
            }
        }
        Ok(Stored { digest, size: self.size })
    }

    /// Gives up what was written so far.
    pub async fn abort(mut self) {
        if let Some(upload) = self.upload.take()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(staging = %self.staging, %error, "an upload that was given up could not be taken back; the sweep will");
        }
    }
}
