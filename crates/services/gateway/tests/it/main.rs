//! The gateway on a real bus, with the services behind it played.

mod ends;
mod house;
#[allow(dead_code, reason = "the tests of the binary use the rest of it")]
mod pairings;
mod polled;
mod raw;
