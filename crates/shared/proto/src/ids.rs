//! Ids on the wire are strings; here they become what they are.

use barid_domain::id::{Id, Kind};
use tonic::Status;

use crate::status::{Violations, not_found};

/// Reads an id that names a resource: what cannot be one is not found, just like one that does not exist.
pub fn resource<K: Kind>(text: &str) -> Result<Id<K>, Status> {
    text.parse().map_err(|_| not_found(K::NAME, text))
}

/// Reads an id that is an argument: what cannot be one is the caller's mistake.
pub fn argument<K: Kind>(field: &str, text: &str) -> Result<Id<K>, Status> {
    text.parse().map_err(|error: barid_domain::id::Error| Violations::one(field, "invalid_id", error.to_string()))
}
