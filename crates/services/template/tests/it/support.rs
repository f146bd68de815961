use std::{collections::BTreeMap, sync::Arc};

use barid_template::render::{Business, Context, Digits, Engine, Error, Meta, Rendering, Source, Tenant};
use serde_json::{Value, json};

/// The laundry of the seed: Cairo, Arabic, Egyptian pounds.
pub fn laundry() -> Tenant {
    let glossary = [("Dry Cleaning", "تنظيف جاف"), ("Pressing", "كي"), ("EGP", "جنيه")];
    Tenant {
        locale: "ar-EG".parse().expect("a locale"),
        currency: "EGP".to_owned(),
        time_zone: chrono_tz::Africa::Cairo,
        digits: Digits::Western,
        glossary: glossary.map(|(word, translation)| (word.to_owned(), translation.to_owned())).into(),
        business: Business {
            name: "مغسلة النيل الأزرق".to_owned(), phone: "01234567890".to_owned(), emoji: "👋".to_owned()
        },
    }
}

pub fn english() -> Tenant {
    Tenant {
        locale: "en".parse().expect("a locale"),
        currency: "USD".to_owned(),
        time_zone: chrono_tz::America::New_York,
        digits: Digits::Western,
        glossary: BTreeMap::new(),
        business: Business { name: "Blue Nile Laundry".to_owned(), phone: "+1 201 555 0123".to_owned(), emoji: "👋".to_owned() },
    }
}

pub fn acai() -> Tenant {
    Tenant {
        locale: "pt-BR".parse().expect("a locale"),
        currency: "BRL".to_owned(),
        time_zone: chrono_tz::America::Sao_Paulo,
        digits: Digits::Western,
        glossary: BTreeMap::new(),
        business: Business { name: "Coco Loko Açaiteria".to_owned(), phone: "(11) 98765-4321".to_owned(), emoji: "💜".to_owned() },
    }
}

/// The variables of the seed's example.
pub fn invoice() -> Value {
    json!({
        "customerName": "Ahmed Mohamed",
        "invoiceNumber": "INV-2024-001",
        "totalAmount": "50.00",
        "currency": "EGP",
        "dueDate": "2024-01-15",
        "items": [
            {"service": "Dry Cleaning", "quantity": 3, "price": "30.00"},
            {"service": "Pressing", "quantity": 5, "price": "20.00"}
        ]
    })
}

pub fn order() -> Value {
    json!({
        "customerName": "Maria",
        "orderNumber": 1042,
        "totalAmount": 25.5,
        "readyAt": "2024-01-15T18:05:00-03:00",
        "items": [{"name": "Açaí 500 ml", "quantity": 2.0}, {"name": "Granola", "quantity": 1}]
    })
}

/// In the tenant's own locale, with a customer whose name is known in Arabic.
pub fn context(tenant: Tenant, variables: Value) -> Context {
    let Value::Object(variables) = variables else { panic!("variables are an object") };
    let locale = tenant.locale.clone();
    Context { tenant: Arc::new(tenant), locale, contact_names: [("ar".to_owned(), "أحمد محمد".to_owned())].into(), variables }
}

pub fn render(source: &Source<'_>, context: &Context) -> Result<Rendering, Error> {
    let engine = Engine::new();
    engine.compile(source)?.render(context)
}

pub fn text(tenant: Tenant, body: &str, variables: Value) -> Result<String, Error> {
    render(&Source { body, ..Source::default() }, &context(tenant, variables)).map(|rendering| rendering.text)
}

/// The sentence of the error.
pub fn fault(body: &str, variables: Value) -> String {
    text(english(), body, variables).expect_err("an error").to_string()
}

pub fn meta(parameters: &[&str]) -> Meta {
    Meta {
        name: "invoice".to_owned(),
        language: "en".to_owned(),
        parameters: parameters.iter().map(|&expression| expression.to_owned()).collect(),
        document_header: false,
    }
}
