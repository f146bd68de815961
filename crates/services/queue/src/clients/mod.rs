//! What the queue asks of other services, remembered for seconds.

mod directory;
mod renderer;
mod sessions;

pub(crate) use directory::{Directory, Profile};
pub(crate) use renderer::{RenderRequest, Renderer};
pub(crate) use sessions::Sessions;

use std::time::Duration;

/// How long an answer is remembered when nothing says that it changed.
const REMEMBER: Duration = Duration::from_secs(5);
