//! The templates that Barid ships, for every tenant that has none of its own under the name.

use crate::render::{Locale, Meta, Source};

/// A template as it is shipped, in one language.
#[derive(Debug)]
pub struct Starter {
    pub name: &'static str,
    /// `ar`, `en` or `pt-BR`.
    pub locale: &'static str,
    pub body: &'static str,
    /// The language of Meta's template: the locale as Meta writes it.
    meta_language: &'static str,
    /// Of Meta's template of the same name.
    parameters: &'static [&'static str],
    document_header: bool,
}

impl Starter {
    pub fn meta(&self) -> Meta {
        Meta {
            name: self.name.to_owned(),
            language: self.meta_language.to_owned(),
            parameters: self.parameters.iter().map(|&expression| expression.to_owned()).collect(),
            document_header: self.document_header,
        }
    }

    /// For the engine to compile.
    pub fn source(&self) -> Source<'static> {
        Source { body: self.body, document_url: "", meta: Some(self.meta()) }
    }
}

/// All of them, by name and locale.
pub fn all() -> &'static [Starter] {
    STARTERS
}

/// The starter of this name in the language nearest to the locale; English where Barid ships none in it.
pub fn find(name: &str, locale: &Locale) -> Option<&'static Starter> {
    let shipped = match locale.language() {
        "ar" => "ar",
        "pt" => "pt-BR",
        _ => "en",
    };
    STARTERS.iter().find(|starter| starter.name == name && starter.locale == shipped)
}

/// Customers without a known name are addressed by a word, as a parameter of Meta's cannot be empty.
macro_rules! starters {
    ($($name:literal, document: $document:literal, [$($parameter:literal),*];)*) => {
        const STARTERS: &[Starter] = &[$(
            starters!(@one $name, "ar", "ar", $document, [r#"contact.name or "عميلنا العزيز""#, $($parameter),*]),
            starters!(@one $name, "en", "en", $document, [r#"contact.name or "customer""#, $($parameter),*]),
            starters!(@one $name, "pt-BR", "pt_BR", $document, [r#"contact.name or "cliente""#, $($parameter),*]),
        )*];
    };
    (@one $name:literal, $locale:literal, $language:literal, $document:literal, $parameters:expr) => {
        Starter {
            name: $name,
            locale: $locale,
            body: include_str!(concat!("../starters/", $locale, "/", $name, ".j2")),
            meta_language: $language,
            parameters: &$parameters,
            document_header: $document,
        }
    };
}

starters! {
    "invoice", document: true, ["invoiceNumber", "totalAmount | money", r#"dueDate | date if dueDate | default else "-""#];
    "order_confirmation", document: false, ["orderNumber"];
    "payment_confirmed", document: false, ["orderNumber", "totalAmount | money"];
    "preparing", document: false, ["orderNumber"];
    "ready", document: false, ["orderNumber"];
    "reminder", document: false, ["invoiceNumber", "totalAmount | money", r#"dueDate | date if dueDate | default else "-""#];
}
