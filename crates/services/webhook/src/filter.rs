//! Which events an endpoint wants to hear of.

use barid_proto::{Violations, events::v1::Event};

/// Entities that are told.
pub(crate) const ENTITIES: [&str; 5] = ["message", "inbound", "session", "template", "webhook"];

/// The type of what TestEndpoint posts.
pub(crate) const TEST: &str = "webhook.test";

/// The type of an event, such as `message.sent`.
pub(crate) fn event_type(event: &Event) -> String {
    format!("{}.{}", event.entity, event.kind)
}

/// Whether one of the patterns is a type, or its entity with `*`; no pattern is every type.
pub(crate) fn wants(patterns: &[String], event_type: &str) -> bool {
    let matches = |pattern: &String| match pattern.strip_suffix(".*") {
        Some(entity) => event_type.split_once('.').is_some_and(|(of, _)| of == entity),
        None => pattern == event_type,
    };
    patterns.is_empty() || patterns.iter().any(matches)
}

/// Finds patterns that no event will ever match.
pub(crate) fn check(patterns: &[String], violations: &mut Violations) {
    for (index, pattern) in patterns.iter().enumerate() {
        let is_kind = |kind: &str| kind == "*" || !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let known = pattern.split_once('.').is_some_and(|(entity, kind)| ENTITIES.contains(&entity) && is_kind(kind));
        if !known {
            let remedy =
                format!("is no type of event; give one such as `message.delivered`, or `message.*`; entities are {}", ENTITIES.join(", "));
            violations.add(format!("endpoint.eventTypes[{index}]"), "unknown_type", remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn patterns_match_whole_types_and_whole_entities() {
        for (wanted, expected) in [
            (&[][..], true),
            (&["message.sent"], true),
            (&["message.*"], true),
            (&["inbound.*", "message.sent"], true),
            (&["message.send"], false),
            (&["mess.*"], false),
            (&["message.sent_"], false),
            (&["inbound.*"], false),
        ] {
            assert_eq!(wants(&patterns(wanted), "message.sent"), expected, "{wanted:?}");
        }
    }

    #[test]
    fn patterns_that_match_nothing_are_named() {
        let mut fine = Violations::default();
        check(&patterns(&["message.sent", "session.*", "webhook.disabled", "inbound.reaction_removed"]), &mut fine);
        assert!(fine.is_empty());
        for wrong in ["*", "message", "message.", "tenant.created", "message.Sent", "message.*.x", ".sent", "message.sent ", ""] {
            let mut violations = Violations::default();
            check(&patterns(&["message.*", wrong]), &mut violations);
            let told = violations.check().expect_err(wrong);
            assert!(told.message().starts_with("endpoint.eventTypes[1]: is no type"), "{wrong}: {}", told.message());
        }
    }
}
