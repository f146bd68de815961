use icu::decimal::DecimalFormatter;
use minijinja::{Error, State, Value};

use super::{misuse, no_data, unfit};
use crate::render::{
    context::Scope,
    decimal::{decimal_of, rounded},
};

/// More are not needed for any quantity, and few enough for a line.
const MOST_DECIMALS: i16 = 10;

pub(super) fn number(state: &State<'_, '_>, value: Value, decimals: Option<i16>) -> Result<String, Error> {
    let scope = Scope::of(state)?;
    let Some(number) = decimal_of(&value) else {
        return Err(unfit(state, &value, "is not a number; give a decimal number with a point, such as 3 or \"2.5\""));
    };
    let number = match decimals {
        None => number,
        Some(decimals @ 0..=MOST_DECIMALS) => rounded(number, decimals),
        Some(_) => return Err(misuse(format!("number takes 0 to {MOST_DECIMALS} decimals"))),
    };
    let formatter = DecimalFormatter::try_new((&scope.formats()).into(), Default::default()).map_err(no_data)?;
    Ok(formatter.format_to_string(&number))
}
