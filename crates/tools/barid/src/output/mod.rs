//! How commands print.

mod json;
mod screen;
mod table;
mod words;

pub(crate) use json::json;
pub(crate) use screen::{Screen, width};
pub(crate) use table::Table;
pub(crate) use words::{age, name, plain, until};

use std::io::{ErrorKind, Write};

use anyhow::Result;

/// Prints a line. A reader that has gone away, such as `head`, has what it wanted.
pub(crate) fn say(line: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => Ok(outcome?),
    }
}
