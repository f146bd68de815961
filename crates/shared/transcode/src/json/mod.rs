//! JSON as proto3 maps it: a parsed tree, and messages from and to it.

pub(crate) mod any;
mod read;
mod tree;
mod write;

pub(crate) use read::{Reader, rival};
pub(crate) use tree::Json;
pub(crate) use write::{FieldJson, MessageJson};
