//! The chores as they are called.

mod chaos;
mod manifests;
