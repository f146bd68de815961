//! Events of other services, one file each.

mod messages;

pub(crate) use messages::Messages;
