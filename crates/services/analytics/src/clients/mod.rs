//! What the figures need of other services, remembered for seconds.

mod directory;

pub(crate) use directory::Directory;
