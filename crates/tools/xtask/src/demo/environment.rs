use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where a Barid runs and how to speak to it: what `cargo xtask up` leaves in `.barid/dev.env`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    pub url: String,
    pub simulator_url: String,
    /// A key of the demo's organisation.
    pub api_key: Option<String>,
    /// Makes organisations and their keys.
    pub platform_key: Option<String>,
    /// The laundry of the demo, for first calls by hand.
    pub tenant_id: Option<String>,
}

const URL: &str = "BARID_URL";
const SIMULATOR_URL: &str = "BARID_SIMULATOR_URL";
const API_KEY: &str = "BARID_API_KEY";
const PLATFORM_KEY: &str = "BARID_PLATFORM_KEY";
const TENANT_ID: &str = "BARID_TENANT_ID";

impl Environment {
    /// What the last `up` left in its folder; empty before the first.
    pub fn left_in(home: &Path) -> Result<Self> {
        match std::fs::read_to_string(file(home)) {
            Ok(text) => Ok(Self::read(|name| value(&text, name))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).context("reading .barid/dev.env"),
        }
    }

    /// The variables of this process, and for what they do not name what the last `up` left.
    pub fn current(home: &Path) -> Result<Self> {
        let left = Self::left_in(home)?;
        let given = Self::read(|name| std::env::var(name).ok());
        if !given.url.is_empty() && given.url != left.url {
            // Another Barid: the keys of ours are worth nothing there.
            return Ok(given);
        }
        let or = |given: String, left: String| if given.is_empty() { left } else { given };
        Ok(Self {
            url: or(given.url, left.url),
            simulator_url: or(given.simulator_url, left.simulator_url),
            api_key: given.api_key.or(left.api_key),
            platform_key: given.platform_key.or(left.platform_key),
            tenant_id: given.tenant_id.or(left.tenant_id),
        })
    }

    pub fn save(&self, home: &Path) -> Result<()> {
        let entries = [
            (URL, Some(&self.url)),
            (API_KEY, self.api_key.as_ref()),
            (SIMULATOR_URL, Some(&self.simulator_url)),
            (PLATFORM_KEY, self.platform_key.as_ref()),
            (TENANT_ID, self.tenant_id.as_ref()),
        ];
        let text: String = entries.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}\n"))).collect();
        crate::private_file::write(&file(home), &text)
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            url: get(URL).unwrap_or_default().trim_end_matches('/').to_owned(),
            simulator_url: get(SIMULATOR_URL).unwrap_or_default().trim_end_matches('/').to_owned(),
            api_key: get(API_KEY),
            platform_key: get(PLATFORM_KEY),
            tenant_id: get(TENANT_ID),
        }
    }
}

fn file(home: &Path) -> PathBuf {
    home.join("dev.env")
}

fn value(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_again() -> Result<()> {
        let home = tempfile::tempdir()?;
        assert_eq!(Environment::left_in(home.path())?, Environment::default());
        let environment = Environment {
            url: "http://127.0.0.1:8080".into(),
            simulator_url: "http://127.0.0.1:8090".into(),
            api_key: Some("key=with=signs".into()),
            platform_key: None,
            tenant_id: Some("ten_1".into()),
        };
        environment.save(home.path())?;
        assert_eq!(Environment::left_in(home.path())?, environment);
        Ok(())
    }
}
