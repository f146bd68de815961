use icu::decimal::input::Decimal;
use minijinja::{Value, value::ValueKind};

/// More digits than any amount or quantity has, and few enough to be laid out in a line.
const LONGEST: usize = 40;

/// The number that a value writes, with the decimals it writes. Texts are read as they stand, never through a float: digits with
/// perhaps a minus sign and a decimal point, as `50.00`, because `1.250` and `1,250` mean different amounts in different countries.
pub(super) fn decimal_of(value: &Value) -> Option<Decimal> {
    let text = match value.kind() {
        ValueKind::String => value.as_str()?.trim().to_owned(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        // Unlike minijinja's, Rust's own writing of a float has no exponent.
        ValueKind::Number => f64::try_from(value.clone()).ok()?.to_string(),
        _ => return None,
    };
    let unsigned = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > LONGEST || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut number: Decimal = text.parse().ok()?;
    number.absolute.trim_start();
    Some(number)
}

/// With so many decimals, rounded half away from zero as on a bill.
pub(super) fn rounded(number: Decimal, decimals: i16) -> Decimal {
    let position = -decimals;
    let up = number.absolute.digit_at(position - 1) >= 5;
    let mut number = if up { number.expanded(position) } else { number.trunced(position) };
    number.absolute.pad_end(position);
    number
}
