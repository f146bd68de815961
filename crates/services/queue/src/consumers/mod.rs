//! Events of other services, one file each.

mod sessions;

pub(crate) use sessions::Sessions;
