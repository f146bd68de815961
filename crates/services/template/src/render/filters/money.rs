use icu::decimal::{
    DecimalFormatter,
    input::{Decimal, SignedRoundingMode, UnsignedRoundingMode},
};
use minijinja::{Error, State, Value};

use super::{no_data, unfit};
use crate::render::{context::Scope, currency, decimal::decimal_of};

pub(super) fn money(state: &State<'_, '_>, value: Value, currency: Option<Value>) -> Result<String, Error> {
    let scope = Scope::of(state)?;
    let Some(amount) = decimal_of(&value) else {
        return Err(unfit(&value, "is not an amount; give a decimal number with a point, such as \"50.00\""));
    };
    let currency = match currency.or_else(|| state.lookup("currency")) {
        Some(given) => code_of(&given)?,
        None => scope.tenant.currency.clone(),
    };
    let label = scope.translation(&currency).unwrap_or_else(|| currency::symbol(&currency, &scope.locale));
    let negative = amount.sign() == icu::decimal::input::Sign::Negative;
    let mut shown = rounded(amount, currency::decimals(&currency));
    if !currency::follows_number(&scope.locale) {
        shown = shown.with_sign(icu::decimal::input::Sign::None);
    }
    let formatter = DecimalFormatter::try_new((&scope.formats()).into(), Default::default()).map_err(no_data)?;
    Ok(currency::place(label, &formatter.format_to_string(&shown), negative, &scope.locale))
}

/// Half away from zero, as on a bill.
pub(super) fn rounded(number: Decimal, decimals: i16) -> Decimal {
    number.rounded_with_mode(-decimals, SignedRoundingMode::Unsigned(UnsignedRoundingMode::HalfExpand)).padded_end(-decimals)
}

fn code_of(value: &Value) -> Result<String, Error> {
    let code = value.as_str().map(str::trim).filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()));
    code.map(str::to_ascii_uppercase).ok_or_else(|| unfit(value, "is not a currency; give its three letters by ISO 4217, such as EGP"))
}
