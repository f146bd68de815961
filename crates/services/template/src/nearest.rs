//! Which of several locales serves a reader best.

use crate::render::Locale;

/// How far a template's locale is from the one that is wanted; `None` when it is of another language. The same locale comes first,
/// then the language without a region, then other regions of it.
pub(crate) fn distance(wanted: &Locale, offered: &Locale) -> Option<u8> {
    match () {
        () if offered.language() != wanted.language() => None,
        () if offered == wanted => Some(0),
        () if offered.region().is_none() => Some(1),
        () => Some(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_a_language_stand_in_for_each_other_and_languages_do_not() {
        let distance = |wanted: &str, offered: &str| distance(&wanted.parse().expect("a locale"), &offered.parse().expect("a locale"));
        assert_eq!(distance("ar-EG", "ar-EG"), Some(0));
        assert_eq!(distance("ar-EG", "ar"), Some(1));
        assert_eq!(distance("ar-EG", "ar-SA"), Some(2));
        assert_eq!(distance("ar", "ar-SA"), Some(2));
        assert_eq!(distance("ar", "en"), None);
    }
}
