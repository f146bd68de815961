//! From what is to be said to the protocol's message, with its file on WhatsApp's media hosts.

use bytes::Bytes;
use wacore_binary::Jid;
use waproto::{
    buffa::MessageField,
    whatsapp::{ContextInfo, Message, MessageKey, message},
};
use whatsapp_rust::{UploadOptions, upload::UploadResponse};

use super::{
    Connection, FetchError, Fetched, MediaKind,
    connection::not_sent,
    sending::{dead, kind},
};
use crate::{Action, Button, Content, Failure, Media, Outgoing, Quoted, Section};

/// A message about a file: where it is and how to decrypt it, which all of them say with the same words, and what each says besides.
macro_rules! uploaded {
    ($kind:ident, $up:expr, $context:expr, { $($field:ident: $value:expr),* }) => {
        MessageField::some(message::$kind {
            url: Some($up.url),
            direct_path: Some($up.direct_path),
            media_key: Some($up.media_key.to_vec()),
            file_sha256: Some($up.file_sha256.to_vec()),
            file_enc_sha256: Some($up.file_enc_sha256.to_vec()),
            file_length: Some($up.file_length),
            media_key_timestamp: Some($up.media_key_timestamp),
            context_info: $context,
            $($field: $value,)*
            ..Default::default()
        })
    };
}

pub(super) async fn message(connection: &Connection, to: &Jid, out: &Outgoing) -> Result<Message, Failure> {
    let context = context(connection, to, out.reply_to.as_ref());
    Ok(match &out.content {
        Content::Text { body } => text(body.clone(), context),
        Content::Template { .. } => return Err(dead("no_text_form", "a Meta template is sent on the Cloud API only")),
        Content::Image { media, caption } => {
            let (file, up) = upload(connection, media, MediaKind::Image).await?;
            let image = uploaded!(ImageMessage, up, context, { mimetype: Some(file.mime), caption: caption.clone() });
            Message { image_message: image, ..Default::default() }
        }
        Content::Video { media, caption } => {
            let (file, up) = upload(connection, media, MediaKind::Video).await?;
            let streaming_sidecar = up.streaming_sidecar.clone();
            let video = uploaded!(VideoMessage, up, context, { mimetype: Some(file.mime), caption: caption.clone(), streaming_sidecar: streaming_sidecar });
            Message { video_message: video, ..Default::default() }
        }
        Content::Audio { media, voice } => {
            let (file, up) = upload(connection, media, MediaKind::Audio).await?;
            // A voice note is shown as one only if its codec is named.
            let mime = if *voice { "audio/ogg; codecs=opus".into() } else { file.mime };
            let streaming_sidecar = up.streaming_sidecar.clone();
            let audio =
                uploaded!(AudioMessage, up, context, { mimetype: Some(mime), ptt: Some(*voice), streaming_sidecar: streaming_sidecar });
            Message { audio_message: audio, ..Default::default() }
        }
        Content::Document { media, caption } => {
            let (file, up) = upload(connection, media, MediaKind::Document).await?;
            let name = media.filename.clone().or(file.filename);
            let document = uploaded!(DocumentMessage, up, context, {
                mimetype: Some(file.mime), title: name.clone(), file_name: name, caption: caption.clone()
            });
            let message = Message { document_message: document, ..Default::default() };
            if caption.is_some() { captioned(message) } else { message }
        }
        Content::Location { latitude, longitude, name, address } => Message {
            location_message: MessageField::some(message::LocationMessage {
                degrees_latitude: Some(*latitude),
                degrees_longitude: Some(*longitude),
                name: name.clone(),
                address: address.clone(),
                context_info: context,
                ..Default::default()
            }),
            ..Default::default()
        },
        Content::ContactCard { name, phones } => Message {
            contact_message: MessageField::some(message::ContactMessage {
                display_name: Some(name.clone()),
                vcard: Some(vcard(name, phones)),
                context_info: context,
                ..Default::default()
            }),
            ..Default::default()
        },
        Content::Reaction { provider_id, from_me, emoji } => Message {
            reaction_message: MessageField::some(message::ReactionMessage {
                key: MessageField::some(MessageKey {
                    remote_jid: Some(to.to_string()),
                    from_me: Some(*from_me),
                    id: Some(provider_id.clone()),
                    ..Default::default()
                }),
                text: Some(emoji.clone()),
                sender_timestamp_ms: Some(wacore::time::now_millis()),
                ..Default::default()
            }),
            ..Default::default()
        },
        Content::Buttons { body, header, footer, buttons } => {
            text(choices(body, header.as_deref(), footer.as_deref(), &[("", titles(buttons))]), context)
        }
        Content::List { body, header, footer, sections, .. } => {
            text(choices(body, header.as_deref(), footer.as_deref(), &groups(sections)), context)
        }
    })
}

fn text(body: String, context: MessageField<ContextInfo>) -> Message {
    if !context.is_set() {
        return Message { conversation: Some(body), ..Default::default() };
    }
    let extended = message::ExtendedTextMessage { text: Some(body), context_info: context, ..Default::default() };
    Message { extended_text_message: MessageField::some(extended), ..Default::default() }
}

/// A document with a caption is wrapped, or phones show it without.
fn captioned(document: Message) -> Message {
    let wrapped = message::FutureProofMessage { message: MessageField::some(document) };
    Message { document_with_caption_message: MessageField::some(wrapped), ..Default::default() }
}

fn context(connection: &Connection, to: &Jid, quoted: Option<&Quoted>) -> MessageField<ContextInfo> {
    let Some(quoted) = quoted else { return MessageField::none() };
    let author = if quoted.from_me {
        connection.live.client.pn().map_or_else(|| to.to_string(), |own| own.to_non_ad().to_string())
    } else {
        to.to_string()
    };
    MessageField::some(ContextInfo {
        stanza_id: Some(quoted.provider_id.clone()),
        participant: Some(author),
        quoted_message: MessageField::some(Message { conversation: Some(quoted.text.clone()), ..Default::default() }),
        ..Default::default()
    })
}

/// Buttons and lists of linked devices are not shown on most phones, and nothing says so to the sender. Numbers are always shown.
fn choices(body: &str, header: Option<&str>, footer: Option<&str>, groups: &[(&str, Vec<String>)]) -> String {
    let mut lines = Vec::new();
    if let Some(header) = header {
        lines.push(format!("*{header}*\n"));
    }
    lines.push(body.to_owned());
    let mut number = 0;
    for (title, choices) in groups {
        lines.push(if title.is_empty() { String::new() } else { format!("\n*{title}*") });
        for choice in choices {
            number += 1;
            lines.push(format!("{number}. {choice}"));
        }
    }
    if let Some(footer) = footer {
        lines.push(format!("\n_{footer}_"));
    }
    lines.join("\n")
}

fn titles(buttons: &[Button]) -> Vec<String> {
    buttons.iter().map(|button| button.title.clone()).collect()
}

fn groups(sections: &[Section]) -> Vec<(&str, Vec<String>)> {
    let row = |row: &crate::Row| row.description.as_ref().map_or_else(|| row.title.clone(), |text| format!("{} – {text}", row.title));
    sections.iter().map(|section| (section.title.as_deref().unwrap_or_default(), section.rows.iter().map(row).collect())).collect()
}

/// A card that phones can save and write to.
fn vcard(name: &str, phones: &[String]) -> String {
    let escaped = name.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace(['\r', '\n'], " ");
    let mut card = format!("BEGIN:VCARD\nVERSION:3.0\nN:;{escaped};;;\nFN:{escaped}\n");
    for phone in phones {
        let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
        card.push_str(&format!("TEL;type=CELL;waid={digits}:+{digits}\n"));
    }
    card.push_str("END:VCARD");
    card
}

struct File {
    mime: String,
    filename: Option<String>,
}

/// Fetches what the tenant named, encrypts it, and puts it where the recipient can fetch it.
async fn upload(connection: &Connection, media: &Media, as_kind: MediaKind) -> Result<(File, UploadResponse), Failure> {
    let shared = &connection.shared;
    // The file and its ciphertext are in memory at once.
    let _room = shared.room(shared.settings.media_limit * 2).await;
    let moved = async {
        let fetched = shared.fetcher.fetch(&media.url, shared.settings.media_limit).await.map_err(|error| unfetched(&error))?;
        let Fetched { bytes, mime, filename } = fetched;
        let file = File { mime: if mime.is_empty() { fallback(as_kind).into() } else { mime }, filename };
        let up = put(connection, bytes, as_kind).await?;
        Ok((file, up))
    };
    connection.within(shared.settings.media_timeout, moved).await?
}

async fn put(connection: &Connection, bytes: Bytes, as_kind: MediaKind) -> Result<UploadResponse, Failure> {
    let up = connection.live.client.upload(bytes.into(), kind(as_kind), UploadOptions::new()).await;
    up.map_err(|_| Failure { action: Action::Retry, ..not_sent("media_not_uploaded", "WhatsApp's media hosts did not take the file") })
}

fn unfetched(error: &FetchError) -> Failure {
    match error {
        FetchError::Refused(_) => dead("media_refused", &error.to_string()),
        FetchError::TooLarge { .. } => dead("media_too_large", &error.to_string()),
        FetchError::Unavailable(_) => Failure { action: Action::Retry, ..not_sent("media_unreachable", &error.to_string()) },
    }
}

const fn fallback(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Video => "video/mp4",
        MediaKind::Audio => "audio/ogg; codecs=opus",
        MediaKind::Document => "application/octet-stream",
        MediaKind::Sticker => "image/webp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Row;

    #[test]
    fn buttons_and_lists_become_numbers() {
        let buttons = [Button { id: "y".into(), title: "Yes".into() }, Button { id: "n".into(), title: "No".into() }];
        assert_eq!(
            choices("Sure?", Some("Order 7"), Some("Thanks"), &[("", titles(&buttons))]),
            "*Order 7*\n\nSure?\n\n1. Yes\n2. No\n\n_Thanks_"
        );
        let row = |title: &str, description: Option<&str>| Row {
            id: title.into(),
            title: title.into(),
            description: description.map(Into::into),
        };
        let sections = [
            Section { title: Some("Clean".into()), rows: vec![row("Wash", Some("2 days"))] },
            Section { title: Some("Mend".into()), rows: vec![row("Zip", None)] },
        ];
        assert_eq!(choices("What?", None, None, &groups(&sections)), "What?\n\n*Clean*\n1. Wash – 2 days\n\n*Mend*\n2. Zip");
    }

    #[test]
    fn a_card_cannot_grow_lines() {
        let card = vcard("A;B\nTEL:+1", &["+20 100".into()]);
        assert_eq!(card, "BEGIN:VCARD\nVERSION:3.0\nN:;A\\;B TEL:+1;;;\nFN:A\\;B TEL:+1\nTEL;type=CELL;waid=20100:+20100\nEND:VCARD");
    }
}
