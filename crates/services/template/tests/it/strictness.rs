use barid_template::render::{Engine, Error, Source};
use serde_json::json;

use crate::support::{context, english, fault, meta, render, text};

#[test]
fn a_missing_variable_is_named_with_its_line() {
    let error = text(english(), "Hello\n\n{{ totalAmount | money }}", json!({})).expect_err("missing");
    assert_eq!(error.to_string(), "line 3: totalAmount is missing; give it in variables");
    assert_eq!((error.reason(), error.field().as_str()), ("variable_missing", "variables.totalAmount"));
}

#[test]
fn missing_is_missing_however_it_is_used() {
    let cases = [
        ("{{ a }}", "a"),
        ("{{ a.b.c }}", "a"),
        ("{{ a | number }}", "a"),
        ("{{ a | translate }}", "a"),
        ("{{ a | list }}", "a"),
        ("{{ a | upper }}", "a"),
        ("{{ a ~ 'x' }}", "a"),
        ("{% if a %}x{% endif %}", "a"),
        ("{% for x in a %}x{% endfor %}", "a"),
        ("{{ nothing | money }}", "nothing"),
        ("{{ 1 | money(a) }}", "a"),
        ("{{ order.note }}", "order.note"),
        ("{{ order.lines[0].price }}", "order.lines[0].price"),
        ("{% for item in items %}{{ item.price | money }}{% endfor %}", "items[1].price"),
        ("{% for item in order.lines %}{{ item.price | money }}{% endfor %}", "item.price"),
    ];
    let variables = json!({"nothing": null, "order": {"lines": [{"name": "x"}]}, "items": [{"price": 1}, {"name": "x"}]});
    for (body, name) in cases {
        assert_eq!(fault(body, variables.clone()), format!("line 1: {name} is missing; give it in variables"), "{body}");
    }
}

#[test]
fn what_may_be_missing_can_be_asked_for() {
    let body = "{% if a is defined %}a{% endif %}{% if b | default %}b{% endif %}{{ c | default('c') }}{{ d if d is defined else 'd' }}";
    assert_eq!(text(english(), body, json!({"b": ""})).as_deref(), Ok("cd"));
}

#[test]
fn the_names_of_barid_are_there_and_win() {
    let body = "{{ business.name }} {{ business.phone }} {{ business.emoji }} {{ contact.name }}";
    let variables = json!({"business": "mine", "contact": {"name": "mine"}, "customerName": "Ann", "(scope)": 1});
    assert_eq!(text(english(), body, variables).as_deref(), Ok("Blue Nile Laundry +1 201 555 0123 👋 Ann"));
    let error = text(english(), "{{ business.fax }}", json!({})).expect_err("no such field");
    assert_eq!(error.to_string(), "line 1: there is no `business.fax`; business has name, phone and emoji");
    assert_eq!((error.reason(), error.field().as_str()), ("template_invalid", "template"));
}

#[test]
fn the_contacts_name_is_that_of_the_templates_language() {
    let mut context = context(english(), json!({"customerName": "Ahmed"}));
    let source = Source { body: "{{ contact.name }}.", ..Source::default() };
    let name = |context: &_| render(&source, context).expect("a text").text;
    assert_eq!(name(&context), "Ahmed.");
    context.locale = "ar-EG".parse().expect("a locale");
    assert_eq!(name(&context), "أحمد محمد.");
    context.contact_names.insert("ar-EG".to_owned(), "أحمد".to_owned());
    assert_eq!(name(&context), "أحمد.");
    context.contact_names.clear();
    context.variables.clear();
    assert_eq!(name(&context), ".");
}

#[test]
fn a_template_that_cannot_work_is_refused_before_it_is_used() {
    let cases = [
        ("a\n{{ b", "line 2: unexpected end of input"),
        ("a\n{% if b %}", "line 2: "),
        ("{{ a | shout }}", "line 1: there is no filter `shout`; there are money, "),
        ("{{ a |replace('a', 'aa') }}", "line 1: there is no filter `replace`"),
        ("x\n{%- set a = 1 %}", "line 2: templates have no `{% set %}`; they have if and for"),
        ("{% include 'x' %}", "line 1: templates have no `{% include %}`"),
        ("{% extends 'x' %}", "line 1: templates have no `{% extends %}`"),
        ("{% macro f() %}{% endmacro %}", "line 1: templates have no `{% macro %}`"),
        ("{% raw %}{{{% endraw %}", "line 1: templates have no `{% raw %}`"),
        ("{{ 'a' * 100000000 }}", "line 1: templates cannot multiply"),
        ("{{ {'a': {'b': 1}}  }}", "line 1: templates have no dictionaries"),
        ("{% for x in y recursive %}{{ loop(x) }}{% endfor %}", "line 1: loops cannot be recursive"),
    ];
    for (body, expected) in cases {
        let error = Engine::new().compile(&Source { body, ..Source::default() }).err().expect("an error");
        assert_eq!(error.reason(), "template_invalid");
        assert!(error.to_string().starts_with(expected), "{body}: {error}");
    }
}

#[test]
fn ordinary_text_is_no_syntax() {
    let body = "*bold* 2 * 3 {a} 50% }} |shout {# {% set %} #}{{ '* { | %} }}' }}{{ \"it's\" }}";
    assert_eq!(text(english(), body, json!({})).as_deref(), Ok("*bold* 2 * 3 {a} 50% }} |shout * { | %} }}it's"));
    assert_eq!(text(english(), "<b>&</b>{{ x }}", json!({"x": "<&>\""})).as_deref(), Ok("<b>&</b><&>\""));
}

#[test]
fn faults_of_the_other_parts_say_so() {
    let engine = Engine::new();
    let compile = |meta| engine.compile(&Source { body: "x", document_url: "", meta: Some(meta) });
    let error = compile(meta(&["a", "b | shout"])).err().expect("an error");
    assert!(error.to_string().starts_with("Meta parameter 2: there is no filter `shout`"), "{error}");
    assert_eq!(error.place().part.field(), "meta.parameters[1]");
    assert!(compile(meta(&["a }} {{ b"])).is_err());

    let compiled = compile(meta(&["a", "b | money"])).expect("compiles");
    let failing = |variables| compiled.render(&context(english(), variables)).expect_err("an error");
    assert_eq!(failing(json!({"a": 1})).to_string(), "Meta parameter 2: b is missing; give it in variables");
    let empty = failing(json!({"a": " ", "b": 1}));
    assert!(empty.to_string().starts_with("Meta parameter 1: comes out empty, which Meta refuses"), "{empty}");

    let error = engine.compile(&Source { body: "x", document_url: "{{", meta: None }).err().expect("an error");
    assert!(error.to_string().starts_with("document address: "), "{error}");
}

#[test]
fn lists_and_objects_are_not_written_out() {
    assert_eq!(
        fault("{{ items }}", json!({"items": [1]})),
        "line 1: a sequence cannot be written out; pick a field of it, loop over it, or use the filter list"
    );
}

#[test]
fn no_error_repeats_a_value() {
    for body in
        ["{{ a | money }}", "{{ a | date }}", "{{ a.b }}", "{{ a | number(a) }}", "{{ 1 | money(a) }}", "{{ a - 1 }}", "{{ a | list }}"]
    {
        let error: Error = text(english(), body, json!({"a": "secretive"})).expect_err("an error");
        assert!(!format!("{error} {error:?}").contains("secretive"), "{body}: {error:?}");
    }
}
