//! Where WhatsApp Web is, how long to wait for it, and how much to keep in memory.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use reqwest::Url;

use super::{Error, TRUSTS_SIMULATOR};

/// How the connector behaves, for all sessions of a process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `wss://web.whatsapp.com/ws/chat`, or a simulator's address.
    pub url: String,
    /// Replaces `https://{host}` of the media hosts that WhatsApp names, for simulators and proxies.
    pub media_url: Option<String>,
    /// The version of WhatsApp Web to claim. Never fetched: an old one ends in [`Closed::Outdated`](super::Closed::Outdated).
    pub version: (u32, u32, u32),
    /// What the phone shows in its list of linked devices.
    pub device_name: String,
    /// For TCP, TLS and the WebSocket upgrade together.
    pub connect_timeout: Duration,
    /// From the first byte until WhatsApp says that the login succeeded.
    pub login_timeout: Duration,
    /// How long a send waits for the server's ack before it is uncertain.
    pub ack_timeout: Duration,
    /// How long one file may take to or from the media hosts.
    pub media_timeout: Duration,
    /// How long a pairing may take in all.
    pub pairing_timeout: Duration,
    /// One-time keys kept with the server. A tenth of what WhatsApp Web does: a business is rarely written to by many new devices at once.
    pub prekeys: usize,
    /// The largest file that is sent or downloaded, in bytes. Files are held in memory while they are on their way.
    pub media_limit: u64,
    /// How much memory files of all sessions may take together, in bytes. Others wait.
    pub media_memory: u64,
    /// Events that may wait in one connection before it stops reading from its socket.
    pub event_queue: usize,
    /// A PEM file with one more root for TLS, for wss to a simulator.
    pub root_certificate: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: wacore::net::WHATSAPP_WEB_WS_URL.into(),
            media_url: None,
            version: (2, 3000, 1_026_131_876),
            device_name: "Barid".into(),
            connect_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(30),
            ack_timeout: Duration::from_secs(20),
            media_timeout: Duration::from_secs(60),
            pairing_timeout: Duration::from_secs(170),
            prekeys: 32,
            media_limit: 16 << 20,
            media_memory: 128 << 20,
            event_queue: 256,
            root_certificate: None,
        }
    }
}

/// What differs between sessions.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether contacts see the number as online while it is connected. Then its phone gets no notifications.
    pub presence: bool,
    /// Replaces [`Settings::device_name`].
    pub device_name: Option<String>,
    /// How much history the phone hands over when it links; 0 skips it.
    pub history_days: u32,
}

impl Settings {
    /// The addresses, checked.
    pub(super) fn addresses(&self) -> Result<(Url, Option<Url>), Error> {
        let url = address(&self.url, &["wss", "ws"], TRUSTS_SIMULATOR)?;
        let media = self.media_url.as_deref().map(|media| address(media, &["https", "http"], TRUSTS_SIMULATOR)).transpose()?;
        Ok((url, media))
    }
}

/// Checks an address. Plain text may go to this machine only; and who trusts a simulator may talk to nobody else at all.
fn address(text: &str, schemes: &[&str], trusts_simulator: bool) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::Address(text.to_owned()))?;
    if !schemes.contains(&url.scheme()) || url.host().is_none() {
        return Err(Error::Address(text.to_owned()));
    }
    if is_loopback(&url) {
        return Ok(url);
    }
    if trusts_simulator {
        return Err(Error::SimulatorOnly(text.to_owned()));
    }
    if url.scheme() == schemes[0] { Ok(url) } else { Err(Error::PlainText(text.to_owned())) }
}

/// Whether the host is this machine by its address, or by the one name that never resolves to another.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: [&str; 2] = ["wss", "ws"];

    #[test]
    fn a_build_that_trusts_a_simulator_talks_to_this_machine_only() {
        for url in [
            "wss://web.whatsapp.com/ws/chat",
            "wss://127.0.0.1.whatsapp.com/",
            "wss://10.0.0.1/",
            "wss://[::2]/",
            "ws://simulator:80/",
            "wss://localhost.example/",
            "wss://127.0.0.1@web.whatsapp.com/",
        ] {
            assert!(matches!(address(url, &WEB, true), Err(Error::SimulatorOnly(_))), "{url}");
        }
        for url in ["wss://127.0.0.1:1/", "ws://127.8.8.8:1/", "ws://localhost:1/", "wss://[::1]:1/ws/chat"] {
            assert!(address(url, &WEB, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_default_is_whatsapp_and_only_a_build_that_verifies_takes_it() {
        assert!(address(&Settings::default().url, &WEB, false).is_ok());
        assert_eq!(Settings::default().addresses().is_ok(), !TRUSTS_SIMULATOR);
    }

    #[test]
    fn plain_text_stays_on_this_machine() {
        assert!(matches!(address("ws://web.whatsapp.com/", &WEB, false), Err(Error::PlainText(_))));
        assert!(address("ws://localhost/", &WEB, false).is_ok());
        assert!(matches!(address("http://localhost/", &WEB, false), Err(Error::Address(_))));
        assert!(matches!(address("nonsense", &WEB, false), Err(Error::Address(_))));
    }
}
