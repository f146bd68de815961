//! Events of other services, one file each.

mod sessions;
mod tenants;

pub(crate) use sessions::Sessions;
pub(crate) use tenants::Tenants;
