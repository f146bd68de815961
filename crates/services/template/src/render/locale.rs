use std::{fmt, str::FromStr};

use icu::locale::{
    Locale as IcuLocale,
    extensions::unicode::{key, value},
};

/// Which digits a tenant's customers read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digits {
    /// 0123456789
    #[default]
    Western,
    /// Those of the language, such as ٠١٢٣٤٥٦٧٨٩ in Arabic.
    Native,
}

/// A BCP 47 locale, such as `ar-EG`.
#[derive(Clone, PartialEq, Eq)]
pub struct Locale(IcuLocale);

/// A text that is not a locale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a locale; give a language and perhaps a region by BCP 47, such as ar, en or pt-BR")]
pub struct UnknownLocale;

impl Locale {
    /// `en`
    pub fn english() -> Self {
        Self(icu::locale::locale!("en"))
    }

    /// Its language in lower case, such as `ar`.
    pub fn language(&self) -> &str {
        self.0.id.language.as_str()
    }

    /// Its region in upper case, such as `EG`, if it has one.
    pub fn region(&self) -> Option<&str> {
        self.0.id.region.as_ref().map(|region| region.as_str())
    }

    /// For ICU, which takes the digits of its formats from an extension of the locale. Other extensions (a calendar, say) would
    /// make texts of one language differ from tenant to tenant, and are left out.
    pub(super) fn with(&self, digits: Digits) -> IcuLocale {
        let system = match (digits, self.language()) {
            (Digits::Western, _) => value!("latn"),
            (Digits::Native, "ar") => value!("arab"),
            (Digits::Native, "fa" | "ur" | "ps" | "ckb") => value!("arabext"),
            (Digits::Native, "hi" | "mr" | "ne") => value!("deva"),
            (Digits::Native, "bn" | "as") => value!("beng"),
            (Digits::Native, "my") => value!("mymr"),
            (Digits::Native, _) => value!("latn"),
        };
        let mut locale = IcuLocale::from(self.0.id.clone());
        locale.extensions.unicode.keywords.set(key!("nu"), system);
        locale
    }
}

impl FromStr for Locale {
    type Err = UnknownLocale;

    fn from_str(text: &str) -> Result<Self, UnknownLocale> {
        let locale: IcuLocale = text.parse().map_err(|_| UnknownLocale)?;
        if locale.id.language.is_unknown() { Err(UnknownLocale) } else { Ok(Self(locale)) }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
