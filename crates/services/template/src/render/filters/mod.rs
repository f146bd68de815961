//! The filters that templates have of Barid, one file for each kind of thing they write.

mod date;
mod list;
mod money;
mod number;

use std::borrow::Cow;

use minijinja::{Environment, Error, ErrorKind, State, Value, value::StringInput};

use super::context::Scope;

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("money", money::money);
    environment.add_filter("number", number::number);
    environment.add_filter("date", date::date);
    environment.add_filter("time", date::time);
    environment.add_filter("list", list::list);
    environment.add_filter("translate", translate);
}

/// A value that a filter cannot write. Travels inside of minijinja's error to where the name of the variable is known.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(super) struct Unfit {
    pub value: Value,
    /// Goes on after the variable's name: `is not an amount; give ...`.
    pub problem: &'static str,
}

fn unfit(state: &State<'_, '_>, value: &Value, problem: &'static str) -> Error {
    match undefined(state, value) {
        Err(missing) => missing,
        Ok(()) => Error::new(ErrorKind::InvalidOperation, problem).with_source(Unfit { value: value.clone(), problem }),
    }
}

/// minijinja's own error for a missing value, which knows the expression; it does not check the values of filters by itself.
fn undefined(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() { StringInput::new(state, value).map(drop) } else { Ok(()) }
}

/// An argument that the template gives wrongly.
fn misuse(problem: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

/// ICU's compiled data falls back to the root locale for any locale, so that this does not happen.
fn no_data(error: impl std::fmt::Display) -> Error {
    misuse(format!("no formats for this locale: {error}"))
}

fn translate(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    undefined(state, &value)?;
    let scope = Scope::of(state)?;
    Ok(value.as_str().and_then(|word| scope.translation(word)).map_or_else(|| value.clone(), Value::from))
}
