//! What can be set about the simulated WhatsApp.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use barid_domain::Secret;
use serde::{Deserialize, Serialize};

/// The commented defaults; layer a file and the environment over them.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The simulator's configuration; each key is explained in `config.default.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address to listen on, `host:port`. Read by the caller, who binds the listener.
    pub listen: String,
    /// Address of the mail server, `host:port`; empty: none.
    pub listen_smtp: String,
    pub delays: Delays,
    pub phones: Phones,
    pub webhooks: Webhooks,
    pub meta: Meta,
    /// The WhatsApp Web protocol; without the feature `web` it says nothing.
    pub web: Web,
    /// Meta apps by name.
    pub apps: BTreeMap<String, App>,
}

/// How long a message takes from step to step.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Delays {
    #[serde(with = "humantime_serde")]
    pub sent: Duration,
    #[serde(with = "humantime_serde")]
    pub delivered: Duration,
    #[serde(with = "humantime_serde")]
    pub read: Duration,
    #[serde(with = "humantime_serde")]
    pub jitter: Duration,
}

/// What phones do by themselves, and how much is remembered of them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Phones {
    pub auto_read: bool,
    pub messages_kept: usize,
    pub ids_kept: usize,
    pub max: usize,
}

/// How webhooks are posted.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    pub batch: usize,
    #[serde(with = "humantime_serde")]
    pub batch_wait: Duration,
    pub lanes: usize,
    pub reorder: bool,
    #[serde(with = "humantime_serde")]
    pub reorder_spread: Duration,
    pub escape_non_ascii: bool,
    pub attempts: u32,
    #[serde(with = "humantime_serde")]
    pub first_retry: Duration,
    #[serde(with = "humantime_serde")]
    pub longest_retry: Duration,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    pub waiting_max: usize,
}

/// How Meta itself behaves.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    pub late_errors: bool,
    #[serde(with = "humantime_serde")]
    pub template_review: Duration,
    pub media_bytes: usize,
}

/// How the WhatsApp Web protocol is served, on `/ws/chat` of the simulator's own address.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// Address of a second listener with TLS, `host:port`; empty: none.
    pub listen_tls: String,
    /// PEM files; empty: a certificate of its own for localhost, made at each start.
    pub certificate: PathBuf,
    pub private_key: PathBuf,
    /// Where accounts, devices, keys, queues and messages survive a restart; empty: nowhere.
    pub state_dir: PathBuf,
    /// The host that clients are told to fetch media from, `host:port`; empty: the simulator's own address.
    pub media_host: String,
    /// Media kept in all, in bytes.
    pub media_bytes: usize,
}

/// A Meta app: the secret that signs its webhooks and the endpoint that takes them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub app_secret: Secret,
    #[serde(default)]
    pub verify_token: Secret,
    /// Empty: this app's webhooks go nowhere, and are counted as such.
    #[serde(default)]
    pub callback_url: String,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Invalid {
    /// The key at fault, dotted.
    pub key: String,
    pub problem: String,
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Names the first key whose value cannot work.
    pub fn validate(&self) -> Result<(), Invalid> {
        let positive = [
            ("phones.messages_kept", self.phones.messages_kept),
            ("phones.ids_kept", self.phones.ids_kept),
            ("webhooks.batch", self.webhooks.batch),
            ("webhooks.lanes", self.webhooks.lanes),
            ("webhooks.attempts", self.webhooks.attempts as usize),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(Invalid { key: key.into(), problem: "must be at least 1".into() });
            }
        }
        for (name, app) in &self.apps {
            app.validate().map_err(|(key, problem)| Invalid { key: format!("apps.{name}.{key}"), problem })?;
        }
        Ok(())
    }
}

impl App {
    pub(crate) fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.app_secret.is_empty() {
            return Err(("app_secret", "must not be empty: webhooks are signed with it".into()));
        }
        if !self.callback_url.is_empty() {
            let url = reqwest::Url::parse(&self.callback_url).map_err(|error| ("callback_url", error.to_string()))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(("callback_url", "must be an http or https address".into()));
            }
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        toml::from_str(DEFAULTS).expect("the compiled-in defaults parse; a unit test holds it")
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn the_compiled_in_defaults_are_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn a_bad_callback_names_its_key() {
        let mut config = Config::default();
        let app = super::App { app_secret: super::Secret::new("s"), callback_url: "not a url".into(), ..Default::default() };
        config.apps.insert("one".into(), app);
        assert_eq!(config.validate().unwrap_err().key, "apps.one.callback_url");
    }
}
