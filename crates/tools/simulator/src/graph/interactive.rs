//! Interactive messages: reply buttons and lists, within Meta's limits.

use serde_json::Value;

use super::{Error, content::text};
use crate::phone::{Media, Shown};

/// Checks an interactive message and fills in what the phone shows of it.
pub(super) fn show(content: &Value, shown: &mut Shown, media: impl Fn(&str, &Value) -> Result<Media, Error>) -> Result<(), Error> {
    let kind = content["type"].as_str().unwrap_or_default();
    let longest_body = if kind == "list" { 4096 } else { 1024 };
    shown.text = text(&content["body"], "text", "interactive['body']['text']", 1, longest_body)?;
    let footer = text(&content["footer"], "text", "interactive['footer']['text']", 0, 60)?;
    shown.footer = (!footer.is_empty()).then_some(footer);
    match content["header"]["type"].as_str() {
        None => {}
        Some("text") => shown.header = Some(text(&content["header"], "text", "interactive['header']['text']", 1, 60)?),
        Some(kind @ ("image" | "video" | "document")) => shown.media = Some(media(kind, &content["header"][kind])?),
        Some(other) => return Err(Error::parameter(format!("Param interactive['header']['type'] cannot be {other}."))),
    }
    let action = &content["action"];
    shown.buttons = match kind {
        "button" => buttons(action)?,
        "list" => list(action)?,
        other => return Err(Error::parameter(format!("Param interactive['type'] must be one of {{button, list}}, not {other}."))),
    };
    Ok(())
}

fn buttons(action: &Value) -> Result<Vec<String>, Error> {
    let buttons = action["buttons"].as_array().map_or(&[][..], Vec::as_slice);
    if !(1..=3).contains(&buttons.len()) {
        return Err(Error::parameter("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"));
    }
    let mut titles = Vec::new();
    let mut ids = Vec::new();
    for button in buttons {
        if button["type"] != "reply" {
            return Err(Error::parameter("Param interactive['action']['buttons']['type'] must be one of {reply}."));
        }
        ids.push(text(&button["reply"], "id", "button id", 1, 256)?);
        titles.push(text(&button["reply"], "title", "button title", 1, 20)?);
    }
    distinct(&ids, "button ids")?;
    distinct(&titles, "button titles")?;
    Ok(titles)
}

fn list(action: &Value) -> Result<Vec<String>, Error> {
    text(action, "button", "interactive['action']['button']", 1, 20)?;
    let sections = action["sections"].as_array().map_or(&[][..], Vec::as_slice);
    if !(1..=10).contains(&sections.len()) {
        return Err(Error::parameter("Invalid sections count. Min allowed sections: 1, Max allowed sections: 10"));
    }
    let mut titles = Vec::new();
    let mut ids = Vec::new();
    for section in sections {
        text(section, "title", "section title", usize::from(sections.len() > 1), 24)?;
        for row in section["rows"].as_array().map_or(&[][..], Vec::as_slice) {
            ids.push(text(row, "id", "row id", 1, 200)?);
            titles.push(text(row, "title", "row title", 1, 24)?);
            text(row, "description", "row description", 0, 72)?;
        }
    }
    if !(1..=10).contains(&ids.len()) {
        return Err(Error::parameter("Total row count exceed max allowed count: 10, or there is no row"));
    }
    distinct(&ids, "row ids")?;
    Ok(titles)
}

fn distinct(values: &[String], what: &str) -> Result<(), Error> {
    let repeated = values.iter().enumerate().any(|(index, value)| values[..index].contains(value));
    if repeated { Err(Error::parameter(format!("Duplicated {what} are not allowed."))) } else { Ok(()) }
}
