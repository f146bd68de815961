//! What each service's NATS user may do, and nothing else. Rendered as a nats-server configuration.

use std::fmt::Write;

use barid_domain::Secret;

use crate::{Service, subject};

/// Entities whose events a service publishes.
const fn publishes(service: Service) -> &'static [&'static str] {
    match service {
        Service::Tenant => &["tenant"],
        Service::Template => &["template"],
        Service::Queue => &["message", "inbound"],
        Service::SessionPool => &["session"],
        Service::Webhook => &["webhook"],
        Service::Gateway | Service::Analytics | Service::Operator => &[],
    }
}

/// Entities whose events a service reads.
const fn reads(service: Service) -> &'static [&'static str] {
    match service {
        Service::Gateway | Service::Analytics => &["message"],
        Service::Queue => &["session", "tenant"],
        Service::Webhook => &["message", "session", "template", "webhook"],
        Service::Operator => &["message", "tenant", "template", "session", "webhook"],
        _ => &[],
    }
}

/// The configuration of a nats-server for these users: accounts, permissions, payload limit.
pub fn server_config(users: &[(Service, Secret)]) -> String {
    let mut text = String::from("max_payload: 4MB\nauthorization {\n  users: [\n");
    for (service, password) in users {
        let (publish, subscribe) = (publish(*service), subscribe(*service));
        let list = |subjects: &[String]| subjects.iter().map(|subject| format!("\"{subject}\"")).collect::<Vec<_>>().join(", ");
        // Without `allow_responses`: whoever asks itself for an answer on the subject of another would be allowed to publish there.
        let _ = writeln!(
            text,
            "    {{ user: \"{}\", password: \"{}\", permissions: {{ publish: {{ allow: [{}] }}, subscribe: {{ allow: [{}] }} }} }}",
            service.name(),
            password.expose(),
            list(&publish),
            list(&subscribe),
        );
    }
    text.push_str("  ]\n}\n");
    text
}

fn publish(service: Service) -> Vec<String> {
    let name = service.name();
    let mut allowed = vec![format!("rpc.{name}.>"), format!("notice.{name}.>")];
    for entity in publishes(service) {
        let stream = subject::stream(entity);
        allowed.push(subject::events_of(entity));
        for call in ["INFO", "CREATE", "UPDATE", "MSG.GET"] {
            allowed.push(format!("$JS.API.STREAM.{call}.{stream}"));
        }
        allowed.push(format!("$JS.API.DIRECT.GET.{stream}"));
    }
    for entity in reads(service) {
        let stream = subject::stream(entity);
        allowed.push(format!("$JS.API.STREAM.INFO.{stream}"));
        for call in ["CREATE", "INFO", "DELETE", "MSG.NEXT"] {
            allowed.push(format!("$JS.API.CONSUMER.{call}.{stream}.>"));
        }
        allowed.push(format!("$JS.API.CONSUMER.CREATE.{stream}"));
        allowed.push(format!("$JS.ACK.{stream}.>"));
    }
    match service {
        Service::Operator => allowed.push("$SRV.>".to_owned()),
        Service::Gateway => {}
        // Answers to calls, and to an operator's `$SRV`.
        _ => allowed.extend([format!("inbox.*.{name}.>"), format!("_INBOX_{}.>", Service::Operator.name())]),
    }
    allowed
}

fn subscribe(service: Service) -> Vec<String> {
    let name = service.name();
    let mut allowed = vec![format!("_INBOX_{name}.>"), format!("inbox.{name}.>"), "notice.>".to_owned()];
    match service {
        Service::Operator => allowed.push("events.>".to_owned()),
        Service::Gateway => {}
        _ => {
            allowed.push(format!("rpc.*.{name}.>"));
            allowed.push("$SRV.>".to_owned());
        }
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_publish_under_the_name_of_another() {
        for service in Service::ALL {
            for other in Service::ALL.into_iter().filter(|other| *other != service) {
                assert!(!publish(service).iter().any(|subject| subject.starts_with(&format!("rpc.{}.", other.name()))));
            }
            assert!(!publish(service).iter().any(|subject| subject == ">" || subject.starts_with("rpc.*")));
        }
    }
}
