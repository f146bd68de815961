//! What operators can set.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What may be fetched, and how long it may take. Everything has a default.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Networks that are fetched from although they are not public, such as `10.20.0.0/16` or `127.0.0.1`. Default: none.
    pub allow: Vec<String>,
    /// Whether `http:` is fetched beside `https:`. Default: no.
    pub allow_http: bool,
    /// Ports that a URL may name. Default: 80 and 443.
    pub ports: Vec<u16>,
    /// How long resolving a name, connecting and the TLS handshake may take together. Default: 5 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long everything may take, redirects and the whole body included. Default: 60 s.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Duration,
    /// How many redirects are followed. Default: 5.
    pub max_redirects: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            allow_http: false,
            ports: vec![80, 443],
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(60),
            max_redirects: 5,
        }
    }
}

impl Settings {
    /// One line per problem, each naming the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.allow.iter().filter(|text| network(text).is_none()).map(|text| not_a_network(text)).collect();
        if self.ports.is_empty() {
            problems.push("ports: is empty, which lets nothing through; name at least 443".to_owned());
        }
        if self.connect_timeout.is_zero() {
            problems.push("connect_timeout: is 0; give at least a second".to_owned());
        }
        if self.total_timeout < self.connect_timeout {
            problems.push("total_timeout: is shorter than connect_timeout; give at least as long".to_owned());
        }
        problems
    }

    pub(crate) fn networks(&self) -> Vec<IpNet> {
        self.allow.iter().filter_map(|text| network(text)).collect()
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn not_a_network(text: &str) -> String {
    format!("allow: `{text}` is no network; write it as 10.20.0.0/16, fd12::/16 or a single address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problems_and_reading_nothing_gives_them() {
        assert_eq!(Settings::default().problems(), Vec::<String>::new());
        let read: Settings = toml::from_str("").expect("defaults");
        assert_eq!(format!("{read:?}"), format!("{:?}", Settings::default()));
        assert!(!read.allow_http && read.allow.is_empty());
    }

    #[test]
    fn problems_name_their_key() {
        let settings: Settings = toml::from_str(
            r#"
            allow = ["10.0.0.0/8", "::1", "intranet", "10.0.0.0/33"]
            ports = []
            connect_timeout = "10s"
            total_timeout = "2s"
            "#,
        )
        .expect("settings");
        assert_eq!(settings.networks().len(), 2);
        let problems = settings.problems();
        let keys: Vec<&str> = problems.iter().filter_map(|problem| problem.split(':').next()).collect();
        assert_eq!(keys, ["allow", "allow", "ports", "total_timeout"], "{problems:?}");
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(toml::from_str::<Settings>("alow = []").is_err());
    }
}
