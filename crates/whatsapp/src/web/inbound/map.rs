//! From the protocol's message to ours.

use wacore::{
    proto_helpers::MessageExt,
    types::{events::InboundMessage, message::MessageInfo},
};
use wacore_binary::{Jid, JidExt};
use waproto::whatsapp::{ContextInfo, Message, message::protocol_message::Type as Protocol};

use super::{Card, Chat, Inbound, InboundKind, MediaKind, MediaPointer, Person};

/// `None` for what is no message to anybody: keys, settings, and what devices of one account tell each other.
pub(in crate::web) fn inbound(message: &InboundMessage) -> Option<Inbound> {
    let info = &*message.info;
    let kind = kind(message.message.get_base_message(), 0)?;
    let context = context(message.message.get_base_message());
    let sender = sender(info);
    Some(Inbound {
        provider_id: info.id.clone(),
        chat: chat(info, &sender),
        sender,
        from_me: info.source.is_from_me,
        time: info.timestamp,
        quoted_id: context.and_then(|context| context.stanza_id.clone()).filter(|id| !id.is_empty()),
        expires_in: info.ephemeral_expiration.filter(|seconds| *seconds > 0),
        kind,
    })
}

fn chat(info: &MessageInfo, sender: &Person) -> Chat {
    let chat = &info.source.chat;
    if chat.is_group() {
        Chat::Group(chat.to_string())
    } else if chat.is_status_broadcast() {
        Chat::Status
    } else if chat.is_newsletter() {
        Chat::Channel(chat.to_string())
    } else if !(chat.is_pn() || chat.is_lid()) {
        Chat::Other(chat.to_string())
    } else if info.source.is_from_me {
        Chat::Person(person(chat, info.source.recipient_alt.as_ref(), ""))
    } else {
        Chat::Person(sender.clone())
    }
}

pub(in crate::web) fn sender(info: &MessageInfo) -> Person {
    person(&info.source.sender, info.source.sender_alt.as_ref(), &info.push_name)
}

/// A person by one address or both.
pub(in crate::web) fn person(jid: &Jid, other: Option<&Jid>, name: &str) -> Person {
    let both = || [Some(jid), other].into_iter().flatten();
    Person {
        phone: both().find(|jid| jid.is_pn()).map(|jid| format!("+{}", jid.user)),
        lid: both().find(|jid| jid.is_lid()).map(|jid| jid.user.to_string()),
        name: Some(name).filter(|name| !name.is_empty()).map(Into::into),
    }
}

/// Where to write to a person.
pub(in crate::web) fn address(person: &Person) -> Option<Jid> {
    let phone = person.phone.as_deref().map(|phone| Jid::pn(phone.trim_start_matches('+')));
    phone.or_else(|| person.lid.as_deref().map(Jid::lid))
}

pub(in crate::web) fn is_lid(jid: &Jid) -> bool {
    jid.is_lid()
}

/// Wrappers are taken off a few deep; nobody wraps more.
const DEEP: u8 = 4;

/// One question per kind of message, in the order in which they are likely.
fn kind(message: &Message, deep: u8) -> Option<InboundKind> {
    if let Some(body) = message.conversation.as_ref().filter(|body| !body.is_empty()) {
        return Some(InboundKind::Text { body: body.clone() });
    }
    if let Some(text) = message.extended_text_message.as_option() {
        return Some(InboundKind::Text { body: text.text.clone().unwrap_or_default() });
    }
    if let Some(it) = message.image_message.as_option() {
        return Some(InboundKind::Image { media: pointer!(it, Image, None), caption: filled(&it.caption) });
    }
    if let Some(it) = message.document_message.as_option() {
        let name = filled(&it.file_name).or_else(|| filled(&it.title));
        return Some(InboundKind::Document { media: pointer!(it, Document, name), caption: filled(&it.caption) });
    }
    if let Some(it) = message.audio_message.as_option() {
        return Some(InboundKind::Audio { media: pointer!(it, Audio, None), voice: it.ptt.unwrap_or_default(), seconds: it.seconds });
    }
    if let Some(it) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
        let gif = it.gif_playback.unwrap_or_default();
        return Some(InboundKind::Video { media: pointer!(it, Video, None), caption: filled(&it.caption), gif });
    }
    if let Some(it) = message.sticker_message.as_option() {
        return Some(InboundKind::Sticker { media: pointer!(it, Sticker, None), animated: it.is_animated.unwrap_or_default() });
    }
    if let Some(it) = message.location_message.as_option() {
        return Some(InboundKind::Location {
            latitude: it.degrees_latitude.unwrap_or_default(),
            longitude: it.degrees_longitude.unwrap_or_default(),
            name: filled(&it.name),
            address: filled(&it.address),
            live: it.is_live.unwrap_or_default(),
        });
    }
    if let Some(it) = message.live_location_message.as_option() {
        return Some(InboundKind::Location {
            latitude: it.degrees_latitude.unwrap_or_default(),
            longitude: it.degrees_longitude.unwrap_or_default(),
            name: filled(&it.caption),
            address: None,
            live: true,
        });
    }
    if let Some(it) = message.contact_message.as_option() {
        return Some(InboundKind::Contacts { cards: vec![card(it.display_name.as_ref(), it.vcard.as_ref())] });
    }
    if let Some(it) = message.contacts_array_message.as_option() {
        let cards = it.contacts.iter().map(|it| card(it.display_name.as_ref(), it.vcard.as_ref())).collect();
        return Some(InboundKind::Contacts { cards });
    }
    if let Some(it) = message.reaction_message.as_option() {
        return Some(InboundKind::Reaction { target_id: target(&it.key)?, emoji: filled(&it.text) });
    }
    if let Some(it) = message.protocol_message.as_option() {
        return match it.r#type {
            Some(Protocol::REVOKE) => Some(InboundKind::Deletion { target_id: target(&it.key)? }),
            Some(Protocol::MESSAGE_EDIT) => {
                Some(InboundKind::Edit { target_id: target(&it.key)?, body: said(it.edited_message.as_option()?) })
            }
            _ => None,
        };
    }
    if let Some(it) = message.buttons_response_message.as_option() {
        let title = it.response.as_ref().map(|response| match response {
            waproto::whatsapp::message::buttons_response_message::Response::SelectedDisplayText(text) => text.clone(),
        });
        return Some(reply(it.selected_button_id.clone(), title, it.context_info.as_option()));
    }
    if let Some(it) = message.list_response_message.as_option() {
        let id = it.single_select_reply.as_option().and_then(|reply| reply.selected_row_id.clone());
        return Some(reply(id, it.title.clone(), it.context_info.as_option()));
    }
    if let Some(it) = message.template_button_reply_message.as_option() {
        return Some(reply(it.selected_id.clone(), it.selected_display_text.clone(), it.context_info.as_option()));
    }
    if let Some(it) = message.interactive_response_message.as_option() {
        let title = it.body.as_option().and_then(|body| body.text.clone());
        let id = match it.interactive_response_message.as_ref() {
            Some(waproto::whatsapp::message::interactive_response_message::InteractiveResponseMessage::NativeFlowResponseMessage(flow)) => {
                flow.params_json.as_deref().and_then(chosen)
            }
            None => None,
        };
        return Some(reply(id, title, it.context_info.as_option()));
    }
    let polls = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ];
    if let Some(it) = polls.into_iter().find_map(|poll| poll.as_option()) {
        return Some(InboundKind::Poll {
            question: it.name.clone().unwrap_or_default(),
            options: it.options.iter().filter_map(|option| option.option_name.clone()).collect(),
            choices: it.selectable_options_count.unwrap_or_default(),
        });
    }
    if let Some(it) = message.poll_update_message.as_option() {
        return Some(InboundKind::PollVote { target_id: target(&it.poll_creation_message_key)? });
    }
    if let Some(it) = message.order_message.as_option() {
        return Some(InboundKind::Order {
            order_id: it.order_id.clone().unwrap_or_default(),
            items: it.item_count.and_then(|count| count.try_into().ok()).unwrap_or_default(),
            note: filled(&it.message),
            total_1000: it.total_amount1000,
            currency: filled(&it.total_currency_code),
        });
    }
    if let Some(it) = message.product_message.as_option() {
        let product = it.product.as_option();
        return Some(InboundKind::Product {
            product_id: product.and_then(|product| filled(&product.product_id)),
            title: product.and_then(|product| filled(&product.title)),
            retailer_id: product.and_then(|product| filled(&product.retailer_id)),
        });
    }
    // An edit sometimes comes in a wrapper of its own.
    let wrapped = message.edited_message.as_option().and_then(|it| it.message.as_option());
    if let Some(inner) = wrapped.filter(|_| deep < DEEP) {
        return kind(inner, deep + 1);
    }
    unsupported(message)
}

/// What nobody wrote has no name here and is left out.
fn unsupported(message: &Message) -> Option<InboundKind> {
    let named: [(bool, &str); 17] = [
        (message.call.is_set() || message.bcall_message.is_set(), "call"),
        (message.send_payment_message.is_set(), "payment"),
        (message.request_payment_message.is_set(), "payment_request"),
        (message.group_invite_message.is_set(), "group_invite"),
        (message.list_message.is_set(), "list"),
        (message.buttons_message.is_set(), "buttons"),
        (message.template_message.is_set(), "template"),
        (message.interactive_message.is_set(), "interactive"),
        (message.invoice_message.is_set(), "invoice"),
        (message.event_message.is_set(), "event"),
        (message.album_message.is_set(), "album"),
        (message.sticker_pack_message.is_set(), "sticker_pack"),
        (message.request_phone_number_message.is_set(), "phone_number_request"),
        (message.secret_encrypted_message.is_set() || message.enc_reaction_message.is_set(), "encrypted_addition"),
        (message.comment_message.is_set() || message.enc_comment_message.is_set(), "comment"),
        (message.placeholder_message.is_set(), "placeholder"),
        (message.scheduled_call_creation_message.is_set(), "scheduled_call"),
    ];
    named.into_iter().find(|(is_set, _)| *is_set).map(|(_, name)| InboundKind::Unsupported { name: name.into() })
}

/// The words of an edited message, whatever it is.
fn said(message: &Message) -> String {
    let message = message.get_base_message();
    message.text_content().or_else(|| message.get_caption()).unwrap_or_default().to_owned()
}

fn reply(id: Option<String>, title: Option<String>, context: Option<&ContextInfo>) -> InboundKind {
    let title = title.unwrap_or_default();
    InboundKind::Reply {
        id: id.unwrap_or_else(|| title.clone()),
        title,
        target_id: context.and_then(|context| context.stanza_id.clone()).filter(|id| !id.is_empty()),
    }
}

/// The id in what a native flow answers, which differs by flow.
fn chosen(json: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_str(json).ok()?;
    ["id", "selectedId", "selected_row_id"].into_iter().find_map(|name| answer[name].as_str().map(Into::into))
}

fn card(name: Option<&String>, vcard: Option<&String>) -> Card {
    Card { name: name.cloned().unwrap_or_default(), vcard: vcard.cloned().unwrap_or_default() }
}

fn target(key: &waproto::buffa::MessageField<waproto::whatsapp::MessageKey>) -> Option<String> {
    key.as_option()?.id.clone().filter(|id| !id.is_empty())
}

fn filled(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

/// The context stands inside each kind of message.
fn context(message: &Message) -> Option<&ContextInfo> {
    macro_rules! first {
        ($($field:ident),*) => {
            None$(.or_else(|| message.$field.as_option().and_then(|it| it.context_info.as_option())))*
        };
    }
    first!(
        extended_text_message,
        image_message,
        video_message,
        ptv_message,
        audio_message,
        document_message,
        sticker_message,
        location_message,
        live_location_message,
        contact_message,
        contacts_array_message,
        order_message,
        product_message
    )
}

macro_rules! pointer {
    ($media:expr, $kind:ident, $filename:expr) => {
        MediaPointer {
            kind: MediaKind::$kind,
            direct_path: $media.direct_path.clone().unwrap_or_default(),
            media_key: $media.media_key.clone().unwrap_or_default(),
            file_sha256: $media.file_sha256.clone().unwrap_or_default(),
            file_enc_sha256: $media.file_enc_sha256.clone().unwrap_or_default(),
            length: $media.file_length.unwrap_or_default(),
            mime: $media.mimetype.clone().unwrap_or_default(),
            filename: $filename,
        }
    };
}
use pointer;
