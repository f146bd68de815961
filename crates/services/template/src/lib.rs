//! The template service: what a business says in its messages, and how it reads with a customer's data filled in.

pub mod render;
pub mod starters;
