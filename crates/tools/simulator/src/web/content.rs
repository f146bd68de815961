//! What an opened message means to the phone: something to show, or a change to something shown. Pure.

use serde_json::json;
use waproto::whatsapp::{ContextInfo, Message, message::protocol_message::Type};

use crate::phone::{Media, Shown};

#[derive(Debug)]
pub(super) enum Content {
    Show(Box<Shown>),
    /// An empty emoji takes the reaction back.
    React {
        target: String,
        emoji: String,
    },
    Edit {
        target: String,
        shown: Box<Shown>,
    },
    Delete {
        target: String,
    },
    /// Nothing that a person sees.
    Silent,
}

/// How a medium was encrypted and where it lies.
pub(super) struct Medium<'a> {
    pub(super) kind: &'static str,
    pub(super) direct_path: &'a str,
    pub(super) key: &'a [u8],
    pub(super) sha256: &'a [u8],
}

pub(super) fn content(message: &Message) -> Content {
    let message = inner(message);
    if let Some(reaction) = message.reaction_message.as_option() {
        let target = reaction.key.id.clone().unwrap_or_default();
        return Content::React { target, emoji: reaction.text.clone().unwrap_or_default() };
    }
    if let Some(protocol) = message.protocol_message.as_option() {
        let target = protocol.key.id.clone().unwrap_or_default();
        return match (protocol.r#type, protocol.edited_message.as_option()) {
            (Some(Type::REVOKE), _) => Content::Delete { target },
            (Some(Type::MESSAGE_EDIT), Some(edited)) => Content::Edit { target, shown: Box::new(shown(inner(edited))) },
            _ => Content::Silent,
        };
    }
    Content::Show(Box::new(shown(message)))
}

/// The message inside of wrappers that say how to treat it.
pub(super) fn inner(message: &Message) -> &Message {
    if let Some(sent) = message.device_sent_message.as_option() {
        return inner(&sent.message);
    }
    let wrappers = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.document_with_caption_message,
        &message.edited_message,
    ];
    match wrappers.into_iter().find_map(|wrapper| wrapper.as_option()) {
        Some(wrapper) => inner(&wrapper.message),
        None => message,
    }
}

/// The medium that a message brings, if any.
pub(super) fn medium(message: &Message) -> Option<Medium<'_>> {
    macro_rules! medium {
        ($($field:ident $kind:literal)*) => {
            $(if let Some(media) = message.$field.as_option() {
                return Some(Medium {
                    kind: $kind,
                    direct_path: media.direct_path.as_deref()?,
                    key: media.media_key.as_deref()?,
                    sha256: media.file_sha256.as_deref()?,
                });
            })*
        };
    }
    medium! { image_message "image" document_message "document" audio_message "audio" video_message "video" sticker_message "sticker" }
    None
}

fn media(kind: &str, mime: Option<&String>, filename: Option<&String>) -> Option<Media> {
    let mime = mime.cloned().unwrap_or_default();
    Some(Media { kind: kind.into(), link: None, id: None, filename: filename.cloned(), mime, sha256: None })
}

fn shown(message: &Message) -> Shown {
    let mut shown = Shown::default();
    let mut context: Option<&ContextInfo> = None;
    let mut text = |kind: &str, text: Option<&String>| {
        shown.kind = kind.into();
        shown.text = text.cloned().unwrap_or_default();
    };
    if let Some(plain) = &message.conversation {
        text("text", Some(plain));
    } else if let Some(extended) = message.extended_text_message.as_option() {
        text("text", extended.text.as_ref());
        context = extended.context_info.as_option();
    } else if let Some(image) = message.image_message.as_option() {
        text("image", image.caption.as_ref());
        shown.media = media("image", image.mimetype.as_ref(), None);
        context = image.context_info.as_option();
    } else if let Some(document) = message.document_message.as_option() {
        text("document", document.caption.as_ref());
        shown.media = media("document", document.mimetype.as_ref(), document.file_name.as_ref());
        context = document.context_info.as_option();
    } else if let Some(audio) = message.audio_message.as_option() {
        text("audio", None);
        shown.media = media("audio", audio.mimetype.as_ref(), None);
        context = audio.context_info.as_option();
    } else if let Some(video) = message.video_message.as_option() {
        text("video", video.caption.as_ref());
        shown.media = media("video", video.mimetype.as_ref(), None);
        context = video.context_info.as_option();
    } else if let Some(sticker) = message.sticker_message.as_option() {
        text("sticker", None);
        shown.media = media("sticker", sticker.mimetype.as_ref(), None);
        context = sticker.context_info.as_option();
    } else if let Some(location) = message.location_message.as_option() {
        text("location", location.name.as_ref());
        shown.detail = Some(json!({
            "latitude": location.degrees_latitude, "longitude": location.degrees_longitude,
            "name": location.name, "address": location.address,
        }));
        context = location.context_info.as_option();
    } else if let Some(contact) = message.contact_message.as_option() {
        text("contacts", contact.display_name.as_ref());
        shown.detail = Some(json!([{"name": contact.display_name, "vcard": contact.vcard}]));
        context = contact.context_info.as_option();
    } else if let Some(contacts) = message.contacts_array_message.as_option() {
        text("contacts", contacts.display_name.as_ref());
        let cards = contacts.contacts.iter().map(|contact| json!({"name": contact.display_name, "vcard": contact.vcard}));
        shown.detail = Some(cards.collect());
        context = contacts.context_info.as_option();
    } else if let Some(buttons) = message.buttons_message.as_option() {
        text("interactive", buttons.content_text.as_ref());
        shown.footer = buttons.footer_text.clone();
        shown.buttons = buttons.buttons.iter().filter_map(|button| button.button_text.display_text.clone()).collect();
        context = buttons.context_info.as_option();
    } else if let Some(list) = message.list_message.as_option() {
        text("interactive", list.description.as_ref());
        shown.header = list.title.clone();
        shown.footer = list.footer_text.clone();
        shown.buttons = list.button_text.iter().cloned().collect();
        context = list.context_info.as_option();
    } else {
        text("unsupported", None);
    }
    shown.reply_to = context.and_then(|context| context.stanza_id.clone());
    shown
}

#[cfg(test)]
mod tests {
    use waproto::{
        buffa::MessageField,
        whatsapp::{
            MessageKey,
            message::{DeviceSentMessage, ExtendedTextMessage, ProtocolMessage},
        },
    };

    use super::*;

    #[test]
    fn a_reply_names_what_it_answers() {
        let context = ContextInfo { stanza_id: Some("3EB0".into()), ..Default::default() };
        let text = ExtendedTextMessage { text: Some("yes".into()), context_info: MessageField::some(context), ..Default::default() };
        let message = Message { extended_text_message: MessageField::some(text), ..Default::default() };
        let Content::Show(shown) = content(&message) else { panic!("not shown") };
        assert_eq!((shown.kind.as_str(), shown.text.as_str(), shown.reply_to.as_deref()), ("text", "yes", Some("3EB0")));
    }

    #[test]
    fn wrappers_are_taken_off() {
        let plain = Message { conversation: Some("hi".into()), ..Default::default() };
        let sent = DeviceSentMessage { message: MessageField::some(plain), ..Default::default() };
        let message = Message { device_sent_message: MessageField::some(sent), ..Default::default() };
        assert!(matches!(content(&message), Content::Show(shown) if shown.text == "hi"));
    }

    #[test]
    fn a_revocation_deletes() {
        let key = MessageKey { id: Some("3EB0".into()), ..Default::default() };
        let protocol = ProtocolMessage { key: MessageField::some(key), r#type: Some(Type::REVOKE), ..Default::default() };
        let message = Message { protocol_message: MessageField::some(protocol), ..Default::default() };
        assert!(matches!(content(&message), Content::Delete { target } if target == "3EB0"));
    }
}
