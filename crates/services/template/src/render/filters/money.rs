use icu::decimal::{DecimalFormatter, input::SignDisplay};
use minijinja::{Error, State, Value, value::Rest};

use super::{misuse, no_data, unfit};
use crate::render::{
    context::Scope,
    currency::{self, Order},
    decimal::{decimal_of, rounded},
};

pub(super) fn money(state: &State<'_, '_>, value: Value, currency: Rest<Value>) -> Result<String, Error> {
    let scope = Scope::of(state)?;
    let Some(amount) = decimal_of(&value) else {
        return Err(unfit(state, &value, "is not an amount; give a decimal number with a point, such as \"50.00\""));
    };
    let currency = match (currency.as_slice(), state.lookup("currency")) {
        // Not an `Option`, for which a missing variable would be none: the amount would be in another currency than was meant.
        ([given], _) => code_of(state, given)?,
        ([], Some(given)) => code_of(state, &given)?,
        ([_, _, ..], _) => return Err(misuse("money takes one currency, such as money(\"EGP\")")),
        ([], None) => scope.tenant.currency.clone(),
    };
    let label = scope.translation(&currency).unwrap_or_else(|| currency::symbol(&currency, &scope.locale));
    let signed = rounded(amount, currency::decimals(&currency)).with_sign_display(SignDisplay::Negative);
    let unsigned = signed.clone().with_sign_display(SignDisplay::Never);
    let formatter = DecimalFormatter::try_new((&scope.formats()).into(), Default::default()).map_err(no_data)?;
    let sign = if signed == unsigned { "" } else { "-" };
    Ok(match currency::order(label, &scope.locale) {
        Order::Number(space) => format!("{}{space}{label}", formatter.format(&signed)),
        Order::Label => format!("{sign}{label}{}", formatter.format(&unsigned)),
        Order::LabelAndSpace => format!("{sign}{label}\u{a0}{}", formatter.format(&unsigned)),
    })
}

fn code_of(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let code = value.as_str().map(str::trim).filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()));
    code.map(str::to_ascii_uppercase)
        .ok_or_else(|| unfit(state, value, "is not a currency; give its three letters by ISO 4217, such as EGP"))
}
