//! Frames: how content is cut, sealed and opened again.

use barid_domain::TenantId;
use barid_vault::{Place, TenantKey};
use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::Digest;

/// Content in every frame but the last.
pub(crate) const FRAME: usize = 1 << 20;
/// What sealing adds: format, key version, nonce, tag.
const SEAL: usize = 1 + 4 + 24 + 16;
/// A frame that is not the last, sealed.
pub(crate) const SEALED: usize = FRAME + SEAL;
/// Format and object, before the first frame.
pub(crate) const HEAD: usize = 1 + 16;
const FORMAT: u8 = 1;

/// Content in an object of `size` bytes; none if no object has that size.
pub(crate) fn content_len(size: u64) -> Option<u64> {
    let frames = size.checked_sub(HEAD as u64)?;
    let (whole, rest) = (frames / SEALED as u64, frames % SEALED as u64);
    let last = if rest == 0 && whole > 0 { FRAME as u64 } else { rest.checked_sub(SEAL as u64)? };
    let before = if rest == 0 { whole - 1 } else { whole };
    // A last frame is empty only where it is the first.
    (last > 0 || before == 0).then_some(before * FRAME as u64 + last)
}

/// Seals or opens the frames of one object, in order.
pub(crate) struct Frames {
    tenant: TenantId,
    object: Uuid,
    index: u64,
}

/// Which frame it is.
#[derive(Clone, Copy)]
enum Turn {
    Inner,
    Last(Digest),
}

impl Frames {
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant, object: Uuid::new_v4(), index: 0 }
    }

    pub fn from_head(tenant: TenantId, head: &[u8]) -> Option<Self> {
        let (&format, object) = head.split_first()?;
        (format == FORMAT).then_some(())?;
        Some(Self { tenant, object: Uuid::from_slice(object).ok()?, index: 0 })
    }

    pub fn head(&self) -> Bytes {
        let mut head = BytesMut::with_capacity(HEAD);
        head.put_u8(FORMAT);
        head.put_slice(self.object.as_bytes());
        head.freeze()
    }

    /// Seals a frame that is not the last.
    pub fn seal(&mut self, key: &TenantKey, plain: &[u8]) -> Bytes {
        key.seal(self.next(key, Turn::Inner), plain).into()
    }

    /// Seals the last frame.
    pub fn seal_last(mut self, key: &TenantKey, plain: &[u8], digest: Digest) -> Bytes {
        key.seal(self.next(key, Turn::Last(digest)), plain).into()
    }

    pub fn open(&mut self, key: &TenantKey, sealed: &[u8]) -> Result<Bytes, barid_vault::Error> {
        key.open(self.next(key, Turn::Inner), sealed).map(Bytes::from)
    }

    pub fn open_last(&mut self, key: &TenantKey, sealed: &[u8], digest: Digest) -> Result<Bytes, barid_vault::Error> {
        key.open(self.next(key, Turn::Last(digest)), sealed).map(Bytes::from)
    }

    /// Where the next frame stands. A place has room for 16 bytes beside the tenant, so that they are a keyed hash of all that counts.
    fn next(&mut self, key: &TenantKey, turn: Turn) -> Place {
        let (object, index) = (self.object.simple(), self.index);
        let row = match turn {
            Turn::Inner => format!("{object}/{index}"),
            Turn::Last(digest) => format!("{object}/{index}/{digest}"),
        };
        self.index += 1;
        Place { tenant: self.tenant.uuid(), column: "blob.frame", row: Uuid::from_bytes(key.blind_index("blob.frame", &row)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{self, TENANT};

    fn object_len(content: u64) -> u64 {
        let frames = content.div_ceil(FRAME as u64).max(1);
        HEAD as u64 + content + frames * SEAL as u64
    }

    #[test]
    fn sizes_at_the_edges_of_frames() {
        let frame = FRAME as u64;
        for content in [0, 1, frame - 1, frame, frame + 1, 2 * frame, 2 * frame + 1] {
            assert_eq!(content_len(object_len(content)), Some(content), "{content}");
        }
        for size in [0, HEAD, HEAD + 1, HEAD + SEAL - 1, HEAD + SEALED + SEAL - 1, HEAD + SEALED + SEAL] {
            assert_eq!(content_len(size as u64), None, "{size}");
        }
    }

    /// A changed frame would be noticed by the digest as well, but only after it was handed on.
    #[test]
    fn a_frame_opens_only_as_what_it_was_sealed_as() {
        let key = testing::key();
        let (digest, other) = (testing::digest(&key, b"content"), testing::digest(&key, b"other"));
        let mut sealing = Frames::new(TENANT);
        let head = sealing.head();
        let opening = || Frames::from_head(TENANT, &head).expect("a head");
        let (first, second) = (sealing.seal(&key, b"con"), sealing.seal(&key, b"te"));
        let last = sealing.seal_last(&key, b"nt", digest);

        let mut frames = opening();
        assert_eq!(frames.open(&key, &first).expect("opens"), "con");
        assert_eq!(frames.open(&key, &second).expect("opens"), "te");
        assert_eq!(frames.open_last(&key, &last, digest).expect("opens"), "nt");

        assert!(opening().open(&key, &second).is_err(), "out of order");
        assert!(Frames::new(TENANT).open(&key, &first).is_err(), "of another object");
        assert!(opening().open_last(&key, &first, digest).is_err(), "not the last");
        for wrong in [other, digest] {
            let mut frames = opening();
            frames.open(&key, &first).and_then(|_| frames.open(&key, &second)).expect("open");
            let opened = if wrong == other { frames.open_last(&key, &last, other) } else { frames.open(&key, &last) };
            assert!(opened.is_err(), "of another digest, or as one that is not the last");
        }
        assert!(opening().open_last(&key, &last, digest).is_err(), "too early");
    }

    #[test]
    fn a_head_of_another_format_is_none() {
        let mut head = Frames::new(TENANT).head().to_vec();
        assert!(Frames::from_head(TENANT, &head).is_some());
        head[0] = 2;
        assert!(Frames::from_head(TENANT, &head).is_none());
    }

    proptest! {
        #[test]
        fn the_size_of_an_object_tells_that_of_its_content(content in 0..1_u64 << 45) {
            prop_assert_eq!(content_len(object_len(content)), Some(content));
        }

        #[test]
        fn sizes_that_no_content_has_are_none(size in 0..1_u64 << 45) {
            prop_assert!(content_len(size).is_none_or(|content| object_len(content) == size));
        }
    }
}
