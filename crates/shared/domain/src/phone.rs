//! Phone numbers in E.164, read from what people and points of sale write.

use std::{fmt, str::FromStr};

use phonenumber::{
    country,
    metadata::{DATABASE, Metadata},
};

/// E.164 leaves room for 15 digits, country code included.
const LONGEST: usize = 15;

/// The 8 digits of a Brazilian subscriber from before the ninth digit came, with the 2 of the area.
const BRAZIL: u16 = 55;
const BRAZIL_WITHOUT_NINTH: usize = 10;

/// A country by its ISO 3166-1 code of two letters, one whose numbering plan is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country(country::Id);

/// A text that is not the code of a country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the code of a country; give the two letters of ISO 3166-1, such as EG or BR")]
pub struct UnknownCountry;

/// A phone number that exists in its country's numbering plan, such as `+201234567890`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone(String);

/// Why a text is not a phone number. None of these repeats the text, so that they may be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the phone number is empty; give one such as +201234567890")]
    Empty,
    #[error("a phone number cannot contain {0:?}; give its digits, with + in front of a country code")]
    Character(char),
    #[error("a phone number has at most {LONGEST} digits; check for digits too many")]
    TooLong,
    #[error("no country has this country code; after + or 00 comes a country code, such as 20 for Egypt")]
    UnknownCountryCode,
    #[error("no such number can exist in country code +{0}; check for missing, surplus or mistyped digits")]
    Impossible(u16),
    #[error("neither a number of {0} nor one with its country code; check its digits, or write + and the country code in front")]
    NotNational(Country),
}

impl Country {
    /// Its two letters, in upper case.
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }
}

impl FromStr for Country {
    type Err = UnknownCountry;

    fn from_str(text: &str) -> Result<Self, UnknownCountry> {
        let id = text.to_ascii_uppercase().parse().map_err(|_| UnknownCountry)?;
        let country = Self(id);
        DATABASE.by_id(country.as_str()).map(|_| country).ok_or(UnknownCountry)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Phone {
    /// Reads a number as someone in `country` writes it: with `+` or `00` and a country code, as the bare digits of the same,
    /// or nationally. Where bare digits could be either, they are the national number. The digits may be Arabic ones, and the
    /// usual separators and marks of direction are passed over. A Brazilian mobile number without its ninth digit gets it.
    pub fn parse(input: &str, country: Country) -> Result<Self, Error> {
        let (plus, digits) = digits_of(input)?;
        let parsed = match digits.strip_prefix("00") {
            _ if plus => international(&digits),
            Some(rest) => international(rest),
            None => national(&digits, country).or_else(|error| international(&digits).map_err(|_| error)),
        };
        parsed.map(Self)
    }

    /// Its digits with the country code and without `+`, as WhatsApp writes it.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }

    /// The country code it begins with, such as 20.
    pub fn country_code(&self) -> u16 {
        // A number is only made with a known code.
        calling_code(self.digits()).map_or(0, |(code, _)| code)
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shows the country code and the last two digits, for logs.
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        write!(f, "Phone(+{}..{})", self.country_code(), &digits[digits.len().saturating_sub(2)..])
    }
}

/// Whether `+` stood in front, and the digits in ASCII.
fn digits_of(input: &str) -> Result<(bool, String), Error> {
    let mut plus = false;
    let mut digits = String::with_capacity(LONGEST);
    for character in input.chars() {
        if let Some(digit) = digit(character) {
            // `00` may come on top of the digits that E.164 counts.
            if digits.len() == LONGEST + 2 {
                return Err(Error::TooLong);
            }
            digits.push(digit);
        } else if matches!(character, '+' | '\u{ff0b}') && !plus && digits.is_empty() {
            plus = true;
        } else if !is_separator(character) {
            return Err(Error::Character(character));
        }
    }
    if digits.is_empty() { Err(Error::Empty) } else { Ok((plus, digits)) }
}

fn digit(character: char) -> Option<char> {
    let zero = match character {
        '0'..='9' => return Some(character),
        '\u{660}'..='\u{669}' => 0x660,
        '\u{6f0}'..='\u{6f9}' => 0x6f0,
        '\u{ff10}'..='\u{ff19}' => 0xff10,
        _ => return None,
    };
    char::from_digit(u32::from(character) - zero, 10)
}

fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        // Zero-width characters and marks of direction, which numbers copied out of Arabic text bring along.
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn international(digits: &str) -> Result<String, Error> {
    if digits.len() > LONGEST {
        return Err(Error::TooLong);
    }
    let (code, subscriber) = calling_code(digits).ok_or(Error::UnknownCountryCode)?;
    let plans = DATABASE.by_code(&code).ok_or(Error::UnknownCountryCode)?;
    // As it stands first, so that what `Display` writes is read back unchanged; then without the `(0)` of `+44 (0)20 ...`.
    complete(code, subscriber)
        .or_else(|| plans.first().and_then(|plan| without_national_prefix(plan, subscriber)).and_then(|rest| complete(code, &rest)))
        .ok_or(Error::Impossible(code))
}

fn national(digits: &str, country: Country) -> Result<String, Error> {
    let plan = DATABASE.by_id(country.as_str()).ok_or(Error::NotNational(country))?;
    without_national_prefix(plan, digits)
        .and_then(|rest| complete(plan.country_code(), &rest))
        .or_else(|| complete(plan.country_code(), digits))
        .ok_or(Error::NotNational(country))
}

/// Country codes are prefix-free, so that at most one begins the number.
fn calling_code(digits: &str) -> Option<(u16, &str)> {
    (1..=3).find_map(|length| {
        let (code, rest) = digits.split_at_checked(length)?;
        let code = code.parse().ok().filter(|_| !code.starts_with('0'))?;
        DATABASE.region(&code).map(|_| (code, rest))
    })
}

/// The number in E.164, if the plan of one of the countries that share the code has it.
fn complete(code: u16, subscriber: &str) -> Option<String> {
    let with_ninth = ninth_digit(code, subscriber);
    let subscriber = with_ninth.as_deref().unwrap_or(subscriber);
    let number = format!("+{code}{subscriber}");
    let exists = DATABASE.by_code(&code)?.into_iter().any(|plan| has(plan, subscriber));
    (exists && number.len() <= LONGEST + 1).then_some(number)
}

/// Brazilian mobile numbers grew a 9 in front between 2012 and 2016; addresses of before have 8 digits that begin with 6 to 9.
fn ninth_digit(code: u16, subscriber: &str) -> Option<String> {
    if code != BRAZIL || subscriber.len() != BRAZIL_WITHOUT_NINTH {
        return None;
    }
    let (area, rest) = subscriber.split_at(2);
    matches!(rest.as_bytes()[0], b'6'..=b'9').then(|| format!("{area}9{rest}"))
}

fn has(plan: &Metadata, subscriber: &str) -> bool {
    // Of the many countries of +1, all but the large ones are ruled out by their area codes alone.
    let elsewhere = plan.leading_digits().is_some_and(|leading| leading.find(subscriber).is_none_or(|found| found.start() != 0));
    let kinds = plan.descriptors();
    !elsewhere
        && kinds.general().is_match(subscriber)
        && [
            kinds.mobile(),
            kinds.fixed_line(),
            kinds.voip(),
            kinds.toll_free(),
            kinds.shared_cost(),
            kinds.premium_rate(),
            kinds.personal_number(),
            kinds.uan(),
            kinds.pager(),
        ]
        .into_iter()
        .flatten()
        .any(|kind| kind.is_match(subscriber))
}

/// What is left of a number written for callers within the country: without the trunk prefix (and, in Brazil, the carrier),
/// and rewritten where the plan says so, as for Argentina's `15` in front of mobile numbers.
fn without_national_prefix(plan: &Metadata, digits: &str) -> Option<String> {
    let Some(pattern) = plan.national_prefix_for_parsing() else {
        return digits.strip_prefix(plan.national_prefix()?).map(str::to_owned);
    };
    let captures = pattern.captures(digits)?;
    let whole = captures.get(0).filter(|whole| whole.start() == 0 && whole.end() > 0)?;
    let rest = &digits[whole.end()..];
    // The last group is the part that the rule rewrites; without it only the prefix goes.
    let rewritten = captures.len() > 1 && captures.get(captures.len() - 1).is_some();
    let Some(rule) = plan.national_prefix_transform_rule().filter(|_| rewritten) else {
        return Some(rest.to_owned());
    };
    let mut number = String::new();
    let mut rule = rule.chars();
    while let Some(character) = rule.next() {
        match character {
            '$' => {
                let group = rule.next().and_then(|digit| digit.to_digit(10))?;
                number.push_str(captures.get(group as usize).map_or("", |group| group.as_str()));
            }
            other => number.push(other),
        }
    }
    Some(number + rest)
}
