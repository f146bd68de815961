use icu::list::{ListFormatter, options::ListFormatterOptions};
use minijinja::{Error, State, Value, value::ValueKind};

use super::{misuse, no_data, unfit};
use crate::render::context::Scope;

const PROBLEM: &str = "is not a list of texts; give an array such as [\"shirts\", \"towels\"]";

pub(super) fn list(state: &State<'_, '_>, value: Value, joint: Option<&str>) -> Result<String, Error> {
    let scope = Scope::of(state)?;
    if value.kind() != ValueKind::Seq {
        return Err(unfit(state, &value, PROBLEM));
    }
    let items = value.try_iter()?.map(|item| match item.kind() {
        ValueKind::String | ValueKind::Number => Ok(item.to_string()),
        _ => Err(unfit(state, &value, PROBLEM)),
    });
    let items: Vec<String> = items.collect::<Result<_, _>>()?;
    let formats = scope.formats();
    let options = ListFormatterOptions::default();
    let formatter = match joint {
        None | Some("and") => ListFormatter::try_new_and((&formats).into(), options),
        Some("or") => ListFormatter::try_new_or((&formats).into(), options),
        Some(_) => return Err(misuse("list takes \"and\" or \"or\"")),
    };
    Ok(formatter.map_err(no_data)?.format_to_string(items.iter()))
}
