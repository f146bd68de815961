//! The simulator over real sockets.

mod faults;
mod lifecycle;
mod media;
mod messages;
mod phones;
mod support;
mod templates;
mod webhooks;
