//! The JSON body of a send.

use serde_json::{Value, json};

use crate::{Button, Content, Media, Outgoing, Section};

/// Builds the body for `POST /{version}/{phone-number-id}/messages`.
pub(super) fn body(out: &Outgoing) -> Value {
    let (kind, content) = match &out.content {
        Content::Text { body } => ("text", json!({"body": body, "preview_url": false})),
        Content::Document { media, caption } => ("document", captioned(document(media), caption.as_deref())),
        Content::Image { media, caption } => ("image", captioned(json!({"link": media.url}), caption.as_deref())),
        Content::Video { media, caption } => ("video", captioned(json!({"link": media.url}), caption.as_deref())),
        Content::Audio { media, voice } => ("audio", audio(media, *voice)),
        Content::Template { name, language, parameters, header_document } => {
            ("template", template(name, language, parameters, header_document.as_ref()))
        }
        Content::Location { latitude, longitude, name, address } => {
            let place = json!({"latitude": latitude, "longitude": longitude});
            ("location", with(with(place, "name", name.as_deref()), "address", address.as_deref()))
        }
        Content::ContactCard { name, phones } => ("contacts", contact(name, phones)),
        Content::Reaction { provider_id, emoji, .. } => ("reaction", json!({"message_id": provider_id, "emoji": emoji})),
        Content::Buttons { body, header, footer, buttons } => {
            let action = json!({"buttons": buttons.iter().map(button).collect::<Vec<_>>()});
            ("interactive", interactive("button", body, header.as_deref(), footer.as_deref(), action))
        }
        Content::List { body, header, footer, button, sections } => {
            let action = json!({"button": button, "sections": sections.iter().map(section).collect::<Vec<_>>()});
            ("interactive", interactive("list", body, header.as_deref(), footer.as_deref(), action))
        }
    };
    let mut message = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": out.recipient,
        "type": kind,
        kind: content,
        "biz_opaque_callback_data": out.message_id,
    });
    if let Some(quoted) = &out.reply_to {
        message["context"] = json!({"message_id": quoted.provider_id});
    }
    message
}

fn audio(media: &Media, voice: bool) -> Value {
    let mut audio = json!({"link": media.url});
    if voice {
        audio["voice"] = json!(true);
    }
    audio
}

fn contact(name: &str, phones: &[String]) -> Value {
    let phones: Vec<Value> = phones
        .iter()
        // Meta links the card to the WhatsApp account only when it is told the id, which is the number's digits.
        .map(|phone| json!({"phone": phone, "type": "CELL", "wa_id": phone.trim_start_matches('+')}))
        .collect();
    json!([{"name": {"formatted_name": name, "first_name": name}, "phones": phones}])
}

fn button(button: &Button) -> Value {
    json!({"type": "reply", "reply": {"id": button.id, "title": button.title}})
}

fn section(section: &Section) -> Value {
    let rows: Vec<Value> =
        section.rows.iter().map(|row| with(json!({"id": row.id, "title": row.title}), "description", row.description.as_deref())).collect();
    with(json!({"rows": rows}), "title", section.title.as_deref())
}

fn interactive(kind: &str, body: &str, header: Option<&str>, footer: Option<&str>, action: Value) -> Value {
    let mut interactive = json!({"type": kind, "body": {"text": body}, "action": action});
    if let Some(header) = header {
        interactive["header"] = json!({"type": "text", "text": header});
    }
    if let Some(footer) = footer {
        interactive["footer"] = json!({"text": footer});
    }
    interactive
}

fn with(mut object: Value, name: &str, value: Option<&str>) -> Value {
    if let Some(value) = value {
        object[name] = json!(value);
    }
    object
}

fn document(media: &Media) -> Value {
    let mut document = json!({"link": media.url});
    if let Some(filename) = &media.filename {
        document["filename"] = json!(filename);
    }
    document
}

fn captioned(media: Value, caption: Option<&str>) -> Value {
    with(media, "caption", caption)
}

fn template(name: &str, language: &str, parameters: &[String], header: Option<&Media>) -> Value {
    let mut components = Vec::new();
    if let Some(media) = header {
        components.push(json!({"type": "header", "parameters": [{"type": "document", "document": document(media)}]}));
    }
    if !parameters.is_empty() {
        let texts: Vec<Value> = parameters.iter().map(|text| json!({"type": "text", "text": text})).collect();
        components.push(json!({"type": "body", "parameters": texts}));
    }
    let mut template = json!({"name": name, "language": {"code": language}});
    if !components.is_empty() {
        template["components"] = Value::Array(components);
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(content: Content) -> Outgoing {
        Outgoing { message_id: "msg_1".into(), wire_id: None, recipient: "+201001234567".into(), content, reply_to: None }
    }

    fn built(content: Content) -> Value {
        body(&out(content))
    }

    #[test]
    fn a_reply_names_what_it_answers() {
        let mut out = out(Content::Text { body: "yes".into() });
        out.reply_to = Some(crate::Quoted { provider_id: "wamid.1".into(), from_me: false, text: "?".into() });
        assert_eq!(body(&out)["context"], json!({"message_id": "wamid.1"}));
        assert!(built(Content::Text { body: "yes".into() }).get("context").is_none());
    }

    #[test]
    fn sound_and_films() {
        let media = Media { url: "https://x/a.ogg".into(), filename: None };
        let voice = built(Content::Audio { media: media.clone(), voice: true });
        assert_eq!(voice["audio"], json!({"link": "https://x/a.ogg", "voice": true}));
        assert_eq!(built(Content::Audio { media: media.clone(), voice: false })["audio"], json!({"link": "https://x/a.ogg"}));
        let video = built(Content::Video { media, caption: Some("Look".into()) });
        assert_eq!(video["video"], json!({"link": "https://x/a.ogg", "caption": "Look"}));
    }

    #[test]
    fn a_place_a_card_and_a_reaction() {
        let place =
            built(Content::Location { latitude: 30.05, longitude: 31.23, name: Some("Shop".into()), address: Some("1 Nile St".into()) });
        assert_eq!(place["location"], json!({"latitude": 30.05, "longitude": 31.23, "name": "Shop", "address": "1 Nile St"}));
        let bare = built(Content::Location { latitude: 0.0, longitude: 0.0, name: None, address: None });
        assert_eq!(bare["location"], json!({"latitude": 0.0, "longitude": 0.0}));
        let card = built(Content::ContactCard { name: "Mona".into(), phones: vec!["+201000000001".into()] });
        let phone = json!({"phone": "+201000000001", "type": "CELL", "wa_id": "201000000001"});
        assert_eq!(card["contacts"], json!([{"name": {"formatted_name": "Mona", "first_name": "Mona"}, "phones": [phone]}]));
        let reaction = built(Content::Reaction { provider_id: "wamid.1".into(), from_me: false, emoji: String::new() });
        assert_eq!(reaction["reaction"], json!({"message_id": "wamid.1", "emoji": ""}));
    }

    #[test]
    fn buttons_and_lists() {
        let buttons = vec![Button { id: "yes".into(), title: "Yes".into() }];
        let asked = built(Content::Buttons { body: "Sure?".into(), header: Some("Order".into()), footer: None, buttons });
        let expected = json!({
            "type": "button", "header": {"type": "text", "text": "Order"}, "body": {"text": "Sure?"},
            "action": {"buttons": [{"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]},
        });
        assert_eq!((&asked["type"], &asked["interactive"]), (&json!("interactive"), &expected));
        let row = |description: Option<&str>| crate::Row { id: "1".into(), title: "Wash".into(), description: description.map(Into::into) };
        let sections =
            vec![Section { title: Some("Clean".into()), rows: vec![row(Some("2 days"))] }, Section { title: None, rows: vec![row(None)] }];
        let list = Content::List { body: "What?".into(), header: None, footer: Some("Thanks".into()), button: "Choose".into(), sections };
        let expected = json!({
            "type": "list", "body": {"text": "What?"}, "footer": {"text": "Thanks"},
            "action": {"button": "Choose", "sections": [
                {"title": "Clean", "rows": [{"id": "1", "title": "Wash", "description": "2 days"}]},
                {"rows": [{"id": "1", "title": "Wash"}]},
            ]},
        });
        assert_eq!(built(list)["interactive"], expected);
    }

    #[test]
    fn a_text() {
        let expected = json!({
            "messaging_product": "whatsapp", "recipient_type": "individual", "to": "+201001234567", "type": "text",
            "text": {"body": "أهلاً", "preview_url": false}, "biz_opaque_callback_data": "msg_1",
        });
        assert_eq!(built(Content::Text { body: "أهلاً".into() }), expected);
    }

    #[test]
    fn a_template_has_only_the_components_it_fills() {
        let bare = Content::Template { name: "hello".into(), language: "ar".into(), parameters: vec![], header_document: None };
        assert_eq!(built(bare)["template"], json!({"name": "hello", "language": {"code": "ar"}}));
        let media = Media { url: "https://x/i.pdf".into(), filename: Some("i.pdf".into()) };
        let full = Content::Template {
            name: "invoice".into(),
            language: "pt_BR".into(),
            parameters: vec!["17".into()],
            header_document: Some(media),
        };
        let expected = json!([
            {"type": "header", "parameters": [{"type": "document", "document": {"link": "https://x/i.pdf", "filename": "i.pdf"}}]},
            {"type": "body", "parameters": [{"type": "text", "text": "17"}]},
        ]);
        assert_eq!(built(full)["template"]["components"], expected);
    }

    #[test]
    fn media_with_captions() {
        let media = Media { url: "https://x/i.png".into(), filename: None };
        let image = built(Content::Image { media: media.clone(), caption: Some("Açaí".into()) });
        assert_eq!(image["image"], json!({"link": "https://x/i.png", "caption": "Açaí"}));
        assert_eq!(built(Content::Document { media, caption: None })["document"], json!({"link": "https://x/i.png"}));
    }
}
