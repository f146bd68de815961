use barid_template::render::{Digits, Tenant};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{acai, english, fault, laundry, text};

fn in_locale(locale: &str, digits: Digits) -> Tenant {
    Tenant { locale: locale.parse().expect("a locale"), digits, ..english() }
}

fn written(tenant: Tenant, expression: &str, value: serde_json::Value) -> String {
    text(tenant, &format!("{{{{ {expression} }}}}"), json!({ "x": value })).expect("a text")
}

#[test]
fn money_is_written_as_the_language_has_it() {
    let cases = [
        ("ar-EG", r#"x | money("SAR")"#, "1250.5", "1,250.50 ر.س.\u{200f}"),
        ("ar-EG", r#"x | money("EUR")"#, "-3", "\u{200e}-3.00 €"),
        ("en", "x | money", "1250.5", "$1,250.50"),
        ("en", "x | money", "-3", "-$3.00"),
        ("en", r#"x | money("EGP")"#, "50", "EGP\u{a0}50.00"),
        ("en", r#"x | money("egp")"#, "-50", "-EGP\u{a0}50.00"),
        ("en", r#"x | money("JPY")"#, "50.5", "¥51"),
        ("en", r#"x | money("KWD")"#, "0.1255", "KWD\u{a0}0.126"),
        ("pt-BR", r#"x | money("BRL")"#, "25", "R$\u{a0}25,00"),
        ("pt-BR", r#"x | money("BRL")"#, "-1234567.891", "-R$\u{a0}1.234.567,89"),
        ("pt", r#"x | money("USD")"#, "1", "US$\u{a0}1,00"),
        ("pt-PT", r#"x | money("EUR")"#, "1", "1,00\u{a0}€"),
        ("de", r#"x | money("EUR")"#, "1234.5", "1.234,50\u{a0}€"),
        ("en", "x | money", "-0.001", "$0.00"),
        ("en", "x | money", "0.995", "$1.00"),
        ("en", "x | money", "99999999999999999999.99", "$99,999,999,999,999,999,999.99"),
    ];
    for (locale, expression, amount, expected) in cases {
        assert_eq!(written(in_locale(locale, Digits::Western), expression, json!(amount)), expected, "{amount} in {locale}");
    }
    assert_eq!(written(laundry(), "x | money", json!(50)), "50.00 جنيه");
    assert_eq!(written(acai(), "x | money", json!(25.1)), "R$\u{a0}25,10");
    assert_eq!(written(in_locale("ar", Digits::Native), r#"x | money("EGP")"#, json!("1250.5")), "١٬٢٥٠٫٥٠ ج.م.\u{200f}");
}

#[test]
fn the_variable_currency_comes_before_the_tenants() {
    assert_eq!(text(english(), "{{ a | money }}", json!({"a": 1, "currency": "EUR"})).as_deref(), Ok("€1.00"));
    assert_eq!(text(english(), "{{ a | money('GBP') }}", json!({"a": 1, "currency": "EUR"})).as_deref(), Ok("£1.00"));
    assert_eq!(
        fault("{{ a | money }}", json!({"a": 1, "currency": "pounds"})),
        "line 1: currency is not a currency; give its three letters by ISO 4217, such as EGP"
    );
}

#[test]
fn dates_are_written_in_words_and_in_the_tenants_time_zone() {
    let cases = [
        ("ar-EG", "x | date", "15 يناير 2024"),
        ("ar-SY", "x | date", "15 كانون الثاني 2024"),
        ("ar-EG", "x | date('short')", "15\u{200f}/1\u{200f}/2024"),
        ("en", "x | date", "January 15, 2024"),
        ("en", "x | date('medium')", "Jan 15, 2024"),
        ("en", "x | date('short')", "1/15/2024"),
        ("en-GB", "x | date", "15 January 2024"),
        ("pt-BR", "x | date", "15 de janeiro de 2024"),
        ("pt-BR", "x | date('short')", "15/01/2024"),
        ("ar-SA", "x | date", "15 يناير 2024"),
    ];
    for (locale, expression, expected) in cases {
        assert_eq!(written(in_locale(locale, Digits::Western), expression, json!("2024-01-15")), expected, "{expression} in {locale}");
    }
    assert_eq!(written(in_locale("ar", Digits::Native), "x | date", json!("2024-01-15")), "١٥ يناير ٢٠٢٤");
    // New York is still in the evening before.
    assert_eq!(written(english(), "x | date", json!("2024-01-15T02:30:00Z")), "January 14, 2024");
    assert_eq!(written(laundry(), "x | date", json!("2024-01-15T22:30:00Z")), "16 يناير 2024");
}

#[test]
fn times_are_written_in_the_tenants_time_zone() {
    assert_eq!(written(english(), "x | time", json!("16:05")), "4:05\u{202f}PM");
    assert_eq!(written(acai(), "x | time", json!("2024-01-15T21:05:00Z")), "18:05");
    assert_eq!(written(laundry(), "x | time", json!("16:05:59")), "4:05 م");
}

#[test]
fn numbers_keep_the_decimals_they_were_given() {
    let cases = [("3", "3"), ("2.50", "2.50"), ("1234567", "1,234,567"), ("-0.5", "-0.5"), ("007", "7")];
    for (given, expected) in cases {
        assert_eq!(written(english(), "x | number", json!(given)), expected);
    }
    assert_eq!(written(english(), "x | number", json!(3.0)), "3");
    assert_eq!(written(english(), "x | number(2)", json!(2.345)), "2.35");
    assert_eq!(written(acai(), "x | number", json!(1234.5)), "1.234,5");
    assert_eq!(written(in_locale("ar", Digits::Native), "x | number", json!(120)), "١٢٠");
}

#[test]
fn lists_are_enumerated_as_the_language_does() {
    let fruit = json!(["A", "B", 3]);
    assert_eq!(written(english(), "x | list", fruit.clone()), "A, B, and 3");
    assert_eq!(written(english(), "x | list('or')", fruit.clone()), "A, B, or 3");
    assert_eq!(written(acai(), "x | list", fruit.clone()), "A, B e 3");
    assert_eq!(written(laundry(), "x | list", fruit), "A وB و3");
    assert_eq!(written(english(), "x | list ~ '.'", json!([])), ".");
}

#[test]
fn words_are_translated_by_the_glossary_or_left_alone() {
    assert_eq!(written(laundry(), "x | translate", json!("Pressing")), "كي");
    assert_eq!(written(laundry(), "x | translate", json!("Ironing")), "Ironing");
    assert_eq!(written(laundry(), "x | translate", json!(5)), "5");
}

#[test]
fn what_a_filter_cannot_write_is_named() {
    let variables = json!({
        "total": "fifty",
        "due": "15/01/2024",
        "at": "noon",
        "words": [["nested"]],
        "items": [{"price": "1"}, {"price": "1,50"}, {"price": {"amount": 1}}],
        "twin": "1,50",
    });
    let amount = "is not an amount; give a decimal number with a point, such as \"50.00\"";
    let cases = [
        ("{{ total | money }}", format!("line 1: total {amount}")),
        ("\n\n{{ total | money }}", format!("line 3: total {amount}")),
        ("{% for item in items %}\n{{ item.price | money }}\n{% endfor %}", format!("line 2: items[1].price {amount}")),
        ("{{ items[1].price | money }}", format!("line 1: items[1].price {amount}")),
        ("{{ items[2].price | money }}", format!("line 1: items[2].price {amount}")),
        ("{{ twin | money }}", format!("line 1: twin {amount}")),
        ("{{ due | date }}", "line 1: due is not a date; give it as 2024-01-15, or with the time as 2024-01-15T18:30:00Z".to_owned()),
        ("{{ at | time }}", "line 1: at is not a time; give it as 18:30, or with the date as 2024-01-15T18:30:00Z".to_owned()),
        ("{{ total | number }}", "line 1: total is not a number; give a decimal number with a point, such as 3 or \"2.5\"".to_owned()),
        ("{{ words | list }}", "line 1: words is not a list of texts; give an array such as [\"shirts\", \"towels\"]".to_owned()),
        ("{{ 'x' | money }}", format!("line 1: `'x' | money`: it {amount}")),
    ];
    for (body, expected) in cases {
        assert_eq!(fault(body, variables.clone()), expected, "{body}");
    }
}

#[test]
fn amounts_that_could_be_read_in_two_ways_are_refused() {
    for amount in ["1,250", "1.250,00", "1 250", "1e3", "+5", "٥٠", "", "-", ".5", "5.", "0x1F", "NaN", "1_000", "--1"] {
        assert!(text(english(), "{{ x | money }}", json!({ "x": amount })).is_err(), "{amount}");
    }
}

proptest! {
    #[test]
    fn texts_of_amounts_are_never_rounded_through_a_float(whole in 0u64.., cents in 0u8..100) {
        let shown = written(english(), "x | money", json!(format!("{whole}.{cents:02}")));
        prop_assert_eq!(shown.replace([',', '$'], ""), format!("{whole}.{cents:02}"));
    }

    #[test]
    fn integers_read_as_written(value: i64) {
        prop_assert_eq!(written(english(), "x | number", json!(value)).replace(',', ""), value.to_string());
        prop_assert_eq!(written(english(), "x", json!(value)), value.to_string());
    }

    #[test]
    fn no_value_panics(value: String, float: f64) {
        for filter in ["money", "number", "date", "time", "list", "translate", "money(x)", "number(-1)", "date(x)"] {
            for locale in ["ar-EG", "en", "pt-BR", "zz-ZZ"] {
                for value in [json!(value), json!(float)] {
                    let _ = text(in_locale(locale, Digits::Native), &format!("{{{{ x | {filter} }}}}"), json!({ "x": value }));
                }
            }
        }
    }
}
