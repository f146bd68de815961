//! From what the ledger hands out to what goes onto the wire. Pure.

use barid_proto::queue::v1::{ClaimedMessage, MediaKind, claimed_message::Form};
use barid_whatsapp::{Content, Media, Outgoing};

/// The message as WhatsApp takes it; `None` when nothing is in it.
pub(crate) fn outgoing(message: ClaimedMessage) -> Option<Outgoing> {
    let kind = message.media_kind();
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let media = filled(message.media_url).map(|url| Media { url, filename: filled(message.media_filename) });
    let content = match (message.form?, media) {
        (Form::Meta(meta), media) => Content::Template {
            name: meta.name,
            language: meta.language,
            parameters: meta.parameters,
            header_document: media.filter(|_| meta.document_header),
        },
        (Form::Free(free), Some(media)) if kind == MediaKind::Image => Content::Image { media, caption: filled(free.text) },
        (Form::Free(free), Some(media)) => Content::Document { media, caption: filled(free.text) },
        (Form::Free(free), None) => Content::Text { body: filled(free.text)? },
    };
    Some(Outgoing { message_id: message.message_id, recipient: message.recipient, content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use barid_proto::{queue::v1::FreeForm, template::v1::MetaTemplateCall};

    fn claimed(form: Option<Form>, media_url: &str, kind: MediaKind) -> ClaimedMessage {
        ClaimedMessage {
            message_id: "msg_1".into(),
            recipient: "+201001234567".into(),
            form,
            media_url: media_url.into(),
            media_kind: kind.into(),
            media_filename: "i.pdf".into(),
            ..ClaimedMessage::default()
        }
    }

    fn free(text: &str) -> Option<Form> {
        Some(Form::Free(FreeForm { text: text.into() }))
    }

    fn content(message: ClaimedMessage) -> Option<Content> {
        outgoing(message).map(|out| out.content)
    }

    #[test]
    fn text_becomes_the_caption_of_media() {
        let Some(Content::Text { body }) = content(claimed(free("hi"), "", MediaKind::Unspecified)) else { panic!("a text") };
        assert_eq!(body, "hi");
        let image = content(claimed(free("hi"), "https://x/i.png", MediaKind::Image));
        assert!(matches!(image, Some(Content::Image { caption: Some(text), .. }) if text == "hi"));
        let document = content(claimed(free(""), "https://x/i.pdf", MediaKind::Document));
        assert!(matches!(document, Some(Content::Document { caption: None, media }) if media.filename.as_deref() == Some("i.pdf")));
    }

    #[test]
    fn a_template_takes_the_document_only_into_a_header() {
        let meta = |document_header| Some(Form::Meta(MetaTemplateCall { document_header, ..MetaTemplateCall::default() }));
        let with = content(claimed(meta(true), "https://x/i.pdf", MediaKind::Document));
        assert!(matches!(with, Some(Content::Template { header_document: Some(_), .. })));
        let without = content(claimed(meta(false), "https://x/i.pdf", MediaKind::Document));
        assert!(matches!(without, Some(Content::Template { header_document: None, .. })));
    }

    #[test]
    fn nothing_is_not_sent() {
        assert!(outgoing(claimed(None, "", MediaKind::Unspecified)).is_none());
        assert!(outgoing(claimed(free(""), "", MediaKind::Unspecified)).is_none());
    }
}
