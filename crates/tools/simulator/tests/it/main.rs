//! The simulator over real sockets.

mod faults;
mod letters;
mod lifecycle;
mod media;
mod messages;
mod phones;
mod support;
mod templates;
#[cfg(feature = "web")]
mod web_faults;
#[cfg(feature = "web")]
mod web_messages;
#[cfg(feature = "web")]
mod web_pairing;
#[cfg(feature = "web")]
mod web_phones;
#[cfg(feature = "web")]
mod web_state;
#[cfg(feature = "web")]
mod web_support;
#[cfg(feature = "web")]
mod web_tls;
mod webhooks;
