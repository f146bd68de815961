//! Message templates: what they look like, and whether the parameters of a send fit. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Longest body after the parameters are in place.
const LONGEST: usize = 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    #[default]
    Approved,
    Pending,
    Rejected,
    Paused,
    Disabled,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Header {
    #[default]
    None,
    Text(String),
    /// `document`, `image` or `video`
    Media(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) waba: String,
    pub(crate) name: String,
    pub(crate) language: String,
    /// `UTILITY`, `MARKETING` or `AUTHENTICATION`
    pub(crate) category: String,
    pub(crate) status: Status,
    pub(crate) header: Header,
    pub(crate) body: String,
    pub(crate) footer: Option<String>,
    /// As created: `{type, text, url?}`
    pub(crate) buttons: Vec<Value>,
}

/// A parameter given with a send; `name` for templates with named placeholders.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: Option<String>,
    pub(crate) text: String,
}

/// Meta's code and what it says in `details`.
pub(crate) type Refusal = (u32, String);

/// The distinct placeholders of a text, in the order they appear.
pub(crate) fn placeholders(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        let name = name.trim();
        if !names.contains(&name) {
            names.push(name);
        }
        rest = after;
    }
    names
}

fn fill(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        filled.push_str(before);
        filled.push_str(&value(name.trim()));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Puts the parameters into one component's text.
///
/// Positional placeholders are numbered from 1; a named one takes the parameter of that name.
pub(crate) fn render(component: &str, text: &str, parameters: &[Parameter]) -> Result<String, Refusal> {
    let names = placeholders(text);
    if names.len() != parameters.len() {
        let (given, expected) = (parameters.len(), names.len());
        let details =
            format!("{component}: number of localizable_params ({given}) does not match the expected number of params ({expected})");
        return Err((132_000, details));
    }
    for parameter in parameters {
        check(component, &parameter.text)?;
    }
    if let Some(missing) = names.iter().find(|name| lookup(name, parameters).is_none()) {
        return Err((132_012, format!("{component}: there is no parameter for {{{{{missing}}}}}")));
    }
    let filled = fill(text, |name| lookup(name, parameters).unwrap_or_default().to_owned());
    if filled.chars().count() > LONGEST {
        return Err((132_005, format!("{component}: the text with its parameters is longer than {LONGEST} characters")));
    }
    Ok(filled)
}

fn lookup<'a>(name: &str, parameters: &'a [Parameter]) -> Option<&'a str> {
    let parameter = match name.parse::<usize>() {
        Ok(position) => parameters.get(position.checked_sub(1)?),
        Err(_) => parameters.iter().find(|parameter| parameter.name.as_deref() == Some(name)),
    };
    parameter.map(|parameter| parameter.text.as_str())
}

fn check(component: &str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err((131_008, format!("{component}: parameter of type text is missing text value")));
    }
    if text.contains(['\n', '\r', '\t']) || text.contains("     ") {
        let details = format!("{component}: Param text cannot have new-line/tab characters or more than 4 consecutive spaces");
        return Err((132_012, details));
    }
    Ok(())
}

impl Template {
    /// Reads Meta's `components`; the sentence of the error names what is wrong.
    pub(crate) fn set_components(&mut self, components: &[Value]) -> Result<(), String> {
        for component in components {
            let text = || component["text"].as_str().map(str::to_owned);
            match component["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
                "HEADER" => {
                    self.header = match component["format"].as_str().unwrap_or("TEXT").to_ascii_uppercase().as_str() {
                        "TEXT" => Header::Text(text().ok_or("the header has no text")?),
                        media @ ("DOCUMENT" | "IMAGE" | "VIDEO") => Header::Media(media.to_ascii_lowercase()),
                        other => return Err(format!("the header format {other} is not supported")),
                    }
                }
                "BODY" => self.body = text().ok_or("the body has no text")?,
                "FOOTER" => self.footer = text(),
                "BUTTONS" => self.buttons = component["buttons"].as_array().cloned().unwrap_or_default(),
                other => return Err(format!("the component type {other:?} is not supported")),
            }
        }
        self.check()
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.body.is_empty() {
            return Err("a template needs a body".into());
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.name.is_empty() || !self.name.chars().all(allowed) {
            return Err("a template's name consists of lower-case letters, digits and underscores".into());
        }
        if self.language.is_empty() || self.language.contains('-') {
            return Err("a language is written like ar, en_US or pt_BR".into());
        }
        let positions: Vec<usize> = placeholders(&self.body).iter().filter_map(|name| name.parse().ok()).collect();
        if (1..=positions.len()).any(|position| !positions.contains(&position)) {
            return Err("numbered placeholders run from {{1}} without a gap".into());
        }
        Ok(())
    }

    /// As the Cloud API lists it.
    pub(crate) fn view(&self) -> Value {
        let mut components = Vec::new();
        match &self.header {
            Header::None => {}
            Header::Text(text) => components.push(json!({"type": "HEADER", "format": "TEXT", "text": text})),
            Header::Media(kind) => components.push(json!({"type": "HEADER", "format": kind.to_ascii_uppercase()})),
        }
        components.push(json!({"type": "BODY", "text": self.body}));
        if let Some(footer) = &self.footer {
            components.push(json!({"type": "FOOTER", "text": footer}));
        }
        if !self.buttons.is_empty() {
            components.push(json!({"type": "BUTTONS", "buttons": self.buttons}));
        }
        json!({"id": self.id, "name": self.name, "language": self.language, "category": self.category, "status": self.status, "components": components})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positional(texts: &[&str]) -> Vec<Parameter> {
        texts.iter().map(|text| Parameter { name: None, text: (*text).into() }).collect()
    }

    #[test]
    fn parameters_take_their_places() {
        let text = "أهلاً {{1}}، فاتورة {{2}} لـ {{1}}";
        assert_eq!(render("body", text, &positional(&["سارة", "17"])).unwrap(), "أهلاً سارة، فاتورة 17 لـ سارة");
        assert_eq!(render("body", "{{2}} {{1}}", &positional(&["a", "b"])).unwrap(), "b a");
        let named = [Parameter { name: Some("who".into()), text: "Ana".into() }];
        assert_eq!(render("body", "Oi {{who}}!", &named).unwrap(), "Oi Ana!");
    }

    #[test]
    fn what_a_parameter_contains_is_not_filled_again() {
        assert_eq!(render("body", "{{1}} {{2}}", &positional(&["{{2}}", "b"])).unwrap(), "{{2}} b");
    }

    #[test]
    fn each_misfit_has_its_code() {
        let code = |text, parameters: &[&str]| render("body", text, &positional(parameters)).unwrap_err().0;
        assert_eq!(code("{{1}}", &[]), 132_000);
        assert_eq!(code("{{1}}", &["a", "b"]), 132_000);
        assert_eq!(code("{{1}}", &["a\nb"]), 132_012);
        assert_eq!(code("{{1}}", &["a\tb"]), 132_012);
        assert_eq!(code("{{1}}", &["a     b"]), 132_012);
        assert_eq!(code("{{name}}", &["a"]), 132_012);
        assert_eq!(code("{{1}}", &[""]), 131_008);
        assert_eq!(code("{{1}}", &[&"x".repeat(1025)]), 132_005);
        assert!(render("body", "{{1}}", &positional(&["a    b"])).is_ok());
    }
}
