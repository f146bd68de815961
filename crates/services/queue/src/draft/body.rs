//! What a message says: which parts go together, and their limits beyond those that the protos state.

use std::collections::HashSet;

use barid_domain::{Country, Phone};
use barid_proto::{
    Violations,
    queue::v1::{Choice, Choices, ContactCard, Location, MediaKind, Reaction, SendMessageRequest},
};
use prost::Message;

use crate::target::{self, Target};

/// Most bytes of the variables of a message.
const MAX_VARIABLES: usize = 64 * 1024;
/// Characters of a button's title. Meta's limit; a row of a list has 24, which the protos state.
const MAX_BUTTON_TITLE: usize = 20;
/// Rows of a list, over all its sections. Meta's limit.
const MAX_ROWS: usize = 10;

/// What a message refers to, and the field that says so.
pub(crate) type Reference = (Target, &'static str);

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub media_kind: MediaKind,
    /// With its numbers in E.164.
    pub contact_card: Option<ContactCard>,
    pub reference: Option<Reference>,
}

/// Checks what a request of a tenant of this country says.
pub(super) fn check(request: &SendMessageRequest, country: Country, violations: &mut Violations) -> Body {
    one_of(request, violations);
    texts(request, violations);
    let media_kind = media(request, violations);
    if let Some(choices) = &request.choices {
        beside_choices(request, violations);
        check_choices(choices, violations);
    }
    if let Some(location) = &request.location {
        check_location(location, violations);
    }
    let contact_card = request.contact_card.as_ref().map(|card| check_contact_card(card, country, violations));
    Body { media_kind, contact_card, reference: reference(request, violations) }
}

/// Exactly one of the things that a message can be.
fn one_of(request: &SendMessageRequest, violations: &mut Violations) {
    let given: Vec<(&str, &str)> = [
        (!request.template.is_empty(), "template", "a template"),
        (!request.text.is_empty(), "text", "a text"),
        (request.location.is_some(), "location", "a location"),
        (request.contact_card.is_some(), "contactCard", "a contact card"),
        (request.reaction.is_some(), "reaction", "a reaction"),
    ]
    .into_iter()
    .filter_map(|(given, field, name)| given.then_some((field, name)))
    .collect();
    let Some(((first, name), others)) = given.split_first() else {
        if request.media_url.is_empty() {
            let says = "is missing; give a template, a text, media, a location, a contact card or a reaction";
            violations.add("template", "required", says);
        }
        return;
    };
    for (field, _) in others {
        violations.add(*field, "ambiguous", format!("stands beside {name}; give one of the two"));
    }
    if !matches!(*first, "template" | "text") && !request.media_url.is_empty() {
        violations.add("mediaUrl", "ambiguous", format!("stands beside {name}; give one of the two"));
    }
}

fn texts(request: &SendMessageRequest, violations: &mut Violations) {
    if !request.text.is_empty() && request.text.trim().is_empty() {
        violations.add("text", "empty", "has nothing but white space; give words");
    }
    if request.template.is_empty() && request.variables.is_some() {
        violations.add("variables", "ambiguous", "belong to a template; name it");
    }
    if request.variables.as_ref().is_some_and(|variables| variables.encoded_len() > MAX_VARIABLES) {
        violations.add("variables", "too_long", format!("are larger than {MAX_VARIABLES} bytes; give less"));
    }
}

fn media(request: &SendMessageRequest, violations: &mut Violations) -> MediaKind {
    let kind = request.media_kind();
    if request.media_url.is_empty() {
        if kind != MediaKind::Unspecified || !request.media_filename.is_empty() {
            violations.add("mediaUrl", "required", "is missing beside mediaKind or mediaFilename; give the address");
        }
        return MediaKind::Unspecified;
    }
    let url = request.media_url.as_str();
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.is_empty() || url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        violations.add("mediaUrl", "invalid_url", "is no https address; give one such as `https://example.com/invoice.pdf`");
    }
    if matches!(kind, MediaKind::Audio | MediaKind::Voice) {
        for (field, given) in [("text", &request.text), ("template", &request.template)] {
            if !given.is_empty() {
                violations.add(field, "ambiguous", "stands beside audio, which carries no text; send the two as messages of their own");
            }
        }
    }
    match kind {
        MediaKind::Unspecified => {
            let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
            let is_image = [".jpg", ".jpeg", ".png"].iter().any(|ending| path.ends_with(ending));
            if is_image { MediaKind::Image } else { MediaKind::Document }
        }
        kind => kind,
    }
}

fn beside_choices(request: &SendMessageRequest, violations: &mut Violations) {
    if request.text.is_empty() && request.template.is_empty() {
        violations.add("choices", "text_required", "stand below a text; give a text or a template");
    }
    if !request.media_url.is_empty() {
        violations.add("mediaUrl", "ambiguous", "stands beside choices; send the media as a message of its own");
    }
}

fn check_choices(choices: &Choices, violations: &mut Violations) {
    match (choices.buttons.is_empty(), choices.sections.is_empty()) {
        (true, true) => violations.add("choices", "required", "has nothing to choose; give buttons or sections"),
        (false, false) => violations.add("choices.sections", "ambiguous", "stand beside buttons; give one of the two"),
        (false, true) => check_buttons(choices, violations),
        (true, false) => check_list(choices, violations),
    }
    let mut ids = HashSet::new();
    for (path, choice) in paths(choices) {
        if !choice.id.is_empty() && !ids.insert(choice.id.as_str()) {
            violations.add(format!("{path}.id"), "duplicate", "is the id of another choice of this message; give each its own");
        }
    }
}

fn check_buttons(choices: &Choices, violations: &mut Violations) {
    if !choices.list_button.is_empty() {
        violations.add("choices.listButton", "ambiguous", "opens a list; give sections, or leave it out");
    }
    for (path, button) in paths(choices) {
        let length = button.title.chars().count();
        if length > MAX_BUTTON_TITLE {
            let says = format!("has {length} characters; give at most {MAX_BUTTON_TITLE} on a button");
            violations.add(format!("{path}.title"), "too_long", says);
        }
        if !button.description.is_empty() {
            violations.add(format!("{path}.description"), "ambiguous", "belongs to the rows of a list; leave it out");
        }
    }
}

fn check_list(choices: &Choices, violations: &mut Violations) {
    if choices.list_button.trim().is_empty() {
        violations.add("choices.listButton", "required", "is missing beside sections; give what opens the list, such as `Choose`");
    }
    let rows: usize = choices.sections.iter().map(|section| section.rows.len()).sum();
    if rows > MAX_ROWS {
        violations.add("choices.sections", "too_many", format!("have {rows} rows in all; give at most {MAX_ROWS}"));
    }
    if choices.sections.len() > 1 {
        for (index, section) in choices.sections.iter().enumerate() {
            if section.title.trim().is_empty() {
                let path = format!("choices.sections[{index}].title");
                violations.add(path, "required", "is missing; with several sections each needs a title");
            }
        }
    }
}

/// Every choice with its path.
fn paths(choices: &Choices) -> impl Iterator<Item = (String, &Choice)> {
    let buttons = choices.buttons.iter().enumerate().map(|(index, button)| (format!("choices.buttons[{index}]"), button));
    let rows = choices.sections.iter().enumerate().flat_map(|(section, rows)| {
        rows.rows.iter().enumerate().map(move |(index, row)| (format!("choices.sections[{section}].rows[{index}]"), row))
    });
    buttons.chain(rows)
}

fn check_location(location: &Location, violations: &mut Violations) {
    for (field, degrees, limit) in [("location.latitude", location.latitude, 90.0), ("location.longitude", location.longitude, 180.0)] {
        // What is no number lies in no range.
        if !(-limit..=limit).contains(&degrees) {
            violations.add(field, "out_of_range", format!("is {degrees}; give degrees from -{limit} to {limit}"));
        }
    }
}

fn check_contact_card(card: &ContactCard, country: Country, violations: &mut Violations) -> ContactCard {
    if card.name.trim().is_empty() {
        violations.add("contactCard.name", "required", "is missing; give the name of the person");
    }
    if card.phones.is_empty() {
        violations.add("contactCard.phones", "required", "are missing; give 1 to 5 numbers");
    }
    let mut phones = Vec::with_capacity(card.phones.len());
    for (index, phone) in card.phones.iter().enumerate() {
        match Phone::parse(phone, country) {
            Ok(phone) => phones.push(phone.to_string()),
            Err(error) => violations.add(format!("contactCard.phones[{index}]"), "invalid_phone_number", error.to_string()),
        }
    }
    ContactCard { name: card.name.clone(), phones }
}

fn reference(request: &SendMessageRequest, violations: &mut Violations) -> Option<Reference> {
    if let Some(reaction) = &request.reaction {
        check_emoji(reaction, violations);
        if !request.reply_to.is_empty() {
            violations.add("replyTo", "ambiguous", "stands beside a reaction, which names its message itself; leave it out");
        }
        return refer(&reaction.message_id, "reaction.messageId", violations);
    }
    if request.reply_to.is_empty() { None } else { refer(&request.reply_to, "replyTo", violations) }
}

fn refer(id: &str, field: &'static str, violations: &mut Violations) -> Option<Reference> {
    let found = Target::parse(id);
    if found.is_none() {
        let (rule, says) = target::UNKNOWN;
        violations.add(field, rule, says);
    }
    found.map(|target| (target, field))
}

/// An emoji may be several characters, some of them digits: what can be told without a table of Unicode is that it is no word.
fn check_emoji(reaction: &Reaction, violations: &mut Violations) {
    let emoji = reaction.emoji.as_str();
    // The letters among the signs, such as a circled M, are emoji.
    let letter = |sign: char| sign.is_alphabetic() && !('\u{2100}'..='\u{24ff}').contains(&sign) && sign < '\u{1f000}';
    let wordlike = emoji.is_ascii() || emoji.chars().any(|sign| letter(sign) || sign.is_whitespace() || sign.is_control());
    if !emoji.is_empty() && wordlike {
        violations.add("reaction.emoji", "invalid_emoji", "is no emoji; give one, or none to take the reaction back");
    }
}
