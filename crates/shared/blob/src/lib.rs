//! Keeps what is too big for a row, encrypted, on a local disk or in an S3-compatible store.
//!
//! Content is found by its [`Digest`]: a keyed hash that is one tenant's own. Equal contents of one tenant are one object; those of two
//! tenants have nothing in common, and without the tenant's key neither a digest nor the name of an object says what it stands for.
//! Whoever destroys the key has erased the contents.
//!
//! # What an object looks like
//!
//! `1 | object (16 random bytes) | frame | frame | ...`, at `objects/<2 digits>/<32 digits>`, the digits
//! being a keyed hash of the digest. Each frame is
//! [sealed](barid_vault::TenantKey::seal) by itself and holds 1 MiB of content, the last one what is left. A frame is bound to its tenant,
//! object and index; the last one to the digest as well. So frames cannot be exchanged, reordered or left out, an object cannot be cut
//! short or be put in another's place, and memory stays bounded whatever the size. What is read is hashed again and compared.
//!
//! # What comes in piece by piece
//!
//! [`Store::put_stream`] knows the digest at the end only. What fits in one part is held until then; what is larger goes to `staging/`
//! and is renamed. What a process that died leaves there, [`Store::sweep`] deletes. A bucket wants a lifecycle rule that aborts
//! incomplete multipart uploads, for those it cannot see.
//!
//! # Expiry
//!
//! Putting again what is there makes it new again. [`Store::sweep`] deletes what was put before a given time, so choose that time well
//! before the last moment at which anything may still be asked for: a message that waits must be younger than what it refers to.
//!
//! ```toml
//! [blob]
//! # Where contents are kept: a folder as file:///var/lib/barid/media, or s3://bucket/prefix. No default.
//! url = "file:///var/lib/barid/media"
//! # Only for S3: a server other than Amazon's, such as http://minio:9000. Buckets are named in the path.
//! endpoint = ""
//! # Only for S3; us-east-1 when empty.
//! region = ""
//! # Only for S3; without keys, those that the machine's or pod's role gives are used.
//! access_key = ""
//! secret_key = ""
//! # Only for S3: whether an endpoint may be http:. Contents are encrypted anyway; names and signatures are not.
//! allow_http = false
//! ```

mod backend;
mod config;
mod connector;
mod digest;
mod frame;
mod leftovers;
mod read;
mod store;
#[cfg(test)]
mod testing;
mod write;

pub use config::Config;
pub use digest::Digest;
pub use read::Reader;
pub use store::{Store, Stored, Swept};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why content was not kept, found or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the blob store's configuration is wrong: {}", .0.join("; "))]
    Config(Vec<String>),
    #[error("the blob store cannot be used: {0}")]
    Backend(#[from] object_store::Error),
    #[error("the folder of the blob store cannot be used ({0}); check that it exists and that Barid may write to it")]
    Folder(#[source] std::io::Error),
    #[error(transparent)]
    Vault(#[from] barid_vault::Error),
    #[error("the content is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the content could not be read to its end: {0}")]
    Source(#[source] BoxError),
    #[error("blob {0} is damaged or is not what it was stored as; put its content again, or restore it")]
    Damaged(Digest),
}
