//! What the service answers, one file per proto service.

mod api_keys;
mod directory;
mod organisations;
mod tenants;

use std::sync::Arc;

use barid_bus::{Bus, principal};
use barid_domain::{Id, OrganisationId, id::Kind};
use barid_proto::{Violations, access::Scope, ids};
use tonic::{Request, Status};

use crate::store::Store;

#[derive(Clone)]
pub(crate) struct State {
    pub store: Store,
    pub bus: Bus,
    /// SHA-256 of the platform's key.
    pub platform_key: Arc<[u8; 32]>,
}

/// The organisation a call is about: the caller's own, or for the platform the one it names.
fn organisation<T>(request: &Request<T>) -> Result<OrganisationId, Status> {
    let principal = principal(request)?;
    if principal.organisation_id.is_empty() {
        return Err(Violations::one("organisationId", "required", "is required with a platform key; name the organisation"));
    }
    ids::argument("organisationId", &principal.organisation_id)
}

/// The organisation that bounds a call; `None` for the platform, which may reach every one.
fn bound<T>(request: &Request<T>) -> Result<Option<OrganisationId>, Status> {
    let principal = principal(request)?;
    if principal.scope() == Scope::Platform { Ok(None) } else { organisation(request).map(Some) }
}

const PAGE: u64 = 100;

/// Size of a page and the id it begins after.
fn page<K: Kind>(size: i32, token: &str) -> Result<(Option<Id<K>>, u64), Status> {
    let after = if token.is_empty() {
        None
    } else {
        let wrong = |_| Violations::one("pageToken", "invalid_page_token", "is no token of this list; give the `nextPageToken` of a page");
        Some(token.parse().map_err(wrong)?)
    };
    Ok((after, u64::try_from(size).ok().filter(|size| *size > 0).unwrap_or(PAGE)))
}
