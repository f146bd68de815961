//! The rules of a template that a tenant writes.

use barid_proto::{
    Violations,
    template::v1::{MetaTemplate, Template},
};
use tonic::Status;

use crate::{
    convert,
    render::{Engine, Locale},
};

/// Checks everything that limits alone do not say, and that it compiles. Answers its locale as BCP 47 writes it.
pub(crate) fn check(template: &Template, engine: &Engine) -> Result<String, Status> {
    let mut violations = Violations::default();
    if !is_name(&template.name) {
        violations.add("template.name", "invalid_name", "is no name of a template; give 1 to 64 of a-z, 0-9, `_` and `-`");
    }
    let locale = template.locale.parse::<Locale>();
    if let Err(error) = locale {
        violations.add("template.locale", "invalid_locale", error.to_string());
    }
    if template.body.trim().is_empty() {
        violations.add("template.body", "required", "is empty; write what the customer shall read");
    }
    if let Some(meta) = &template.meta {
        check_meta(meta, &mut violations);
    }
    if let Err(error) = engine.compile(&convert::source(template)) {
        violations.add(format!("template.{}", error.place().part.field()), error.reason(), error.to_string());
    }
    violations.check()?;
    Ok(locale.map(|locale| locale.to_string()).unwrap_or_default())
}

fn check_meta(meta: &MetaTemplate, violations: &mut Violations) {
    let of = |text: &str, allowed: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|byte| allowed(&byte));
    if !of(&meta.name, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        violations.add("template.meta.name", "invalid_name", "is no name at Meta; give its a-z, 0-9 and `_`, such as `invoice_v2`");
    }
    if !of(&meta.language, |byte| byte.is_ascii_alphabetic() || *byte == b'_') {
        violations.add("template.meta.language", "invalid_language", "is no language at Meta; give one such as `ar` or `pt_BR`");
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        Template { name: "invoice".into(), locale: "pt-br".into(), body: "Olá {{ contact.name }}".into(), ..Template::default() }
    }

    #[test]
    fn a_locale_is_written_as_everywhere() {
        assert_eq!(check(&template(), &Engine::new()).expect("a template"), "pt-BR");
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let meta = MetaTemplate {
            name: "Invoice 2".into(),
            language: "pt-BR".into(),
            parameters: vec!["a".into(), "b |".into()],
            ..Default::default()
        };
        let wrong = Template { name: "An invoice".into(), locale: "Portuguese!".into(), meta: Some(meta), ..template() };
        let message = check(&wrong, &Engine::new()).expect_err("wrong").message().to_owned();
        for field in ["template.name", "template.locale", "template.meta.name", "template.meta.language", "template.meta.parameters[1]"] {
            assert!(message.contains(field), "{field} in {message}");
        }
        let wrong = Template { body: "a\n{{ b | shout }}".into(), ..template() };
        let message = check(&wrong, &Engine::new()).expect_err("wrong").message().to_owned();
        assert!(message.starts_with("template.body: line 2: there is no filter `shout`"), "{message}");
    }
}
