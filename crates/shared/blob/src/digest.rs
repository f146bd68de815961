//! What content is called.

use std::{fmt, str::FromStr};

use barid_vault::TenantKey;
use object_store::path::Path;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;
use uuid::Uuid;

/// Where contents are.
pub(crate) const OBJECTS: &str = "objects";

/// The name of content, known to one tenant: the blind index of its SHA-256. Shown, stored and sent as 32 hexadecimal digits. It tells
/// nothing to whoever has not the tenant's key, so that it may stand in a row or an event as it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

/// A text that is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected 32 digits of 0-9 and a-f")]
pub struct NotADigest;

impl Digest {
    pub(crate) fn of(key: &TenantKey, hash: Sha256) -> Self {
        Self(key.blind_index("blob.content", &hex::encode(sha2::Digest::finalize(hash))))
    }

    /// Where the content is kept. A tenant that names another's digest names nothing.
    pub(crate) fn path(self, key: &TenantKey) -> Path {
        let name = hex::encode(key.blind_index("blob.object", &self.to_string()));
        Path::from_iter([OBJECTS, &name[..2], &name])
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// For a column of 16 bytes.
    pub const fn uuid(self) -> Uuid {
        Uuid::from_bytes(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    /// Takes one way to write it only, so that equal digests have equal texts.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotADigest)?;
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) { Err(NotADigest) } else { Ok(Self(bytes)) }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_what_it_writes_and_nothing_else() {
        let digest = Digest::from_bytes([0xab; 16]);
        assert_eq!(digest.to_string(), "ab".repeat(16));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for wrong in ["", "ab", &"AB".repeat(16), &"ab".repeat(17), &"zz".repeat(16), "../../../../../../../../etc/pwd"] {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
    }
}
