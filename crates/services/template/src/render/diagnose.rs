//! From minijinja's errors to sentences for people who know their variables and not minijinja.

use std::error::Error as _;

use minijinja::{Error as JinjaError, ErrorKind};
use serde_json::{Map, Value as Json};

use super::{Error, Part, Place, filters::Unfit, syntax::Refusal, values};

/// Why a part of a template does not compile.
pub(super) fn compile_error(error: &JinjaError, part: Part) -> Error {
    let place = Place { part, line: error.line().unwrap_or_default() };
    let problem = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Error::TemplateInvalid { place, problem: format!("{problem}; see the syntax of Jinja templates").into() }
}

pub(super) fn refusal(refusal: Refusal, part: Part) -> Error {
    Error::TemplateInvalid { place: Place { part, line: refusal.line }, problem: refusal.problem.into() }
}

/// Why a part of a template cannot be rendered with these variables.
pub(super) fn render_error(error: &JinjaError, part: Part, limit: usize, source: &str, variables: &Map<String, Json>) -> Error {
    let place = Place { part, line: error.line().unwrap_or_default() };
    if error.kind() == ErrorKind::WriteFailure {
        return Error::TextTooLong { place: Place { part, line: 0 }, limit };
    }
    if let Some(Unfit { value, problem }) = error.source().and_then(|source| source.downcast_ref()) {
        let expression = filtered(error, source);
        let names = values::names_of(variables, &|json| values::value_of(json) == *value);
        return match best_name(names, expression) {
            Some(name) => Error::VariableInvalid { place, name, problem: (*problem).into() },
            None => Error::TemplateInvalid { place, problem: format!("`{expression}`: it {problem}").into() },
        };
    }
    if let Some(expression) = undefined(error) {
        return missing(expression, place, source, variables);
    }
    let problem = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "takes too many steps; loop over fewer items".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    Error::TemplateInvalid { place, problem: problem.into() }
}

/// The range is that of the filter's name; what it is applied to stands before it in the same tag.
fn filtered<'a>(error: &JinjaError, source: &'a str) -> &'a str {
    let until = error.range().and_then(|range| source.get(..range.end)).unwrap_or_default();
    let start = until.rfind("{{").max(until.rfind("{%")).map_or(0, |brace| brace + 2);
    until[start..].trim()
}

/// The value alone may stand under several names; the one that the expression mentions is meant.
fn best_name(names: Vec<String>, expression: &str) -> Option<String> {
    let mentioned = |name: &&String| {
        let last = name.rsplit('.').next().unwrap_or(name);
        let last = last.split('[').next().unwrap_or(last);
        expression.split(|character: char| !character.is_alphanumeric() && character != '_').any(|word| word == last)
    };
    names.iter().find(mentioned).or(names.first()).cloned()
}

/// minijinja tells in its detail which expression was undefined: "`items[0].price` is undefined".
fn undefined(error: &JinjaError) -> Option<&str> {
    let (before, _) = error.detail()?.rsplit_once("` is undefined")?;
    before.rsplit_once('`').map(|(_, expression)| expression)
}

fn missing(expression: &str, place: Place, source: &str, variables: &Map<String, Json>) -> Error {
    let root = expression.split(['.', '[']).next().unwrap_or(expression);
    let known = match root {
        "business" => "name, phone and emoji",
        "contact" => "name",
        _ => {
            let name = in_loop(expression, root, source, variables).unwrap_or_else(|| expression.to_owned());
            return Error::VariableMissing { place, name };
        }
    };
    Error::TemplateInvalid { place, problem: format!("there is no `{expression}`; {root} has {known}").into() }
}

/// For `item.price` inside of `for item in items`: the first item without a price, as `items[1].price`.
fn in_loop(expression: &str, root: &str, source: &str, variables: &Map<String, Json>) -> Option<String> {
    if variables.contains_key(root) {
        return None;
    }
    let field = expression.strip_prefix(root)?.strip_prefix('.')?;
    let (_, after) = source.split_once(&format!("for {root} in "))?;
    let list = after.split(|character: char| !character.is_alphanumeric() && character != '_').next()?;
    let lacking = |item: &Json| field.split('.').try_fold(item, |value, key| value.get(key)).is_none_or(Json::is_null);
    let index = variables.get(list)?.as_array()?.iter().position(lacking)?;
    Some(format!("{list}[{index}].{field}"))
}
