//! What is known of currencies that ICU4X does not offer as stable yet: decimals, labels and where the label stands.

use super::Locale;

/// ISO 4217's number of decimals where it is not 2.
pub(super) fn decimals(currency: &str) -> i16 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND" | "VUV" | "XAF" | "XOF"
        | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// CLDR's symbol of a currency in a language, for those that tenants write most; else the code itself.
pub(super) fn symbol<'a>(currency: &'a str, locale: &Locale) -> &'a str {
    match (locale.language(), currency) {
        // The mark at their end keeps the full stop on the left.
        ("ar", "AED") => "د.إ.\u{200f}",
        ("ar", "BHD") => "د.ب.\u{200f}",
        ("ar", "DZD") => "د.ج.\u{200f}",
        ("ar", "EGP") => "ج.م.\u{200f}",
        ("ar", "IQD") => "د.ع.\u{200f}",
        ("ar", "JOD") => "د.أ.\u{200f}",
        ("ar", "KWD") => "د.ك.\u{200f}",
        ("ar", "LBP") => "ل.ل.\u{200f}",
        ("ar", "LYD") => "د.ل.\u{200f}",
        ("ar", "MAD") => "د.م.\u{200f}",
        ("ar", "OMR") => "ر.ع.\u{200f}",
        ("ar", "QAR") => "ر.ق.\u{200f}",
        ("ar", "SAR") => "ر.س.\u{200f}",
        ("ar", "SYP") => "ل.س.\u{200f}",
        ("ar", "TND") => "د.ت.\u{200f}",
        ("ar", "YER") => "ر.ي.\u{200f}",
        ("en", "USD") => "$",
        ("en", "JPY") => "¥",
        (_, "BRL") => "R$",
        (_, "EUR") => "€",
        (_, "GBP") => "£",
        (_, "INR") => "₹",
        (_, "JPY") => "JP¥",
        (_, "USD") => "US$",
        _ => currency,
    }
}

/// How an amount is put together, after CLDR.
pub(super) enum Order {
    /// `$50.00`
    Label,
    /// `EGP 50.00`, with a space that does not break.
    LabelAndSpace,
    /// `50,00 €`, with this space.
    Number(char),
}

pub(super) fn order(label: &str, locale: &Locale) -> Order {
    match (locale.language(), locale.region()) {
        // A plain space, because Arabic messages are matched and copied by people who type one.
        ("ar", _) => Order::Number(' '),
        ("pt", Some("PT" | "AO" | "MZ")) => Order::Number('\u{a0}'),
        ("bg" | "ca" | "cs" | "da" | "de" | "el" | "es" | "fi" | "fr" | "he" | "hr" | "hu" | "it" | "nb" | "no" | "pl" | "ro", _)
        | ("ru" | "sk" | "sl" | "sr" | "sv" | "uk" | "vi", _) => Order::Number('\u{a0}'),
        // CLDR sets a label of letters apart from digits, and a symbol not.
        ("en" | "hi" | "id" | "ja" | "ko" | "ms" | "th" | "tr" | "zh", _) if !label.ends_with(char::is_alphabetic) => Order::Label,
        _ => Order::LabelAndSpace,
    }
}
