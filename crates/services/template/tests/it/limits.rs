use barid_template::render::{Engine, LONGEST_PARAMETER, LONGEST_TEXT, Source};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{context, english, fault, meta, text};

#[test]
fn a_text_has_4096_characters_at_most() {
    let body = "{% for x in xs %}{{ x }}{% endfor %}";
    assert_eq!(text(english(), body, json!({"xs": ["ع".repeat(4_095), "\n"]})).map(|text| text.chars().count()), Ok(4_095));
    assert_eq!(text(english(), body, json!({"xs": ["ع".repeat(4_095), "👋"]})).map(|text| text.chars().count()), Ok(LONGEST_TEXT));
    let error = text(english(), body, json!({"xs": ["ع".repeat(4_095), "👋👋"]})).expect_err("too long");
    assert_eq!((error.reason(), error.field().as_str()), ("text_too_long", "template"));
    assert_eq!(error.to_string(), "longer than 4096 characters; shorten the template or what fills it");
    assert_eq!(text(english(), "{{ x ~ x }}", json!({"x": "a".repeat(4_000)})).expect_err("too long").reason(), "text_too_long");
}

#[test]
fn a_parameter_has_1024_characters_at_most() {
    let source = Source { body: "x", document_url: "", meta: Some(meta(&["a"])) };
    let compiled = Engine::new().compile(&source).expect("compiles");
    let render = |length| compiled.render(&context(english(), json!({"a": "a".repeat(length)})));
    assert!(render(LONGEST_PARAMETER).is_ok());
    let error = render(LONGEST_PARAMETER + 1).expect_err("too long");
    assert_eq!(error.to_string(), "Meta parameter 1: longer than 1024 characters; shorten the template or what fills it");
}

#[test]
fn a_variable_is_not_longer_than_a_message() {
    let error = text(english(), "x", json!({"a": [{"b": "a".repeat(4_097)}]})).expect_err("too long");
    assert_eq!(error.to_string(), "a[0].b is longer than a message, which has 4096 characters at most; shorten it");
    assert_eq!((error.reason(), error.field().as_str()), ("variable_invalid", "variables.a[0].b"));
}

#[test]
fn an_empty_text_is_refused() {
    assert!(fault("{# nothing #} {{ a }}\n", json!({"a": " "})).starts_with("comes out empty"));
}

#[test]
fn endless_work_ends() {
    let many: Vec<u32> = (0..500).collect();
    let body = "{% for a in xs %}{% for b in xs %}{% for c in xs %}{% endfor %}{% endfor %}{% endfor %}x";
    assert_eq!(fault(body, json!({ "xs": many })), "line 1: takes too many steps; loop over fewer items");
    assert_eq!(
        fault("{% for a in xs %}{% for b in xs %}abcdefghij{% endfor %}{% endfor %}", json!({ "xs": many })),
        "longer than 4096 characters; shorten the template or what fills it"
    );
    assert!(fault(&format!("{{{{ {} }}}}", "a~".repeat(40) + "a"), json!({"a": 1})).contains("at most 32 times"));
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let nested = "{% if 1 %}".repeat(400) + &"{% endif %}".repeat(400);
    let _ = text(english(), &nested, json!({}));
    let brackets = format!("{{{{ {}1{} }}}}", "(".repeat(2_000), ")".repeat(2_000));
    assert_eq!(text(english(), &brackets, json!({})).expect_err("too deep").reason(), "template_invalid");
    let loops = "{% for a in [1] %}".repeat(200) + "x" + &"{% endfor %}".repeat(200);
    assert_eq!(text(english(), &loops, json!({})).expect_err("too deep").reason(), "template_invalid");
}

#[test]
fn hundreds_of_items_are_ordinary() {
    let items: Vec<_> = (0..300).map(|quantity| json!({"service": "S", "quantity": quantity, "price": "1.00"})).collect();
    let body = "{% for i in items %}{{ i.service | translate }}{{ i.quantity | number }}{{ i.price | money }}\n{% endfor %}";
    assert!(text(english(), body, json!({ "items": items })).is_ok());
}

proptest! {
    #[test]
    fn no_template_panics(body in r"([a-z*\n ]|\{\{|\}\}|\{%|%\}|\{#|#\}|'|\||~|if|for|in|x|endif|endfor|money|é){0,40}") {
        let _ = text(english(), &body, json!({"x": "1", "a": [1, 2]}));
    }

    #[test]
    fn no_text_panics(body: String, value: String) {
        let _ = text(english(), &body, json!({ "x": value }));
        if value.chars().count() <= 100 && !value.trim().is_empty() {
            prop_assert_eq!(text(english(), "{{ x }}", json!({ "x": value })), Ok(value.trim().to_owned()));
        }
    }
}
