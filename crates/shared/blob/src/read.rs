//! From an object back to its content.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use barid_domain::TenantId;
use barid_vault::TenantKey;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use sha2::{Digest as _, Sha256};

use crate::{
    Digest, Error,
    frame::{Frames, HEAD, SEALED},
};

/// Content, while it is read: chunks of at most 1 MiB, each of them authentic. That nothing is missing is known at the end only, so
/// keep nothing of a stream that ends in an error.
pub struct Reader {
    size: u64,
    chunks: BoxStream<'static, Result<Bytes, Error>>,
}

impl Reader {
    pub(crate) fn new(key: Arc<TenantKey>, tenant: TenantId, digest: Digest, size: u64, source: Sealed) -> Self {
        let opening = Opening { key, tenant, digest, source, waiting: BytesMut::new(), frames: None, hash: Sha256::new(), left: size };
        let chunks = stream::try_unfold(Some(opening), |opening| async move {
            match opening {
                Some(opening) => opening.next().await.map(Some),
                None => Ok(None),
            }
        });
        Self { size, chunks: chunks.boxed() }
    }

    /// Bytes of content.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(crate) async fn whole(mut self) -> Result<Bytes, Error> {
        let mut content = BytesMut::with_capacity(usize::try_from(self.size).unwrap_or_default());
        while let Some(chunk) = self.chunks.try_next().await? {
            content.extend_from_slice(&chunk);
        }
        Ok(content.freeze())
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({} bytes)", self.size)
    }
}

pub(crate) type Sealed = BoxStream<'static, object_store::Result<Bytes>>;

struct Opening {
    key: Arc<TenantKey>,
    tenant: TenantId,
    digest: Digest,
    source: Sealed,
    waiting: BytesMut,
    frames: Option<Frames>,
    hash: Sha256,
    /// Content that the object's size promised and that has not come yet.
    left: u64,
}

impl Opening {
    /// The next chunk, and itself unless that was the last.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), Error> {
        // One byte more than a frame shows that the frame is not the last.
        let wanted = SEALED + 1 + if self.frames.is_none() { HEAD } else { 0 };
        while self.waiting.len() < wanted
            && let Some(chunk) = self.source.try_next().await?
        {
            self.waiting.extend_from_slice(&chunk);
        }
        let damaged = Error::Damaged(self.digest);
        let is_last = self.waiting.len() < wanted;
        let mut frames = match self.frames.take() {
            Some(frames) => frames,
            None if self.waiting.len() < HEAD => return Err(damaged),
            None => match Frames::from_head(self.tenant, &self.waiting.split_to(HEAD)) {
                Some(frames) => frames,
                None => return Err(damaged),
            },
        };
        let opened = if is_last {
            frames.open_last(&self.key, &self.waiting, self.digest)
        } else {
            frames.open(&self.key, &self.waiting.split_to(SEALED))
        };
        let Ok(chunk) = opened else { return Err(damaged) };
        let Some(left) = self.left.checked_sub(chunk.len() as u64) else { return Err(damaged) };
        (self.left, self.frames) = (left, Some(frames));
        self.hash.update(&chunk);
        if !is_last {
            return Ok((chunk, Some(self)));
        }
        if left > 0 || Digest::of(&self.key, self.hash) != self.digest {
            return Err(damaged);
        }
        Ok((chunk, None))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::testing;

    fn read(key: &Arc<TenantKey>, digest: Digest, size: u64, object: Vec<Bytes>) -> Result<Bytes, Error> {
        let source = stream::iter(object.into_iter().map(Ok)).boxed();
        block_on(Reader::new(key.clone(), testing::TENANT, digest, size, source).whole())
    }

    /// Damage of a kind that cannot be made without the key.
    #[test]
    fn content_is_compared_with_its_digest_and_its_size() {
        let key = testing::key();
        let (right, wrong) = (testing::digest(&key, b"right"), testing::digest(&key, b"wrong"));
        let object = |digest| {
            let frames = Frames::new(testing::TENANT);
            vec![frames.head(), frames.seal_last(&key, b"right", digest)]
        };
        assert_eq!(read(&key, right, 5, object(right)).expect("read"), "right");
        assert!(matches!(read(&key, wrong, 5, object(wrong)), Err(Error::Damaged(_))));
        assert!(matches!(read(&key, right, 4, object(right)), Err(Error::Damaged(_))));
        assert!(matches!(read(&key, right, 6, object(right)), Err(Error::Damaged(_))));
    }
}
