//! Layered configuration: defaults compiled in, then a file, then environment variables.
//!
//! Each service reads its own section: `[queue]` in the file, `BARID_QUEUE__<KEY>` in the environment, with `__` between levels.

use std::{convert::Infallible, path::Path};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
    value::Value,
};
use serde::{Serialize, de::DeserializeOwned};

/// A configuration that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("configuration file {0} cannot be read: {1}")]
    File(String, std::io::Error),
    #[error("configuration of `{section}` is wrong:\n{}", problems.join("\n"))]
    Invalid { section: String, problems: Vec<String> },
}

/// A configuration that knows its own rules beyond types.
pub trait Validate {
    /// One line per problem, each naming the key: `listen: is no address`.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Reads a section and checks its rules. `defaults` is the commented file that is compiled in.
pub fn load<T: DeserializeOwned + Validate>(section: &str, defaults: &str, file: Option<&Path>) -> Result<T, Error> {
    let config: T = read(section, defaults, file)?;
    let problems = config.problems();
    if problems.is_empty() {
        Ok(config)
    } else {
        let problems = problems.into_iter().map(|problem| format!("  {section}.{problem}")).collect();
        Err(Error::Invalid { section: section.to_owned(), problems })
    }
}

/// Reads a section whose type has rules of its own.
pub fn read<T: DeserializeOwned>(section: &str, defaults: &str, file: Option<&Path>) -> Result<T, Error> {
    let mut figment = Figment::from(Toml::string(defaults));
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| Error::File(path.display().to_string(), error))?;
        figment = figment.merge(Figment::from(Toml::string(&text)).focus(section));
    }
    for (key, text) in Env::prefixed(&format!("BARID_{}__", section.to_uppercase())).split("__").iter() {
        let key = key.as_str();
        // A password may look like a number, and must keep its leading zeros.
        let is_text = ["password", "secret", "token", "key", "url"].iter().any(|kind| key.ends_with(kind));
        let value = if is_text { Value::from(text) } else { text.parse().unwrap_or_else(|never: Infallible| match never {}) };
        figment = figment.merge((key, value));
    }
    figment.extract().map_err(|error| Error::Invalid {
        section: section.to_owned(),
        problems: error.into_iter().map(|error| describe(section, &error)).collect(),
    })
}

/// A configuration as a TOML section, secrets masked.
pub fn dump<T: Serialize>(section: &str, config: &T) -> Result<String, toml::ser::Error> {
    toml::to_string(&toml::Table::from_iter([(section.to_owned(), toml::Value::try_from(config)?)]))
}

fn describe(section: &str, error: &figment::Error) -> String {
    let mut path = error.path.clone();
    if let figment::error::Kind::MissingField(field) = &error.kind {
        path.push(field.to_string());
    }
    let key = path.join(".");
    let variable = format!("BARID_{}__{}", section.to_uppercase(), path.join("__").to_uppercase());
    match &error.kind {
        figment::error::Kind::MissingField(_) => format!("  {section}.{key}: is missing; set it in the file or as {variable}"),
        figment::error::Kind::UnknownField(name, known) => {
            let key = if path.last() == Some(name) { key } else { path.iter().chain([name]).cloned().collect::<Vec<_>>().join(".") };
            format!("  {section}.{key}: is not a setting; known here: {}", known.join(", "))
        }
        kind if key.is_empty() => format!("  {section}: {kind}"),
        kind => format!("  {section}.{key}: {kind} (also settable as {variable})"),
    }
}
