//! The JSON body of a send.

use serde_json::{Value, json};

use crate::{Content, Media, Outgoing};

/// Builds the body for `POST /{version}/{phone-number-id}/messages`.
pub(super) fn body(out: &Outgoing) -> Value {
    let (kind, content) = match &out.content {
        Content::Text { body } => ("text", json!({"body": body, "preview_url": false})),
        Content::Document { media, caption } => ("document", captioned(document(media), caption.as_deref())),
        Content::Image { media, caption } => ("image", captioned(json!({"link": media.url}), caption.as_deref())),
        Content::Template { name, language, parameters, header_document } => {
            ("template", template(name, language, parameters, header_document.as_ref()))
        }
    };
    json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": out.recipient,
        "type": kind,
        kind: content,
        "biz_opaque_callback_data": out.message_id,
    })
}

fn document(media: &Media) -> Value {
    let mut document = json!({"link": media.url});
    if let Some(filename) = &media.filename {
        document["filename"] = json!(filename);
    }
    document
}

fn captioned(mut media: Value, caption: Option<&str>) -> Value {
    if let Some(caption) = caption {
        media["caption"] = json!(caption);
    }
    media
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

    fn built(content: Content) -> Value {
        body(&Outgoing { message_id: "msg_1".into(), recipient: "+201001234567".into(), content })
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
