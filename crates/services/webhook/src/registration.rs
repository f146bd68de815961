//! What a tenant may say of an endpoint.

use barid_proto::{Violations, webhook::v1::Endpoint};
use tonic::Status;

use crate::{carrier::Carrier, filter};

/// An endpoint as its tenant describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub display_name: String,
    pub url: String,
    pub event_types: Vec<String>,
}

/// Judges a description. Lengths are judged with the request.
pub(crate) fn check(endpoint: Endpoint, carrier: &Carrier) -> Result<Registration, Status> {
    let mut violations = Violations::default();
    let url = endpoint.url.trim().to_owned();
    if let Err(error) = carrier.judge(&url) {
        let says = error.to_string();
        let says = says.strip_prefix("url: ").unwrap_or(&says).replace("invoice.pdf", "webhooks").replace("is not fetched", "is not used");
        violations.add("endpoint.url", "refused", says);
    }
    filter::check(&endpoint.event_types, &mut violations);
    violations.check()?;
    let mut event_types = endpoint.event_types;
    event_types.sort();
    event_types.dedup();
    Ok(Registration { display_name: endpoint.display_name.trim().to_owned(), url, event_types })
}

const FIELDS: [&str; 3] = ["display_name", "url", "event_types"];

/// Puts the fields that `mask` names (without names: those that are set) from `changes` into `endpoint`.
pub(crate) fn merge(endpoint: &mut Endpoint, changes: Endpoint, mask: &[String]) -> Result<(), Status> {
    if let Some(path) = mask.iter().find(|path| !FIELDS.contains(&path.as_str())) {
        let known = "displayName, url, eventTypes";
        return Err(Violations::one("updateMask", "unknown_field", format!("`{path}` cannot be changed; known: {known}")));
    }
    let chosen = |field: &str, is_set: bool| if mask.is_empty() { is_set } else { mask.iter().any(|path| path == field) };
    if chosen("display_name", !changes.display_name.is_empty()) {
        endpoint.display_name = changes.display_name;
    }
    if chosen("url", !changes.url.is_empty()) {
        endpoint.url = changes.url;
    }
    if chosen("event_types", !changes.event_types.is_empty()) {
        endpoint.event_types = changes.event_types;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use barid_egress::{Sender, Settings};

    use super::*;

    fn carrier() -> Carrier {
        let settings = Settings { ports: vec![443, 8443], ..Settings::default() };
        Carrier::new(Sender::new(&settings).expect("a sender"), Duration::from_secs(15))
    }

    fn endpoint(url: &str) -> Endpoint {
        Endpoint { url: url.into(), ..Endpoint::default() }
    }

    #[test]
    fn addresses_that_are_never_reached_are_refused_with_a_reason() {
        let carrier = carrier();
        assert!(check(endpoint(" https://shop.example:8443/hooks?key=a "), &carrier).is_ok_and(|new| new.url.ends_with("?key=a")));
        for (url, says) in [
            ("http://shop.example/", "`http:` is not used; use https:"),
            ("https://user:password@shop.example/", "names a user or a password"),
            ("https://shop.example:6379/", "port 6379"),
            ("https://127.0.0.1/", "a loopback address"),
            ("https://10.1.2.3/", "a private address"),
            ("https://169.254.169.254/latest", "metadata"),
            ("https://[::ffff:10.0.0.1]/", "an IPv4 address within an IPv6 address"),
            ("https://[fe80::1]/", "a link-local address"),
            ("https://2130706433/", "a loopback address"),
            ("shop.example/hooks", "is no URL"),
            ("", "is no URL"),
        ] {
            let error = check(endpoint(url), &carrier).expect_err(url);
            assert!(error.message().starts_with("endpoint.url: ") && error.message().contains(says), "{url}: {}", error.message());
        }
    }

    #[test]
    fn a_mask_names_what_changes() {
        let before = Endpoint { display_name: "Till".into(), event_types: vec!["message.*".into()], ..endpoint("https://a.example/") };
        let mut merged = before.clone();
        merge(&mut merged, endpoint("https://b.example/"), &[]).expect("merged");
        assert_eq!(merged, Endpoint { url: "https://b.example/".into(), ..before.clone() });
        merge(&mut merged, Endpoint::default(), &["event_types".into(), "display_name".into()]).expect("merged");
        assert_eq!(merged, endpoint("https://b.example/"));
        let error = merge(&mut merged, before, &["secret".into()]).expect_err("not by hand");
        assert!(error.message().contains("`secret` cannot be changed"), "{}", error.message());
    }
}
