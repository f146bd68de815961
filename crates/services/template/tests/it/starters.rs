use barid_template::{
    render::{Digits, Engine, Source, Tenant},
    starters::{self, Starter},
};
use serde_json::{Value, json};

use crate::support::{acai, context, english, invoice, laundry, meta, order, render};

const NAMES: [&str; 6] = ["invoice", "order_confirmation", "payment_confirmed", "preparing", "ready", "reminder"];

fn starter(name: &str, locale: &str) -> &'static Starter {
    starters::find(name, &locale.parse().expect("a locale")).expect("a starter")
}

fn tenant_of(locale: &str) -> Tenant {
    match locale {
        "ar" => laundry(),
        "en" => english(),
        _ => acai(),
    }
}

fn variables_of(name: &str) -> Value {
    if matches!(name, "invoice" | "reminder") { invoice() } else { order() }
}

fn text(starter: &Starter, variables: Value) -> String {
    render(&starter.source(), &context(tenant_of(starter.locale), variables)).expect("a text").text
}

/// Customers read this to the letter; the invoice in Arabic is the example of seed 000, character for character.
#[test]
fn every_starter_reads_as_its_golden_text() {
    macro_rules! golden {
        ($($locale:literal $name:literal)*) => {
            [$(($locale, $name, include_str!(concat!("../golden/", $locale, "/", $name, ".txt")))),*]
        };
    }
    let golden = golden! {
        "ar" "invoice" "ar" "order_confirmation" "ar" "payment_confirmed" "ar" "preparing" "ar" "ready" "ar" "reminder"
        "en" "invoice" "en" "order_confirmation" "en" "payment_confirmed" "en" "preparing" "en" "ready" "en" "reminder"
        "pt-BR" "invoice" "pt-BR" "order_confirmation" "pt-BR" "payment_confirmed" "pt-BR" "preparing" "pt-BR" "ready" "pt-BR" "reminder"
    };
    assert_eq!(golden.len(), starters::all().len());
    for (locale, name, expected) in golden {
        assert_eq!(format!("{}\n", text(starter(name, locale), variables_of(name))), expected, "{name} in {locale}");
    }
}

#[test]
fn what_is_optional_leaves_no_gap() {
    let least = json!({"invoiceNumber": "7", "orderNumber": "7", "totalAmount": "9", "dueDate": null, "items": []});
    for starter in starters::all() {
        let mut tenant = tenant_of(starter.locale);
        tenant.business.phone = String::new();
        tenant.business.emoji = String::new();
        let mut context = context(tenant, least.clone());
        context.contact_names.clear();
        let text = render(&starter.source(), &context).expect("a text").text;
        assert!(
            !text.contains("\n\n\n") && !text.contains("  ") && !text.contains('📞'),
            "{} in {}:\n{text}",
            starter.name,
            starter.locale
        );
        assert!(!text.lines().any(|line| line.ends_with(' ')), "{} in {}:\n{text}", starter.name, starter.locale);
    }
    let seed = text(starter("invoice", "en"), json!({"invoiceNumber": "INV-1", "totalAmount": "5"}));
    assert_eq!(
        seed,
        "Hello 👋\n\nInvoice from Blue Nile Laundry\nInvoice number: INV-1\nTotal: $5.00\n\nThank you for your trust 🙏\n\
         Blue Nile Laundry\n📞 +1 201 555 0123"
    );
}

#[test]
fn every_starter_exists_in_every_language_and_fills_a_template_of_metas() {
    assert_eq!(starters::all().len(), NAMES.len() * 3);
    for starter in starters::all() {
        let context = context(tenant_of(starter.locale), variables_of(starter.name));
        let meta = render(&starter.source(), &context).expect("a rendering").meta.expect("a Meta template");
        assert_eq!((meta.name.as_str(), meta.language.as_str()), (starter.name, starter.locale.replace('-', "_").as_str()));
        assert_eq!(meta.parameters.len(), starter.meta().parameters.len());
        assert!(meta.parameters.iter().all(|parameter| !parameter.is_empty() && !parameter.contains('\n')));
    }
    let rendering = render(&starter("invoice", "ar").source(), &context(laundry(), invoice())).expect("a rendering");
    let filled = rendering.meta.expect("a Meta template");
    assert_eq!(filled.parameters, ["أحمد محمد", "INV-2024-001", "50.00 جنيه", "15 يناير 2024"]);
    assert!(filled.document_header);

    let mut nameless = context(acai(), json!({"invoiceNumber": 1, "totalAmount": 2}));
    nameless.contact_names.clear();
    let filled = render(&starter("invoice", "pt-BR").source(), &nameless).expect("a rendering").meta.expect("a Meta template");
    assert_eq!(filled.parameters, ["cliente", "1", "R$\u{a0}2,00", "-"]);
}

#[test]
fn the_language_of_a_locale_decides() {
    let cases = [
        ("ar-EG", "ar"),
        ("ar", "ar"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("pt-BR", "pt-BR"),
        ("en-GB", "en"),
        ("de", "en"),
        ("arn", "en"),
    ];
    for (locale, expected) in cases {
        assert_eq!(starter("ready", locale).locale, expected, "{locale}");
    }
    assert!(starters::find("nonsense", &"ar".parse().expect("a locale")).is_none());
}

#[test]
fn a_tenant_with_native_digits_reads_them_throughout() {
    let mut tenant = laundry();
    tenant.digits = Digits::Native;
    let text = render(&starter("invoice", "ar").source(), &context(tenant, invoice())).expect("a text").text;
    for line in ["المبلغ الإجمالي: ٥٠٫٠٠ جنيه", "• تنظيف جاف × ٣ = ٣٠٫٠٠ جنيه", "تاريخ الاستحقاق: ١٥ يناير ٢٠٢٤"]
    {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn a_template_of_another_language_keeps_the_tenants_currency_but_not_its_words() {
    let mut context = context(laundry(), invoice());
    context.locale = "en".parse().expect("a locale");
    let text = render(&starter("invoice", "en").source(), &context).expect("a text").text;
    assert!(text.starts_with("Hello Ahmed Mohamed 👋\n"), "{text}");
    assert!(text.contains("• Dry Cleaning × 3 = EGP\u{a0}30.00\n"), "{text}");
}

#[test]
fn a_compiled_template_is_rendered_again_and_again() {
    let compiled = Engine::new().compile(&starter("invoice", "ar").source()).expect("compiles");
    let first = compiled.render(&context(laundry(), invoice())).expect("a text");
    assert_eq!(compiled.render(&context(laundry(), invoice())), Ok(first));
}

#[test]
fn the_address_of_a_document_is_a_template_too() {
    let source = Source { body: "x", document_url: "{{ mediaUrl | default }}", meta: Some(meta(&["'a\n\tb' ~ '   c'"])) };
    let rendering = render(&source, &context(english(), json!({"mediaUrl": " https://example.com/1.pdf\n"}))).expect("a rendering");
    assert_eq!(rendering.document_url, "https://example.com/1.pdf");
    assert_eq!(rendering.meta.expect("a Meta template").parameters, ["a b c"]);
    assert_eq!(render(&source, &context(english(), json!({}))).expect("a rendering").document_url, "");
}
