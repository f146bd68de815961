//! Judges URLs and addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::{Error, Refusal, Settings, is_public};

/// What the settings let pass.
pub(crate) struct Guard {
    allow: Vec<IpNet>,
    allow_http: bool,
    ports: Vec<u16>,
}

impl Guard {
    pub fn new(settings: &Settings) -> Self {
        Self { allow: settings.networks(), allow_http: settings.allow_http, ports: settings.ports.clone() }
    }

    pub fn address(&self, ip: IpAddr) -> Result<(), Refusal> {
        if self.allow.iter().any(|network| network.contains(&ip)) { Ok(()) } else { is_public(ip) }
    }

    /// Judges all that a URL shows by itself. Addresses behind a name are judged when it is resolved.
    pub fn url(&self, url: &Url) -> Result<(), Error> {
        if url.scheme() != "https" && !(self.allow_http && url.scheme() == "http") {
            return Err(Error::Scheme { scheme: url.scheme().to_owned(), http: self.allow_http });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Credentials);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !self.ports.contains(&port) {
            return Err(Error::Port { port, allowed: self.ports.clone() });
        }
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Error::Malformed("it has no host".to_owned())),
        };
        self.address(ip).map_err(|refusal| Error::Refused { host: ip.to_string(), refusal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(settings: &Settings, url: &str) -> Result<(), Error> {
        Guard::new(settings).url(&Url::parse(url).expect(url))
    }

    fn refusal(url: &str) -> Option<Refusal> {
        match judge(&Settings { allow_http: true, ..Settings::default() }, url) {
            Err(Error::Refused { refusal, .. }) => Some(refusal),
            _ => None,
        }
    }

    #[test]
    fn addresses_are_seen_through_every_way_to_write_them() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0X7F.0.0.1",
            "017700000001",
            "0177.0.0.01",
            "0x7f.0x0.0x0.0x1",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "①②⑦.0.0.1",
            "127\t.0.0.1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
        ] {
            assert_eq!(refusal(&format!("http://{host}/a")), Some(Refusal::Loopback), "{host}");
        }
        for (host, expected) in [
            ("0", Refusal::Unspecified),
            ("[::]", Refusal::Unspecified),
            ("2852039166", Refusal::Metadata),
            ("0xa9fea9fe", Refusal::Metadata),
            ("169.254.43518", Refusal::Metadata),
            ("[fd00:ec2::254]", Refusal::Metadata),
            ("012.1", Refusal::Private),
            ("3232235777", Refusal::Private),
            ("[::ffff:127.0.0.1]", Refusal::Ipv4InIpv6),
            ("[::ffff:a9fe:a9fe]", Refusal::Ipv4InIpv6),
            ("[::ffff:8.8.8.8]", Refusal::Ipv4InIpv6),
            ("[::127.0.0.1]", Refusal::Ipv4InIpv6),
            ("[64:ff9b::10.0.0.1]", Refusal::Nat64),
            ("[2002:7f00:1::]", Refusal::SixToFour),
            ("[2001:0:4136:e378:8000:63bf:80ff:fffe]", Refusal::Teredo),
        ] {
            assert_eq!(refusal(&format!("http://{host}/a")), Some(expected), "{host}");
        }
        assert_eq!(refusal("http:\\\\127.0.0.1\\a"), Some(Refusal::Loopback));
        assert_eq!(refusal("http:127.0.0.1"), Some(Refusal::Loopback));
        assert_eq!(refusal("http://8.8.8.8@127.0.0.1/"), None, "told of as credentials");
        assert_eq!(refusal("http://8.8.8.8/"), None);
    }

    #[test]
    fn scheme_port_and_credentials_are_judged() {
        let usual = Settings::default();
        assert_eq!(judge(&usual, "https://example.com/a"), Ok(()));
        assert_eq!(judge(&usual, "http://example.com/a"), Err(Error::Scheme { scheme: "http".to_owned(), http: false }));
        assert_eq!(judge(&Settings { allow_http: true, ..Settings::default() }, "http://example.com/a"), Ok(()));
        for url in ["ftp://example.com/a", "file:///etc/passwd", "gopher://example.com/", "data:text/plain,a", "unix:/run/a"] {
            assert!(matches!(judge(&usual, url), Err(Error::Scheme { .. })), "{url}");
        }
        assert_eq!(judge(&usual, "https://a@example.com/"), Err(Error::Credentials));
        assert_eq!(judge(&usual, "https://:b@example.com/"), Err(Error::Credentials));
        assert_eq!(judge(&usual, "https://example.com:6379/"), Err(Error::Port { port: 6379, allowed: vec![80, 443] }));
        assert_eq!(judge(&usual, "https://example.com:80/"), Ok(()));
    }

    #[test]
    fn exceptions_let_their_network_through_and_no_other() {
        let settings = Settings { allow: vec!["10.1.0.0/16".to_owned(), "::1".to_owned()], ..Settings::default() };
        assert_eq!(judge(&settings, "https://10.1.2.3/"), Ok(()));
        assert_eq!(judge(&settings, "https://[::1]/"), Ok(()));
        for url in ["https://10.2.0.1/", "https://127.0.0.1/", "https://[::ffff:10.1.2.3]/", "https://169.254.169.254/"] {
            assert!(matches!(judge(&settings, url), Err(Error::Refused { .. })), "{url}");
        }
    }

    #[test]
    fn messages_name_the_field_and_the_remedy() {
        let port = judge(&Settings::default(), "https://example.com:22/").expect_err("refused");
        assert_eq!(port.to_string(), "url: port 22 is not fetched from; use 80 or 443");
        let scheme = judge(&Settings::default(), "http://example.com/").expect_err("refused");
        assert_eq!(scheme.to_string(), "url: `http:` is not fetched; use https:");
        let inner = judge(&Settings::default(), "https://127.0.0.1/").expect_err("refused");
        assert_eq!(
            Error::Redirect(Box::new(inner)).to_string(),
            "url: redirects to where it may not (127.0.0.1 is a loopback address; give one that the public internet can reach); \
             give the link it should end at"
        );
    }
}
