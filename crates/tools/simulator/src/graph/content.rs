//! What a send asks for: checked as Meta checks it, and turned into what the phone will show.

use std::sync::Arc;

use serde_json::Value;

use super::{Error, interactive};
use crate::{
    phone::{Media, Shown, TemplateRef},
    template::{Header, Parameter, Status, Template, render},
};

/// A send that passed every check that needs no look at the phone.
#[derive(Debug)]
pub(crate) struct Draft {
    /// As it was given.
    pub(crate) input: String,
    pub(crate) wa_id: String,
    pub(crate) opaque: Option<String>,
    pub(crate) shown: Shown,
    /// Allowed inside the 24-hour window only.
    pub(crate) free_form: bool,
    /// What the conversation is billed as.
    pub(crate) category: String,
    /// The message a reaction is put on.
    pub(crate) reacts_to: Option<String>,
}

/// What a check needs to know of the business account.
pub(crate) trait Account {
    fn template(&self, name: &str, language: &str) -> Option<Arc<Template>>;
    fn has_media(&self, id: &str) -> bool;
}

const TYPES: &str = "audio, contacts, document, image, interactive, location, reaction, sticker, template, text, video";

/// Checks a message and tells how it will look.
pub(crate) fn draft(body: &Value, account: &impl Account) -> Result<Draft, Error> {
    if body["messaging_product"] != "whatsapp" {
        return Err(Error::parameter("The parameter messaging_product is required."));
    }
    if !matches!(body["recipient_type"].as_str(), None | Some("individual")) {
        return Err(Error::parameter("Param recipient_type must be one of {individual}"));
    }
    let input = required(body, "to")?.to_owned();
    let wa_id = wa_id(&input).ok_or_else(|| Error::new(131_009, "to is not a valid WhatsApp id"))?;
    let opaque = body["biz_opaque_callback_data"].as_str().map(str::to_owned);
    if opaque.as_deref().is_some_and(|opaque| opaque.chars().count() > 512) {
        return Err(too_long("biz_opaque_callback_data", 512));
    }
    let kind = body["type"].as_str().unwrap_or("text");
    let content = &body[kind];
    if !TYPES.split(", ").any(|known| known == kind) {
        return Err(Error::parameter(format!("Param type must be one of {{{TYPES}}}")));
    }
    if content.is_null() {
        return Err(Error::parameter(format!("The parameter {kind} is required.")));
    }
    let mut shown =
        Shown { kind: kind.to_owned(), reply_to: body["context"]["message_id"].as_str().map(str::to_owned), ..Shown::default() };
    let mut category = "service".to_owned();
    let mut reacts_to = None;
    match kind {
        "text" => shown.text = text(content, "body", "text['body']", 1, 4096)?,
        "image" | "video" | "audio" | "document" | "sticker" => {
            shown.text = text(content, "caption", &format!("{kind}['caption']"), 0, 1024)?;
            shown.media = Some(media(kind, content, account)?);
        }
        "location" => {
            if coordinate(&content["latitude"], 90.0).is_none() || coordinate(&content["longitude"], 180.0).is_none() {
                return Err(Error::parameter("location['latitude'] and location['longitude'] must be coordinates."));
            }
            shown.text = [&content["name"], &content["address"]].iter().filter_map(|part| part.as_str()).collect::<Vec<_>>().join("\n");
            shown.detail = Some(content.clone());
        }
        "contacts" => shown = contacts(content, shown)?,
        "reaction" => {
            reacts_to = Some(required(content, "message_id")?.to_owned());
            shown.text =
                content["emoji"].as_str().ok_or_else(|| Error::parameter("The parameter reaction['emoji'] is required."))?.to_owned();
        }
        "interactive" => interactive::show(content, &mut shown, |kind, value| media(kind, value, account))?,
        _ => category = template(content, &mut shown, account)?,
    }
    Ok(Draft { input, wa_id, opaque, shown, free_form: kind != "template", category, reacts_to })
}

/// The digits of a phone number written in any of the usual ways.
pub(crate) fn wa_id(input: &str) -> Option<String> {
    let input = input.trim();
    let input = input.strip_prefix('+').unwrap_or(input);
    let digits: String = input.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
    ((7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

pub(super) fn required<'a>(value: &'a Value, key: &str) -> Result<&'a str, Error> {
    match value[key].as_str() {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(Error::parameter(format!("The parameter {key} is required."))),
    }
}

/// A text of a bounded number of characters; absent counts as empty.
pub(super) fn text(value: &Value, key: &str, name: &str, least: usize, most: usize) -> Result<String, Error> {
    let text = match &value[key] {
        Value::Null => "",
        Value::String(text) => text,
        _ => return Err(Error::parameter(format!("Param {name} must be a string."))),
    };
    let length = text.chars().count();
    if length < least {
        return Err(Error::parameter(format!("The parameter {name} is required.")));
    }
    if length > most { Err(too_long(name, most)) } else { Ok(text.to_owned()) }
}

fn too_long(name: &str, most: usize) -> Error {
    Error::parameter(format!("Param {name} must be at most {most} characters long."))
}

fn coordinate(value: &Value, bound: f64) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    (-bound..=bound).contains(&number).then_some(number)
}

fn media(kind: &str, value: &Value, account: &impl Account) -> Result<Media, Error> {
    let own = |key: &str| value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let media = Media { kind: kind.to_owned(), link: own("link"), id: own("id"), filename: own("filename"), ..Media::default() };
    match (&media.link, &media.id) {
        (Some(link), None) if link.starts_with("https://") || link.starts_with("http://") => Ok(media),
        (Some(_), None) => Err(Error::parameter(format!("Param {kind}['link'] is not a valid URL."))),
        (None, Some(id)) if account.has_media(id) => Ok(media),
        (None, Some(id)) => {
            Err(Error::parameter(format!("Param {kind}['id'] is not a valid whatsapp business account media attachment ID: {id}")))
        }
        _ => Err(Error::parameter(format!("Exactly one of {kind}['id'] and {kind}['link'] is required."))),
    }
}

fn contacts(content: &Value, mut shown: Shown) -> Result<Shown, Error> {
    let cards = content.as_array().filter(|cards| !cards.is_empty());
    let cards = cards.ok_or_else(|| Error::parameter("Param contacts must be a non-empty array."))?;
    let names: Option<Vec<&str>> = cards.iter().map(|card| card["name"]["formatted_name"].as_str()).collect();
    let names = names.ok_or_else(|| Error::parameter("The parameter contacts['name']['formatted_name'] is required."))?;
    shown.text = names.join("\n");
    shown.detail = Some(content.clone());
    Ok(shown)
}

/// Renders a template into `shown` and returns its category.
fn template(content: &Value, shown: &mut Shown, account: &impl Account) -> Result<String, Error> {
    let name = required(content, "name")?;
    let language = required(&content["language"], "code")?;
    let template = account.template(name, language);
    let absent = || Error::new(132_001, format!("template name ({name}) does not exist in {language}"));
    let template = template.ok_or_else(absent)?;
    match template.status {
        Status::Approved => {}
        Status::Paused => return Err(Error::new(132_015, format!("template ({name}) is paused due to low quality"))),
        Status::Disabled => return Err(Error::new(132_016, format!("template ({name}) is disabled"))),
        Status::Pending | Status::Rejected => return Err(absent()),
    }
    let components = content["components"].as_array().map_or(&[][..], Vec::as_slice);
    let component =
        |kind: &str| components.iter().find(|component| component["type"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(kind)));
    let refused = |(code, details)| Error::new(code, details);
    shown.text = render("body", &template.body, &parameters(component("body"))?).map_err(refused)?;
    match &template.header {
        Header::None
            if component("header").is_some_and(|header| header["parameters"].as_array().is_some_and(|given| !given.is_empty())) =>
        {
            return Err(Error::new(132_000, "header: the template has no header that takes parameters"));
        }
        Header::None => {}
        Header::Text(text) => shown.header = Some(render("header", text, &parameters(component("header"))?).map_err(refused)?),
        Header::Media(kind) => {
            let given = component("header").map_or(&Value::Null, |header| &header["parameters"][0]);
            if given["type"] != kind.as_str() {
                return Err(Error::new(
                    132_012,
                    format!(
                        "header: Format mismatch, expected {}, received {}",
                        kind.to_uppercase(),
                        given["type"].as_str().unwrap_or("UNKNOWN").to_uppercase()
                    ),
                ));
            }
            shown.media = Some(media(kind, &given[kind.as_str()], account)?);
        }
    }
    shown.footer.clone_from(&template.footer);
    shown.buttons = template.buttons.iter().filter_map(|button| button["text"].as_str().map(str::to_owned)).collect();
    shown.template = Some(TemplateRef { name: name.to_owned(), language: language.to_owned() });
    Ok(template.category.to_ascii_lowercase())
}

/// The text parameters of a component; currencies and dates appear as their fall-back texts, as Meta shows them.
fn parameters(component: Option<&Value>) -> Result<Vec<Parameter>, Error> {
    let Some(given) = component.and_then(|component| component["parameters"].as_array()) else { return Ok(Vec::new()) };
    let parameter = |value: &Value| {
        let text = match value["type"].as_str() {
            Some("text") => value["text"].as_str(),
            Some(kind @ ("currency" | "date_time")) => value[kind]["fallback_value"].as_str(),
            other => return Err(Error::new(132_012, format!("a parameter of type {} does not fit a text", other.unwrap_or("UNKNOWN")))),
        };
        let name = value["parameter_name"].as_str().map(str::to_owned);
        Ok(Parameter { name, text: text.unwrap_or_default().to_owned() })
    };
    given.iter().map(parameter).collect()
}
