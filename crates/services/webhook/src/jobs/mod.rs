//! Work that nobody asks for, one file each.

mod courier;
mod forget;
mod wind_up;

pub(crate) use courier::Courier;
pub(crate) use forget::forget;
pub(crate) use wind_up::wind_up;
