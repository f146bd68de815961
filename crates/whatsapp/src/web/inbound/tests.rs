//! Every kind of message, as the protocol writes it.

#![allow(clippy::needless_update, reason = "some kinds have no more fields than the test gives")]

use std::sync::Arc;

use wacore::types::{
    events::InboundMessage,
    message::{MessageInfo, MessageSource},
};
use waproto::{
    buffa::MessageField,
    whatsapp::{ContextInfo, Message, MessageKey, message},
};

use super::*;

fn info() -> MessageInfo {
    let source = MessageSource {
        chat: "201001234567@s.whatsapp.net".parse().unwrap(),
        sender: "77:4@lid".parse().unwrap(),
        sender_alt: Some("201001234567:4@s.whatsapp.net".parse().unwrap()),
        ..MessageSource::default()
    };
    MessageInfo { id: "A1".into(), push_name: "Mona".into(), source, ..MessageInfo::default() }
}

fn mapped(message: Message, info: MessageInfo) -> Option<Inbound> {
    inbound(&InboundMessage::builder().message(Arc::new(message)).info(Arc::new(info)).build())
}

fn kind(message: Message) -> Option<InboundKind> {
    mapped(message, info()).map(|inbound| inbound.kind)
}

fn key() -> MessageField<MessageKey> {
    MessageField::some(MessageKey { id: Some("T1".into()), ..Default::default() })
}

fn answering() -> MessageField<ContextInfo> {
    MessageField::some(ContextInfo { stanza_id: Some("T1".into()), ..Default::default() })
}

macro_rules! of {
    ($field:ident: $kind:ident { $($name:ident: $value:expr),* $(,)? }) => {
        Message { $field: MessageField::some(message::$kind { $($name: $value,)* ..Default::default() }), ..Default::default() }
    };
}

#[test]
fn the_sender_has_number_lid_and_name() {
    let text = Message { conversation: Some("hi".into()), ..Default::default() };
    let message = mapped(text.clone(), info()).unwrap();
    let mona = Person { phone: Some("+201001234567".into()), lid: Some("77".into()), name: Some("Mona".into()) };
    assert!(message.sender == mona && message.chat == Chat::Person(mona));

    let mut group = info();
    group.source.chat = "123-456@g.us".parse().unwrap();
    group.source.is_group = true;
    assert!(mapped(text.clone(), group).unwrap().chat == Chat::Group("123-456@g.us".into()));

    let mut own = info();
    own.source.is_from_me = true;
    own.source.sender = "201000000001@s.whatsapp.net".parse().unwrap();
    let own = mapped(text, own).unwrap();
    assert!(matches!(own.chat, Chat::Person(Person { phone: Some(phone), .. }) if phone == "+201001234567"));
}

#[test]
fn answers_name_what_they_answer() {
    let text = of!(extended_text_message: ExtendedTextMessage { text: Some("yes".into()), context_info: answering() });
    let message = mapped(text, info()).unwrap();
    assert_eq!((message.kind, message.quoted_id.as_deref()), (InboundKind::Text { body: "yes".into() }, Some("T1")));
}

#[test]
fn choices_come_back_with_their_ids() {
    let expected = InboundKind::Reply { id: "7".into(), title: "Wash".into(), target_id: Some("T1".into()) };
    let list = of!(list_response_message: ListResponseMessage {
        title: Some("Wash".into()),
        single_select_reply: MessageField::some(message::list_response_message::SingleSelectReply { selected_row_id: Some("7".into()) }),
        context_info: answering(),
    });
    let button = of!(buttons_response_message: ButtonsResponseMessage {
        selected_button_id: Some("7".into()),
        response: Some(message::buttons_response_message::Response::SelectedDisplayText("Wash".into())),
        context_info: answering(),
    });
    let template = of!(template_button_reply_message: TemplateButtonReplyMessage {
        selected_id: Some("7".into()),
        selected_display_text: Some("Wash".into()),
        context_info: answering(),
    });
    for message in [list, button, template] {
        assert_eq!(kind(message).as_ref(), Some(&expected));
    }
}

#[test]
fn polls_orders_places_and_cards() {
    let option = |name: &str| message::poll_creation_message::Option { option_name: Some(name.into()), ..Default::default() };
    let poll = of!(poll_creation_message_v3: PollCreationMessage {
        name: Some("When?".into()),
        options: vec![option("today"), option("tomorrow")],
        selectable_options_count: Some(1),
    });
    let options = vec!["today".into(), "tomorrow".into()];
    assert_eq!(kind(poll), Some(InboundKind::Poll { question: "When?".into(), options, choices: 1 }));
    let vote = of!(poll_update_message: PollUpdateMessage { poll_creation_message_key: key() });
    assert_eq!(kind(vote), Some(InboundKind::PollVote { target_id: "T1".into() }));
    let order = of!(order_message: OrderMessage { order_id: Some("9".into()), item_count: Some(2), total_amount1000: Some(15_000) });
    let expected = InboundKind::Order { order_id: "9".into(), items: 2, note: None, total_1000: Some(15_000), currency: None };
    assert_eq!(kind(order), Some(expected));
    let live = of!(live_location_message: LiveLocationMessage { degrees_latitude: Some(1.5), degrees_longitude: Some(2.5) });
    assert!(matches!(kind(live), Some(InboundKind::Location { live: true, latitude, .. }) if latitude == 1.5));
    let card = of!(contact_message: ContactMessage { display_name: Some("Mona".into()), vcard: Some("BEGIN:VCARD".into()) });
    assert!(matches!(kind(card), Some(InboundKind::Contacts { cards }) if cards[0].name == "Mona"));
}

#[test]
fn a_reaction_that_is_taken_back_has_no_emoji() {
    let reaction = of!(reaction_message: ReactionMessage { key: key(), text: Some(String::new()) });
    assert_eq!(kind(reaction), Some(InboundKind::Reaction { target_id: "T1".into(), emoji: None }));
}

#[test]
fn what_is_unknown_is_named_and_what_nobody_wrote_is_left_out() {
    let invite = of!(group_invite_message: GroupInviteMessage { group_jid: Some("1@g.us".into()) });
    assert_eq!(kind(invite), Some(InboundKind::Unsupported { name: "group_invite".into() }));
    assert_eq!(kind(of!(protocol_message: ProtocolMessage { key: key() })), None);
    assert_eq!(kind(Message::default()), None);
}

#[test]
fn an_inbound_message_survives_json() {
    let sticker = of!(sticker_message: StickerMessage {
        direct_path: Some("/v/1".into()),
        media_key: Some(vec![1; 32]),
        file_length: Some(9),
        mimetype: Some("image/webp".into()),
    });
    let message = mapped(sticker, info()).unwrap();
    let json = serde_json::to_value(&message).unwrap();
    assert_eq!((&json["kind"]["type"], &json["chat"]["type"]), (&"sticker".into(), &"person".into()));
    assert!(serde_json::from_value::<Inbound>(json).unwrap() == message);
    assert!(!format!("{message:?}").contains("2010"), "numbers are not for logs");
}
