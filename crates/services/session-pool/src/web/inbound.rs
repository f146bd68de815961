//! From what a connection hears to what the ledger keeps. Pure.

use barid_domain::{SessionId, TenantId};
use barid_proto::{
    queue::v1::{
        ChoiceContent, ContactCard, ContactsContent, DeletionContent, EditContent, Inbound as WireInbound, InboundContent, Location,
        MediaContent, MissedCallContent, OrderContent, PollContent, PollVoteContent, ReactionContent, TextContent, UnsupportedContent,
        inbound_content::Kind, media_content::Kind as FileKind,
    },
    timestamp,
};
use barid_whatsapp::web::{Card, Chat, Inbound, InboundKind, MediaPointer};

/// Where a file of a connection is, as the ledger keeps it.
pub(super) fn pointer(bytes: &[u8]) -> Option<MediaPointer> {
    serde_json::from_slice(bytes).ok()
}

/// A message as the ledger takes it. What the account's own phone wrote, and what was not written to the session alone, is not a customer's
/// message to the business.
///
/// So nothing of a group, a status, a channel or a broadcast list is kept: the ledger knows conversations of one customer with one session, and
/// to it a member of a group would be a customer who wrote to the business, whose window is open, and whom an answer reaches alone. What such
/// people say to each other is not the business's to keep either. The connector tells of all of it ([`Chat`]), with the group's address
/// and who wrote, so that this is decided here and nowhere else.
pub(super) fn wire(tenant: TenantId, session: SessionId, message: Inbound) -> Option<WireInbound> {
    if message.from_me || !matches!(message.chat, Chat::Person(_)) {
        return None;
    }
    Some(WireInbound {
        tenant_id: tenant.to_string(),
        session_id: session.to_string(),
        from: message.sender.phone.unwrap_or_default(),
        profile_name: message.sender.name.unwrap_or_default(),
        business_scoped_id: String::new(),
        time: Some(timestamp(message.time)),
        lid: message.sender.lid.unwrap_or_default(),
        provider_id: message.provider_id,
        content: Some(InboundContent { kind: Some(content(message.kind)) }),
        context_provider_id: message.quoted_id.unwrap_or_default(),
    })
}

fn content(kind: InboundKind) -> Kind {
    match kind {
        InboundKind::Text { body } => Kind::Text(TextContent { text: body }),
        InboundKind::Image { media, caption } => file(FileKind::Image, media, caption),
        InboundKind::Video { media, caption, .. } => file(FileKind::Video, media, caption),
        InboundKind::Audio { media, voice, .. } => file(if voice { FileKind::Voice } else { FileKind::Audio }, media, None),
        InboundKind::Document { media, caption } => file(FileKind::Document, media, caption),
        InboundKind::Sticker { media, .. } => file(FileKind::Sticker, media, None),
        InboundKind::Location { latitude, longitude, name, address, .. } => {
            Kind::Location(Location { latitude, longitude, name: name.unwrap_or_default(), address: address.unwrap_or_default() })
        }
        InboundKind::Contacts { cards } => Kind::Contacts(ContactsContent { contacts: cards.into_iter().map(card).collect() }),
        InboundKind::Reaction { target_id, emoji } => {
            Kind::Reaction(ReactionContent { provider_id: target_id, emoji: emoji.unwrap_or_default(), message_id: String::new() })
        }
        InboundKind::Edit { target_id, body } => Kind::Edit(EditContent { provider_id: target_id, text: body }),
        InboundKind::Deletion { target_id } => Kind::Deletion(DeletionContent { provider_id: target_id }),
        InboundKind::Reply { id, title, .. } => Kind::Choice(ChoiceContent { id, title }),
        InboundKind::Poll { question, options, .. } => Kind::Poll(PollContent { question, options }),
        InboundKind::PollVote { target_id } => Kind::PollVote(PollVoteContent { provider_id: target_id, options: Vec::new() }),
        InboundKind::Order { order_id, items, note, .. } => {
            Kind::Order(OrderContent { order_id, title: note.unwrap_or_default(), items, token: String::new() })
        }
        InboundKind::Product { product_id, title, .. } => Kind::Order(OrderContent {
            order_id: product_id.unwrap_or_default(),
            title: title.unwrap_or_default(),
            ..OrderContent::default()
        }),
        InboundKind::MissedCall => Kind::MissedCall(MissedCallContent { video: false }),
        InboundKind::Unsupported { name } => Kind::Unsupported(UnsupportedContent { kind: name }),
    }
}

fn file(kind: FileKind, media: MediaPointer, caption: Option<String>) -> Kind {
    let pointer = serde_json::to_vec(&media).unwrap_or_default();
    Kind::Media(MediaContent {
        kind: kind.into(),
        mime_type: media.mime,
        caption: caption.unwrap_or_default(),
        filename: media.filename.unwrap_or_default(),
        size: media.length,
        pointer,
    })
}

/// The name and the numbers of a vCard.
fn card(card: Card) -> ContactCard {
    let number = |line: &str| {
        let (key, value) = line.split_once(':')?;
        let is_number = key.split(';').next()?.rsplit('.').next()?.eq_ignore_ascii_case("TEL");
        is_number.then(|| value.trim().to_owned())
    };
    ContactCard { name: card.name, phones: card.vcard.lines().filter_map(number).collect() }
}

#[cfg(test)]
mod tests {
    use barid_whatsapp::web::{MediaKind, Person};
    use uuid::Uuid;

    use super::*;

    fn ids() -> (TenantId, SessionId) {
        (TenantId::from_uuid(Uuid::from_u128(1)), SessionId::from_uuid(Uuid::from_u128(2)))
    }

    fn message(kind: InboundKind) -> Inbound {
        let customer = Person { phone: None, lid: Some("99".into()), name: Some("Mona".into()) };
        Inbound {
            provider_id: "3EB0".into(),
            chat: Chat::Person(customer.clone()),
            sender: customer,
            from_me: false,
            time: chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a time"),
            quoted_id: None,
            expires_in: None,
            kind,
        }
    }

    #[test]
    fn a_customer_without_a_number_is_known_by_the_hidden_id() {
        let (tenant, session) = ids();
        let wire = wire(tenant, session, message(InboundKind::Text { body: "hi".into() })).expect("kept");
        assert_eq!((wire.from.as_str(), wire.lid.as_str(), wire.profile_name.as_str()), ("", "99", "Mona"));
    }

    #[test]
    fn groups_and_the_phones_own_messages_are_not_customers() {
        let (tenant, session) = ids();
        let own = Inbound { from_me: true, ..message(InboundKind::MissedCall) };
        let group = Inbound { chat: Chat::Group("1@g.us".into()), ..message(InboundKind::MissedCall) };
        assert!(wire(tenant, session, own).is_none() && wire(tenant, session, group).is_none());
    }

    #[test]
    fn a_file_is_found_again_by_its_pointer() {
        let media = MediaPointer {
            kind: MediaKind::Document,
            direct_path: "/v/x".into(),
            media_key: vec![1],
            file_sha256: vec![2],
            file_enc_sha256: vec![3],
            length: 7,
            mime: "application/pdf".into(),
            filename: Some("i.pdf".into()),
        };
        let Kind::Media(file) = content(InboundKind::Document { media: media.clone(), caption: None }) else { panic!("a file") };
        assert_eq!((file.size, file.filename.as_str()), (7, "i.pdf"));
        assert!(pointer(&file.pointer) == Some(media));
    }

    #[test]
    fn the_numbers_of_a_card_are_read() {
        let vcard = "BEGIN:VCARD\nFN:Ali\nTEL;type=CELL;waid=20100:+20 100\nitem1.TEL:+20 200\nEMAIL:a@b\nEND:VCARD".to_owned();
        assert_eq!(card(Card { name: "Ali".into(), vcard }).phones, ["+20 100", "+20 200"]);
    }
}
