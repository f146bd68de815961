//! `barid config`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{cli::Config, part::Part};

pub(crate) fn run(command: Config, file: Option<&Path>) -> Result<()> {
    match command {
        Config::Dump { service } => {
            for part in parts(service.as_deref())? {
                println!("{}", part.dump(file)?);
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
            Ok(_) => println!("{}: ok", part.section()),
            Err(error) => {
                wrong += 1;
                println!("{error}");
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
