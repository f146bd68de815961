//! WhatsApp Web, over real sockets.

mod endings;
mod fake;
mod media;
mod pairing;
mod receiving;
mod sending;
mod support;
mod trips;
