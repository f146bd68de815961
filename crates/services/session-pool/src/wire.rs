//! From what the ledger hands out to what goes onto the wire. Pure.

use barid_proto::queue::v1::{Choice, ChoiceSection, Choices, ClaimedMessage, FreeForm, MediaKind, claimed_message::Form};
use barid_whatsapp::{Button, Content, Media, Outgoing, Quoted, Row, Section};

/// The message as WhatsApp takes it; `None` when nothing is in it.
pub(crate) fn outgoing(message: ClaimedMessage) -> Option<Outgoing> {
    let kind = message.media_kind();
    let media = filled(message.media_url).map(|url| Media { url, filename: filled(message.media_filename) });
    let quoted = message.reply_to.map(|quoted| Quoted { provider_id: quoted.provider_id, from_me: quoted.from_me, text: quoted.text });
    let (content, reply_to) = match message.form? {
        Form::Meta(meta) => {
            let content = Content::Template {
                name: meta.name,
                language: meta.language,
                parameters: meta.parameters,
                header_document: media.filter(|_| meta.document_header),
            };
            (content, quoted)
        }
        Form::Free(free) if free.is_reaction => {
            let target = quoted?;
            (Content::Reaction { provider_id: target.provider_id, from_me: target.from_me, emoji: free.reaction }, None)
        }
        Form::Free(free) => (content(free, media, kind)?, quoted),
    };
    Some(Outgoing { message_id: message.message_id, wire_id: filled(message.wire_id), recipient: message.recipient, content, reply_to })
}

fn content(free: FreeForm, media: Option<Media>, kind: MediaKind) -> Option<Content> {
    if let Some(place) = free.location {
        return Some(Content::Location {
            latitude: place.latitude,
            longitude: place.longitude,
            name: filled(place.name),
            address: filled(place.address),
        });
    }
    if let Some(card) = free.contact_card {
        return Some(Content::ContactCard { name: card.name, phones: card.phones });
    }
    if let Some(choices) = free.choices {
        return Some(choice(free.text, choices));
    }
    let caption = filled(free.text);
    Some(match (media, kind) {
        (None, _) => Content::Text { body: caption? },
        (Some(media), MediaKind::Image) => Content::Image { media, caption },
        (Some(media), MediaKind::Video) => Content::Video { media, caption },
        (Some(media), MediaKind::Audio) => Content::Audio { media, voice: false },
        (Some(media), MediaKind::Voice) => Content::Audio { media, voice: true },
        (Some(media), MediaKind::Document | MediaKind::Unspecified) => Content::Document { media, caption },
    })
}

fn choice(body: String, choices: Choices) -> Content {
    let (header, footer) = (filled(choices.header), filled(choices.footer));
    if choices.sections.is_empty() {
        let buttons = choices.buttons.into_iter().map(|button| Button { id: button.id, title: button.title }).collect();
        return Content::Buttons { body, header, footer, buttons };
    }
    let row = |row: Choice| Row { id: row.id, title: row.title, description: filled(row.description) };
    let section = |section: ChoiceSection| Section { title: filled(section.title), rows: section.rows.into_iter().map(row).collect() };
    let sections = choices.sections.into_iter().map(section).collect();
    Content::List { body, header, footer, button: choices.list_button, sections }
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use barid_proto::template::v1::MetaTemplateCall;

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
        Some(Form::Free(FreeForm { text: text.into(), ..FreeForm::default() }))
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
