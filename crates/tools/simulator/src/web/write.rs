//! A customer writes to a business that is on the Web protocol.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use waproto::{
    buffa::MessageField,
    whatsapp::{
        ContextInfo, Message as Proto,
        message::{AudioMessage, ContactMessage, DocumentMessage, ExtendedTextMessage, ImageMessage, LocationMessage, VideoMessage},
    },
};

use super::{
    content::{Content, content},
    deliver::{Letter, message_id, post},
};
use crate::{
    phone::{Message, Via, Wire},
    world::World,
};

/// What the customer wants to say.
pub(crate) struct Draft {
    pub(crate) text: Option<String>,
    /// `{type, <type>: {...}}`, as Meta's webhooks tell messages.
    pub(crate) message: Option<Value>,
    pub(crate) reply_to: Option<String>,
}

/// Sends the draft to all devices of the business, and shows it on the phone.
///
/// # Errors
/// A sentence for the caller when the draft is not one that can be sent.
pub(crate) fn write(world: &World, from: &str, to: &str, draft: Draft) -> Result<Value, String> {
    let proto = compose(world, to, draft)?;
    send(world, from, to, &proto)
}

/// Sends a message that is already composed.
pub(super) fn send(world: &World, from: &str, to: &str, proto: &Proto) -> Result<Value, String> {
    let Content::Show(shown) = content(proto) else { return Err("this is nothing to show".into()) };
    let now = world.now();
    let id = message_id();
    let kind = if shown.media.is_some() { "media" } else { "text" };
    let name = world.phones.change(from, |phone| {
        let wire = Wire {
            wamid: id.clone(),
            phone_number_id: to.to_owned(),
            wa_id: from.to_owned(),
            sequence: phone.next_sequence(),
            opaque: None,
            category: "service".into(),
            via: Via::Web { lid: false },
        };
        phone.last_wrote.insert(to.to_owned(), now);
        let message = Message { from_phone: true, sent_at: Some(now), ..Message::accepted(Arc::new(wire), *shown, now) };
        phone.add(message, world.config.phones.messages_kept);
        phone.name.clone()
    });
    let name = name.ok_or("the simulator holds as many phones as it is allowed to")?;
    let letter = Letter { id: &id, from, to, kind, message: proto, edit: None, name: Some(name), peer: false };
    let devices = post(world, &letter).map_err(|error| error.to_string())?;
    world.stats.inbound.up();
    Ok(json!({"id": id, "wa_id": from, "phone_number_id": to, "devices": devices}))
}

fn compose(world: &World, to: &str, draft: Draft) -> Result<Proto, String> {
    let context = draft.reply_to.map(|id| ContextInfo {
        stanza_id: Some(id),
        participant: Some(format!("{to}@s.whatsapp.net")),
        quoted_message: MessageField::some(Proto { conversation: Some(String::new()), ..Default::default() }),
        ..Default::default()
    });
    let context: MessageField<ContextInfo> = context.map(MessageField::some).unwrap_or_default();
    match (draft.text, draft.message) {
        (Some(text), None) if !text.is_empty() => Ok(plain(text, context)),
        (None, Some(message)) => structured(world, &message, context),
        _ => Err("give either a text or a message with its type".into()),
    }
}

fn plain(text: String, context: MessageField<ContextInfo>) -> Proto {
    if context.is_unset() {
        return Proto { conversation: Some(text), ..Default::default() };
    }
    let extended = ExtendedTextMessage { text: Some(text), context_info: context, ..Default::default() };
    Proto { extended_text_message: MessageField::some(extended), ..Default::default() }
}

fn structured(world: &World, message: &Value, context: MessageField<ContextInfo>) -> Result<Proto, String> {
    let kind = message["type"].as_str().ok_or("a message needs its type")?;
    let content = &message[kind];
    let text = |key: &str| content[key].as_str().map(str::to_owned);
    Ok(match kind {
        "text" => plain(text("body").ok_or("text needs a body")?, context),
        "location" => {
            let location = LocationMessage {
                degrees_latitude: content["latitude"].as_f64(),
                degrees_longitude: content["longitude"].as_f64(),
                name: text("name"),
                address: text("address"),
                context_info: context,
                ..Default::default()
            };
            Proto { location_message: MessageField::some(location), ..Default::default() }
        }
        "contacts" => {
            let card = ContactMessage { display_name: text("name"), vcard: text("vcard"), context_info: context, ..Default::default() };
            Proto { contact_message: MessageField::some(card), ..Default::default() }
        }
        "image" | "document" | "audio" | "video" => medium(world, kind, content, context)?,
        other => return Err(format!("a phone here cannot send {other:?}")),
    })
}

/// A medium given by its bytes in base64, which the phone encrypts and uploads.
fn medium(world: &World, kind: &str, content: &Value, context: MessageField<ContextInfo>) -> Result<Proto, String> {
    let text = |key: &str| content[key].as_str().map(str::to_owned);
    let plain = BASE64_STANDARD.decode(text("data").ok_or("a medium needs its data in base64")?).map_err(|_| "the data is not base64")?;
    let (path, info) = world.web.media.store(kind, &plain).ok_or("the medium cannot be encrypted")?;
    macro_rules! proto {
        ($field:ident $kind:ident { $($extra:ident: $value:expr),* }) => {
            Proto {
                $field: MessageField::some($kind {
                    url: Some(format!("https://{}{path}", world.media_host)),
                    direct_path: Some(path),
                    mimetype: text("mime_type"),
                    media_key: Some(info.media_key.to_vec()),
                    media_key_timestamp: Some(world.now().timestamp()),
                    file_sha256: Some(info.file_sha256.to_vec()),
                    file_enc_sha256: Some(info.file_enc_sha256.to_vec()),
                    file_length: Some(info.file_length),
                    context_info: context,
                    $($extra: $value,)*
                    ..Default::default()
                }),
                ..Default::default()
            }
        };
    }
    Ok(match kind {
        "image" => proto!(image_message ImageMessage { caption: text("caption") }),
        "video" => proto!(video_message VideoMessage { caption: text("caption") }),
        "audio" => proto!(audio_message AudioMessage { ptt: content["voice"].as_bool() }),
        _ => proto!(document_message DocumentMessage { caption: text("caption"), file_name: text("filename") }),
    })
}
