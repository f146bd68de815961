//! What a customer said, from Meta's words for it. What is broken in it or not known here still counts as a message.

use serde_json::Value;

use super::{Card, Content, File, FileKind};

/// The content of a message of this type; `content` is what stands under the type's name.
pub(super) fn read(kind: &str, content: &Value) -> Content {
    let known = match kind {
        "text" => text(&content["body"]).map(|body| Content::Text { body }),
        "image" => file(FileKind::Image, content),
        "video" => file(FileKind::Video, content),
        "audio" => file(if content["voice"] == true { FileKind::Voice } else { FileKind::Audio }, content),
        "document" => file(FileKind::Document, content),
        "sticker" => file(FileKind::Sticker, content),
        "location" => location(content),
        "contacts" => content.as_array().map(|cards| Content::Contacts { cards: cards.iter().map(card).collect() }),
        "reaction" => text(&content["message_id"]).map(|target_id| Content::Reaction { target_id, emoji: text(&content["emoji"]) }),
        // A quick reply of a template.
        "button" => choice(&content["payload"], &content["text"]),
        "interactive" => {
            let chosen = ["button_reply", "list_reply"].into_iter().find_map(|kind| content.get(kind));
            chosen.and_then(|chosen| choice(&chosen["id"], &chosen["title"]))
        }
        "order" => order(content),
        _ => None,
    };
    known.unwrap_or_else(|| Content::Unsupported { name: kind.to_owned() })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn file(kind: FileKind, content: &Value) -> Option<Content> {
    let file = File {
        kind,
        id: text(&content["id"])?,
        mime: text(&content["mime_type"]).unwrap_or_default(),
        caption: text(&content["caption"]),
        filename: text(&content["filename"]),
    };
    Some(Content::File(file))
}

fn location(content: &Value) -> Option<Content> {
    // Numbers, and at times texts of numbers.
    let degrees = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    Some(Content::Location {
        latitude: degrees(&content["latitude"])?,
        longitude: degrees(&content["longitude"])?,
        name: text(&content["name"]),
        address: text(&content["address"]),
    })
}

fn card(card: &Value) -> Card {
    let name = [&card["name"]["formatted_name"], &card["name"]["first_name"]].into_iter().find_map(text).unwrap_or_default();
    let phones = card["phones"].as_array().map_or(&[][..], Vec::as_slice);
    Card { name, phones: phones.iter().filter_map(|phone| text(&phone["phone"]).or_else(|| text(&phone["wa_id"]))).collect() }
}

fn choice(id: &Value, title: &Value) -> Option<Content> {
    let title = text(title);
    let id = text(id).or_else(|| title.clone())?;
    Some(Content::Choice { id, title: title.unwrap_or_default() })
}

fn order(content: &Value) -> Option<Content> {
    let items = content["product_items"].as_array()?;
    Some(Content::Order {
        catalog_id: text(&content["catalog_id"]).unwrap_or_default(),
        note: text(&content["text"]),
        items: u32::try_from(items.len()).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_of_every_kind() {
        let kinds = [
            ("image", FileKind::Image),
            ("video", FileKind::Video),
            ("audio", FileKind::Audio),
            ("document", FileKind::Document),
            ("sticker", FileKind::Sticker),
        ];
        for (name, kind) in kinds {
            let found = read(name, &json!({"id": "7", "mime_type": "a/b", "sha256": "x", "caption": "", "filename": "f"}));
            let file = File { kind, id: "7".into(), mime: "a/b".into(), caption: None, filename: Some("f".into()) };
            assert_eq!(found, Content::File(file));
        }
        let Content::File(voice) = read("audio", &json!({"id": "7", "voice": true})) else { panic!("a file") };
        assert_eq!((voice.kind, voice.mime.as_str()), (FileKind::Voice, ""));
    }

    #[test]
    fn what_is_not_a_file() {
        let cards = json!([{"name": {"formatted_name": "Ali"}, "phones": [{"phone": "+20 100", "wa_id": "20100"}, {"wa_id": "20200"}]}]);
        let said = |kind, content| read(kind, &content);
        assert_eq!(said("text", json!({"body": "hi"})), Content::Text { body: "hi".into() });
        assert_eq!(
            said("location", json!({"latitude": 30.0, "longitude": "31.5", "name": "Shop"})),
            Content::Location { latitude: 30.0, longitude: 31.5, name: Some("Shop".into()), address: None }
        );
        let card = Card { name: "Ali".into(), phones: vec!["+20 100".into(), "20200".into()] };
        assert_eq!(said("contacts", cards), Content::Contacts { cards: vec![card] });
        let reaction = |emoji| Content::Reaction { target_id: "wamid.1".into(), emoji };
        assert_eq!(said("reaction", json!({"message_id": "wamid.1", "emoji": "👍"})), reaction(Some("👍".into())));
        assert_eq!(said("reaction", json!({"message_id": "wamid.1"})), reaction(None), "taken back");
        let yes = Content::Choice { id: "yes".into(), title: "Yes".into() };
        assert_eq!(said("button", json!({"payload": "yes", "text": "Yes"})), yes);
        assert_eq!(said("interactive", json!({"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes"}})), yes);
        assert_eq!(
            said("interactive", json!({"type": "list_reply", "list_reply": {"id": "yes", "title": "Yes", "description": "d"}})),
            yes
        );
        let order = json!({"catalog_id": "c", "text": "soon", "product_items": [{"quantity": 2}, {"quantity": 1}]});
        assert_eq!(said("order", order), Content::Order { catalog_id: "c".into(), note: Some("soon".into()), items: 2 });
    }

    #[test]
    fn what_is_new_or_broken_is_told_by_its_name() {
        for (kind, content) in [
            ("image", json!({"caption": "no id"})),
            ("location", json!({"latitude": "north"})),
            ("interactive", json!({"type": "nfm_reply", "nfm_reply": {"response_json": "{}"}})),
            ("system", json!({"body": "changed number"})),
            ("order", json!({})),
            ("brand_new", Value::Null),
        ] {
            assert_eq!(read(kind, &content), Content::Unsupported { name: kind.into() });
        }
    }
}
