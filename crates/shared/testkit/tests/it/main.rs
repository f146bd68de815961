//! Starts every server for real.

mod databases;
mod nats;
mod postgres;
mod processes;
mod redis;
