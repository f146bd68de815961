//! `barid config`.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::{Result, bail};

use crate::{cli::Config, part::Part};

pub(crate) fn run(command: Config, file: Option<&Path>) -> Result<()> {
    match command {
        Config::Dump { service } => {
            for part in parts(service.as_deref())? {
                say(&part.dump(file)?)?;
            }
            Ok(())
        }
        Config::Check { service } => check(&parts(service.as_deref())?, file),
    }
}

fn check(parts: &[Part], file: Option<&Path>) -> Result<()> {
    let mut wrong = 0;
    for part in parts {
        match part.dump(file) {
            Ok(_) => say(&format!("{}: ok", part.section()))?,
            Err(error) => {
                wrong += 1;
                say(&error.to_string())?;
            }
        }
    }
    if wrong > 0 { bail!("{wrong} of {} sections cannot be used", parts.len()) } else { Ok(()) }
}

fn parts(service: Option<&str>) -> Result<Vec<Part>> {
    let Some(name) = service else { return Ok(Part::SERVICES.to_vec()) };
    match Part::named(name) {
        Some(part) => Ok(vec![part]),
        None => bail!("there is no service `{name}`; known: {}, simulator", Part::SERVICES.map(Part::section).join(", ")),
    }
}

/// Prints a line. A reader that has gone away, such as `head`, has what it wanted.
fn say(line: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => Ok(outcome?),
    }
}
