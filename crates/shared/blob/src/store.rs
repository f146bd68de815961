//! The store.

use barid_domain::TenantId;
use barid_vault::Vault;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, TryStreamExt, future};
use object_store::{ObjectMeta, ObjectStoreExt, path::Path};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{BoxError, Config, Digest, Error, Reader, backend::Backend, digest::OBJECTS, frame, leftovers, write::Writer};

/// Keeps contents. Clone it freely.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    vault: Vault,
}

/// What came of [`Store::put_stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub digest: Digest,
    /// Bytes of content.
    pub size: u64,
}

/// What came of [`Store::sweep`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Contents that were too old.
    pub objects: u64,
    /// Uploads that were never finished.
    pub unfinished: u64,
}

const STAGING: &str = "staging";

impl Store {
    /// Deletions on their way at once during a sweep.
    const ABREAST: usize = 8;

    /// Opens the folder, which is made where it is missing, or the bucket, which is not asked yet: [`Store::check`] does.
    pub fn open(config: &Config, vault: Vault) -> Result<Self, Error> {
        Ok(Self { backend: Backend::open(config)?, vault })
    }

    /// Whether the place can be reached and read, for a service's readiness.
    pub async fn check(&self) -> Result<(), Error> {
        if let Some(folder) = &self.backend.folder {
            let mut entries = tokio::fs::read_dir(folder).await.map_err(Error::Folder)?;
            entries.next_entry().await.map_err(Error::Folder)?;
        }
        self.backend.objects.list(Some(&Path::from(STAGING))).try_next().await?;
        Ok(())
    }

    /// Keeps content and tells its name. What is there already becomes as new.
    pub async fn put(&self, tenant: TenantId, plain: Bytes) -> Result<Digest, Error> {
        let limit = plain.len() as u64;
        let whole = futures::stream::iter([Ok::<_, BoxError>(plain)]);
        Ok(self.put_stream(tenant, whole, limit).await?.digest)
    }

    /// Keeps content that comes in pieces, up to `limit` bytes. Nothing is kept where the source fails or is larger.
    pub async fn put_stream<S, E>(&self, tenant: TenantId, source: S, limit: u64) -> Result<Stored, Error>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<BoxError>,
    {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let staging = Path::from_iter([STAGING, &Uuid::new_v4().simple().to_string()]);
        let mut writer = Writer::new(self.backend.objects.clone(), staging, key, tenant);
        match pour(source, limit, &mut writer).await {
            Ok(()) => writer.finish().await,
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    /// The name that content has or would have.
    pub async fn digest(&self, tenant: TenantId, plain: &[u8]) -> Result<Digest, Error> {
        Ok(Digest::of(&*self.vault.tenant(tenant.uuid()).await?, Sha256::new_with_prefix(plain)))
    }

    /// Content of up to `limit` bytes; none where there is none.
    pub async fn get(&self, tenant: TenantId, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        match self.get_stream(tenant, digest, limit).await? {
            Some(reader) => reader.whole().await.map(Some),
            None => Ok(None),
        }
    }

    /// The same, piece by piece.
    pub async fn get_stream(&self, tenant: TenantId, digest: &Digest, limit: u64) -> Result<Option<Reader>, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let Some(found) = present(self.backend.objects.get(&digest.path(&key)).await)? else { return Ok(None) };
        let size = frame::content_len(found.meta.size).ok_or(Error::Damaged(*digest))?;
        if size > limit {
            return Err(Error::TooLarge { limit });
        }
        Ok(Some(Reader::new(key, tenant, *digest, size, found.into_stream())))
    }

    /// Whether there is content of that name. Not whether it is sound.
    pub async fn exists(&self, tenant: TenantId, digest: &Digest) -> Result<bool, Error> {
        let path = digest.path(&*self.vault.tenant(tenant.uuid()).await?);
        Ok(present(self.backend.objects.head(&path).await)?.is_some())
    }

    /// Deletes content, for everything that refers to it. What is not there is deleted already.
    pub async fn delete(&self, tenant: TenantId, digest: &Digest) -> Result<(), Error> {
        let path = digest.path(&*self.vault.tenant(tenant.uuid()).await?);
        present(self.backend.objects.delete(&path).await)?;
        Ok(())
    }

    /// Deletes what was put before `older_than`, of all tenants, by the clock of the place where it is kept.
    pub async fn sweep(&self, older_than: DateTime<Utc>) -> Result<Swept, Error> {
        let objects = self.sweep_folder(OBJECTS, older_than).await?;
        let mut unfinished = self.sweep_folder(STAGING, older_than).await?;
        if let Some(folder) = self.backend.folder.clone() {
            let swept = tokio::task::spawn_blocking(move || leftovers::sweep(&folder, older_than.into())).await;
            unfinished += swept.map_err(|error| Error::Folder(error.into()))?.map_err(Error::Folder)?;
        }
        Ok(Swept { objects, unfinished })
    }

    async fn sweep_folder(&self, folder: &str, older_than: DateTime<Utc>) -> Result<u64, Error> {
        let is_old = move |meta: &ObjectMeta| meta.last_modified < older_than;
        let deletions = self
            .backend
            .objects
            .list(Some(&Path::from(folder)))
            .try_filter(move |meta| future::ready(is_old(meta)))
            .map_ok(|listed| async move {
                // A list may be minutes old by now, and what it shows may have been put again.
                match present(self.backend.objects.head(&listed.location).await)? {
                    Some(now) if is_old(&now) => present(self.backend.objects.delete(&listed.location).await),
                    _ => Ok(None),
                }
            })
            .try_buffer_unordered(Self::ABREAST);
        let count = |count, deleted: Option<()>| future::ready(Ok(count + u64::from(deleted.is_some())));
        Ok(deletions.try_fold(0, count).await?)
    }
}

async fn pour<S, E>(source: S, limit: u64, writer: &mut Writer) -> Result<(), Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    let mut source = std::pin::pin!(source);
    let mut left = limit;
    while let Some(chunk) = source.next().await {
        let chunk = chunk.map_err(|error| Error::Source(error.into()))?;
        left = left.checked_sub(chunk.len() as u64).ok_or(Error::TooLarge { limit })?;
        writer.take(&chunk).await?;
    }
    Ok(())
}

/// What is not there is no failure.
fn present<T>(result: object_store::Result<T>) -> Result<Option<T>, object_store::Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
