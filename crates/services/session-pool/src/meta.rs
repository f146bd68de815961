//! From what Meta tells of customers to what the ledger keeps. Pure.

use barid_domain::Phone;
use barid_proto::{
    queue::v1::{
        ChoiceContent, ContactCard, ContactsContent, Inbound as WireInbound, InboundContent, Location, MediaContent, OrderContent,
        ReactionContent, TextContent, UnsupportedContent, inbound_content::Kind, media_content::Kind as WireKind,
    },
    timestamp,
};
use barid_whatsapp::cloud::webhook::{Content, File, FileKind, Inbound};
use serde::{Deserialize, Serialize};

use crate::store::Delivery;

/// Where a file of Meta's is, as the ledger keeps it. That of a linked device has other fields.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Pointer {
    meta_file_id: String,
}

/// Meta's id of the file that a pointer leads to; `None` when it is another connector's.
pub(crate) fn file_id(pointer: &[u8]) -> Option<String> {
    serde_json::from_slice::<Pointer>(pointer).ok().map(|pointer| pointer.meta_file_id)
}

/// A message as the ledger takes it. Somebody without a number is known by the id that Meta gave them for this business; who has neither cannot
/// be named.
pub(crate) fn wire(delivery: &Delivery, message: Inbound) -> Option<WireInbound> {
    // With a plus in front no country is needed; any will do.
    let is_number = message.from.starts_with('+') && "US".parse().is_ok_and(|country| Phone::parse(&message.from, country).is_ok());
    let business_scoped_id = message.user_id.unwrap_or_default();
    if !is_number && business_scoped_id.is_empty() {
        tracing::info!(delivery = %delivery.id, session = %delivery.session, "a customer wrote without showing who it is");
        return None;
    }
    Some(WireInbound {
        tenant_id: delivery.tenant.to_string(),
        session_id: delivery.session.to_string(),
        from: if is_number { message.from } else { String::new() },
        profile_name: message.profile_name.unwrap_or_default(),
        business_scoped_id,
        time: Some(timestamp(message.timestamp)),
        lid: String::new(),
        provider_id: message.id,
        content: Some(InboundContent { kind: Some(content(message.content)) }),
        context_provider_id: message.replies_to.unwrap_or_default(),
    })
}

fn content(content: Content) -> Kind {
    match content {
        Content::Text { body } => Kind::Text(TextContent { text: body }),
        Content::File(file) => Kind::Media(media(file)),
        Content::Location { latitude, longitude, name, address } => {
            Kind::Location(Location { latitude, longitude, name: name.unwrap_or_default(), address: address.unwrap_or_default() })
        }
        Content::Contacts { cards } => {
            let contacts = cards.into_iter().map(|card| ContactCard { name: card.name, phones: card.phones }).collect();
            Kind::Contacts(ContactsContent { contacts })
        }
        Content::Reaction { target_id, emoji } => {
            Kind::Reaction(ReactionContent { provider_id: target_id, emoji: emoji.unwrap_or_default(), message_id: String::new() })
        }
        Content::Choice { id, title } => Kind::Choice(ChoiceContent { id, title }),
        Content::Order { catalog_id, note, items } => {
            Kind::Order(OrderContent { order_id: catalog_id, title: note.unwrap_or_default(), items, token: String::new() })
        }
        Content::Unsupported { name } => Kind::Unsupported(UnsupportedContent { kind: name }),
    }
}

fn media(file: File) -> MediaContent {
    let kind = match file.kind {
        FileKind::Image => WireKind::Image,
        FileKind::Video => WireKind::Video,
        FileKind::Audio => WireKind::Audio,
        FileKind::Voice => WireKind::Voice,
        FileKind::Document => WireKind::Document,
        FileKind::Sticker => WireKind::Sticker,
    };
    MediaContent {
        kind: kind.into(),
        mime_type: file.mime,
        caption: file.caption.unwrap_or_default(),
        filename: file.filename.unwrap_or_default(),
        size: 0,
        pointer: serde_json::to_vec(&Pointer { meta_file_id: file.id }).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use barid_domain::{SessionId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn delivery() -> Delivery {
        let (id, uuid) = (Uuid::from_u128(1), Uuid::from_u128(2));
        Delivery { id, tenant: TenantId::from_uuid(uuid), session: SessionId::from_uuid(uuid), body: Vec::new() }
    }

    fn message(from: &str, user_id: Option<&str>, content: Content) -> Inbound {
        Inbound {
            id: "wamid.1".into(),
            from: from.into(),
            profile_name: None,
            user_id: user_id.map(str::to_owned),
            timestamp: chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a time"),
            content,
            replies_to: None,
        }
    }

    fn text() -> Content {
        Content::Text { body: "hi".into() }
    }

    #[test]
    fn a_customer_is_named_by_number_or_by_metas_id() {
        let named = |from, user_id| wire(&delivery(), message(from, user_id, text())).map(|wire| (wire.from, wire.business_scoped_id));
        assert_eq!(named("+201001234567", None), Some(("+201001234567".into(), String::new())));
        assert_eq!(named("", Some("EG.1")), Some((String::new(), "EG.1".into())));
        assert_eq!(named("somebody", Some("EG.1")), Some((String::new(), "EG.1".into())));
        assert_eq!(named("", None), None);
    }

    #[test]
    fn a_file_is_found_again_by_its_pointer() {
        let file = File { kind: FileKind::Voice, id: "77".into(), mime: "audio/ogg".into(), caption: None, filename: None };
        let Kind::Media(kept) = content(Content::File(file)) else { panic!("a file") };
        assert_eq!((kept.kind(), file_id(&kept.pointer).as_deref()), (WireKind::Voice, Some("77")));
        assert_eq!(file_id(br#"{"kind":"image","direct_path":"/v/x"}"#), None, "a linked device's");
    }
}
