//! What customers write is kept, once, and changes as they change it.

use anyhow::{Context, Result};
use barid_domain::{Clock, SessionId, SystemClock, TenantId};
use barid_proto::{
    events::v1::{Event, InboundPayload, event::Payload},
    queue::v1::{
        Acknowledged, DeletionContent, EditContent, GetInboundMessageRequest, Inbound, InboundContent, InboundMessage,
        ListInboundMessagesRequest, ListInboundMessagesResponse, MediaContent, MediaPart, ReactionContent, ReadInboundMediaRequest,
        ReceiptKind, SessionClaim, TextContent, inbound_content::Kind, media_content, outcome::Outcome,
    },
    timestamp,
};
use chrono::{DateTime, TimeDelta, Utc};
use tonic::{Code, Status};

use crate::house::{House, POINTER, claim_id, file};

const CUSTOMER: &str = "+201234567890";

/// A conversation between a customer and a session.
struct Chat {
    house: House,
    tenant: TenantId,
    session: SessionId,
}

impl Chat {
    async fn begin() -> Result<Self> {
        let house = House::start().await?;
        let (tenant, session) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        Ok(Self { house, tenant, session })
    }

    fn inbound(&self, provider_id: &str, kind: Kind) -> Inbound {
        Inbound {
            tenant_id: self.tenant.to_string(),
            session_id: self.session.to_string(),
            from: CUSTOMER.into(),
            provider_id: provider_id.into(),
            content: Some(InboundContent { kind: Some(kind) }),
            time: Some(timestamp(noon())),
            ..Inbound::default()
        }
    }

    async fn hear(&self, provider_id: &str, kind: Kind) -> Result<()> {
        Ok(self.house.hear(self.inbound(provider_id, kind)).await?)
    }

    async fn list(&self, request: ListInboundMessagesRequest) -> Result<ListInboundMessagesResponse> {
        let request = House::on_behalf_of(self.tenant, request);
        Ok(self.house.inbound.clone().list_inbound_messages(request).await?.into_inner())
    }

    /// Every message, oldest first.
    async fn all(&self) -> Result<Vec<InboundMessage>> {
        let mut messages = self.list(ListInboundMessagesRequest::default()).await?.messages;
        messages.reverse();
        Ok(messages)
    }

    async fn get(&self, tenant: TenantId, id: &str) -> Result<InboundMessage, Status> {
        let request = GetInboundMessageRequest { id: id.into(), ..GetInboundMessageRequest::default() };
        Ok(self.house.inbound.clone().get_inbound_message(House::on_behalf_of(tenant, request)).await?.into_inner())
    }

    async fn part(&self, id: &str, offset: u64) -> Result<MediaPart, Status> {
        let request = ReadInboundMediaRequest { id: id.into(), offset, ..ReadInboundMediaRequest::default() };
        Ok(self.house.inbound.clone().read_inbound_media(House::on_behalf_of(self.tenant, request)).await?.into_inner())
    }

    /// What was told of customers: kind, id and payload, oldest first.
    async fn told(&self) -> Result<Vec<(String, String, InboundPayload)>> {
        let events = self.house.list_events(self.tenant, "").await?;
        Ok(events.into_iter().filter_map(of_inbound).collect())
    }
}

fn of_inbound(event: Event) -> Option<(String, String, InboundPayload)> {
    match event.payload {
        Some(Payload::Inbound(payload)) if event.entity == "inbound" => Some((event.kind, event.entity_id, payload)),
        _ => None,
    }
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

fn text(text: &str) -> Kind {
    Kind::Text(TextContent { text: text.into() })
}

fn edit(provider_id: &str, text: &str) -> Kind {
    Kind::Edit(EditContent { provider_id: provider_id.into(), text: text.into() })
}

fn deletion(provider_id: &str) -> Kind {
    Kind::Deletion(DeletionContent { provider_id: provider_id.into() })
}

fn said(message: &InboundMessage) -> Option<Kind> {
    message.content.clone().and_then(|content| content.kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_twice_is_kept_once() -> Result<()> {
    let chat = Chat::begin().await?;
    for _ in 0..2 {
        chat.hear("wamid.1", text("hello")).await?;
    }
    chat.hear("wamid.1", text("another text under the same id")).await?;
    let all = chat.all().await?;
    let [message] = all.as_slice() else { panic!("{all:?}") };
    assert!(message.id.starts_with("inb_") && message.contact_id.starts_with("con_"));
    assert_eq!((said(message), message.from.as_str(), message.time), (Some(text("hello")), CUSTOMER, Some(timestamp(noon()))));
    assert_eq!(message, &chat.get(chat.tenant, &message.id).await?);
    let told = chat.told().await?;
    let payload = InboundPayload {
        session_id: chat.session.to_string(),
        contact_id: message.contact_id.clone(),
        content_kind: "text".into(),
        target_id: String::new(),
    };
    assert_eq!(told, [("received".to_owned(), message.id.clone(), payload)]);

    let stranger: TenantId = chat.house.ids.mint();
    assert_eq!(chat.get(stranger, &message.id).await.expect_err("another tenant's").code(), Code::NotFound);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_id_opens_the_window_and_no_more() -> Result<()> {
    let chat = Chat::begin().await?;
    let bare = Inbound { content: None, time: None, ..chat.inbound("", text("")) };
    chat.house.hear(bare).await?;
    assert!(chat.all().await?.is_empty() && chat.told().await?.is_empty());
    chat.house.send(chat.tenant, chat.session, CUSTOMER, "free text").await?;
    let windowed = SessionClaim { windowed: true, ..SessionClaim::default() };
    assert_eq!(chat.house.claim_as(&claim_id(), &[(chat.session, 1, 1)], &windowed).await?.messages.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_shows_in_the_message_and_the_latest_one_counts() -> Result<()> {
    let chat = Chat::begin().await?;
    chat.hear("wamid.1", text("helo")).await?;
    let at = |seconds| Some(timestamp(noon() + TimeDelta::seconds(seconds)));
    for (id, words, seconds) in [("wamid.3", "hello!", 20), ("wamid.2", "hello", 10), ("wamid.3", "hello!", 20)] {
        chat.house.hear(Inbound { time: at(seconds), ..chat.inbound(id, edit("wamid.1", words)) }).await?;
    }
    let all = chat.all().await?;
    let [message] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((said(message), message.edit_time, message.time), (Some(text("hello!")), at(20), at(0)));
    let told = chat.told().await?;
    assert_eq!(told.iter().map(|(kind, ..)| kind.as_str()).collect::<Vec<_>>(), ["received", "edited"]);
    assert_eq!((&told[1].1, &told[1].2.target_id, told[1].2.content_kind.as_str()), (&message.id, &message.id, "edit"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_is_gone_with_its_changes() -> Result<()> {
    let chat = Chat::begin().await?;
    chat.hear("wamid.1", text("a secret")).await?;
    chat.hear("wamid.2", edit("wamid.1", "another secret")).await?;
    let sealed = "SELECT string_agg(length(content)::text, ' ' ORDER BY id) FROM queue.inbound_messages";
    let before = chat.house.database.execute(&[sealed]).await?;
    chat.hear("wamid.3", deletion("wamid.1")).await?;
    chat.hear("wamid.4", edit("wamid.1", "too late")).await?;
    let all = chat.all().await?;
    let [message] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&message.content, message.delete_time), (&None, Some(timestamp(noon()))));
    assert_ne!(before, chat.house.database.execute(&[sealed]).await?);
    let told = chat.told().await?;
    assert_eq!(told.iter().map(|(kind, ..)| kind.as_str()).collect::<Vec<_>>(), ["received", "edited", "deleted"]);
    assert!(told.iter().all(|(_, id, _)| *id == message.id));
    // No row holds the words any more: what is empty, sealed, has the length of nothing.
    let lengths = "SELECT max(length(content) - 29 - 16) FROM queue.inbound_messages WHERE kind <> 'deletion'";
    let longest: usize = chat.house.database.execute(&[lengths]).await?.parse()?;
    assert!(longest <= 2 + 2 + "wamid.1".len(), "{longest} bytes are left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_what_another_wrote_and_nothing_is_lost() -> Result<()> {
    let chat = Chat::begin().await?;
    chat.hear("wamid.1", text("hello")).await?;
    let stranger = |id: &str, kind| Inbound { from: "+201234567899".into(), ..chat.inbound(id, kind) };
    chat.house.hear(stranger("wamid.2", edit("wamid.1", "I was never here"))).await?;
    chat.house.hear(stranger("wamid.3", deletion("wamid.1"))).await?;
    chat.hear("wamid.4", edit("wamid.unknown", "for what nobody heard")).await?;
    let all = chat.all().await?;
    assert_eq!((said(&all[0]), all[0].edit_time, all[0].delete_time), (Some(text("hello")), None, None));
    let kept = [edit("wamid.1", "I was never here"), deletion("wamid.1"), edit("wamid.unknown", "for what nobody heard")];
    assert_eq!(all[1..].iter().filter_map(said).collect::<Vec<_>>(), kept);
    let told = chat.told().await?;
    assert!(told.iter().all(|(kind, _, payload)| kind == "received" && payload.target_id.is_empty()), "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_and_answers_name_the_message() -> Result<()> {
    let chat = Chat::begin().await?;
    let ours = chat.house.send(chat.tenant, chat.session, CUSTOMER, "Your order is ready").await?;
    let claimed = chat.house.claim(&claim_id(), &[(chat.session, 1, 1)]).await?.messages.remove(0);
    chat.house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: "wamid.ours".into() })).await?;
    let answer = Inbound { context_provider_id: "wamid.ours".into(), ..chat.inbound("wamid.1", text("Thank you")) };
    chat.house.hear(answer).await?;
    let reaction =
        |about: &str| Kind::Reaction(ReactionContent { provider_id: about.into(), emoji: "\u{1f44d}".into(), message_id: String::new() });
    for (id, about) in [("wamid.2", "wamid.ours"), ("wamid.3", "wamid.1"), ("wamid.4", "wamid.unknown")] {
        chat.hear(id, reaction(about)).await?;
    }
    let all = chat.all().await?;
    assert_eq!(all[0].reply_to, ours);
    let targets = [ours, all[0].id.clone(), String::new()];
    for (message, target) in all[1..].iter().zip(&targets) {
        let Some(Kind::Reaction(reaction)) = said(message) else { panic!("{message:?}") };
        assert_eq!(&reaction.message_id, target);
    }
    let told = chat.told().await?;
    for ((kind, id, payload), (message, target)) in told[1..].iter().zip(all[1..].iter().zip(&targets)) {
        assert_eq!((kind.as_str(), id, &payload.target_id, payload.content_kind.as_str()), ("reacted", &message.id, target, "reaction"));
    }
    assert_eq!(told.len(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_in_parts_and_its_key_stays_inside() -> Result<()> {
    let chat = Chat::begin().await?;
    let media = MediaContent {
        kind: media_content::Kind::Voice.into(),
        mime_type: "audio/ogg".into(),
        filename: "note.ogg".into(),
        pointer: POINTER.to_vec(),
        ..MediaContent::default()
    };
    chat.hear("wamid.1", Kind::Media(media.clone())).await?;
    chat.hear("wamid.2", text("no file")).await?;
    let all = chat.all().await?;
    let shown = MediaContent { pointer: Vec::new(), ..media };
    assert_eq!(said(&all[0]), Some(Kind::Media(shown.clone())));
    assert_eq!(said(&chat.get(chat.tenant, &all[0].id).await?), Some(Kind::Media(shown)));
    let (mut read, mut offset) = (Vec::new(), 0);
    loop {
        let part = chat.part(&all[0].id, offset).await?;
        assert_eq!((part.total_size, part.mime_type.as_str(), part.filename.as_str()), (file().len() as u64, "audio/ogg", "note.ogg"));
        read.extend(part.data);
        offset = part.next_offset;
        if offset == 0 {
            break;
        }
    }
    assert!(read == file(), "{} bytes of {}", read.len(), file().len());
    assert_eq!(chat.part(&all[1].id, 0).await.expect_err("no file").code(), Code::FailedPrecondition);
    chat.hear("wamid.3", deletion("wamid.1")).await?;
    assert_eq!(chat.part(&all[0].id, 0).await.expect_err("taken back").code(), Code::FailedPrecondition);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_no_table_takes_stops_nothing() -> Result<()> {
    let chat = Chat::begin().await?;
    let odd = ["a\0b".to_owned(), "x".repeat(100_000)];
    for id in &odd {
        for _ in 0..2 {
            chat.hear(id, text("hello")).await?;
        }
        chat.hear(&format!("edit of {}", &id[..1]), edit(id, "hello!")).await?;
        assert_eq!(chat.house.receipt(chat.session, id, "", ReceiptKind::Read).await?.parked, 1);
    }
    let all = chat.all().await?;
    assert_eq!(all.iter().filter_map(said).collect::<Vec<_>>(), [text("hello!"), text("hello!")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_keeps_no_window_open() -> Result<()> {
    let chat = Chat::begin().await?;
    let ahead = Inbound { time: Some(timestamp(SystemClock.now() + TimeDelta::days(400))), ..chat.inbound("wamid.1", text("hello")) };
    chat.house.hear(ahead).await?;
    let time = chat.all().await?.remove(0).time.and_then(|time| barid_proto::time(&time)).context("a time")?;
    assert!(time <= SystemClock.now(), "{time}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_and_filtered() -> Result<()> {
    let chat = Chat::begin().await?;
    let other: SessionId = chat.house.ids.mint();
    for index in 0..5 {
        let mut inbound = chat.inbound(&format!("wamid.{index}"), text(&index.to_string()));
        if index == 1 {
            inbound.from = "+201234567899".into();
        }
        if index == 2 {
            inbound.session_id = other.to_string();
        }
        chat.house.hear(inbound).await?;
    }
    let numbers = |messages: &[InboundMessage]| -> Vec<String> {
        let words = messages.iter().filter_map(|message| match said(message) {
            Some(Kind::Text(text)) => Some(text.text),
            _ => None,
        });
        words.collect()
    };
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = chat.list(ListInboundMessagesRequest { page_size: 2, page_token, ..Default::default() }).await?;
        seen.extend(numbers(&page.messages));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["4", "3", "2", "1", "0"]);
    let from = ListInboundMessagesRequest { from: "01234567899".into(), ..Default::default() };
    assert_eq!(numbers(&chat.list(from).await?.messages), ["1"]);
    let session = ListInboundMessagesRequest { session_id: other.to_string(), ..Default::default() };
    assert_eq!(numbers(&chat.list(session).await?.messages), ["2"]);
    let nobody = ListInboundMessagesRequest { from: "01234567000".into(), ..Default::default() };
    assert!(chat.list(nobody).await?.messages.is_empty());
    let all = chat.all().await?;
    let contact = all.first().context("a message")?.contact_id.clone();
    assert_eq!(all.iter().filter(|message| message.contact_id == contact).count(), 4, "one contact over both sessions");
    Ok(())
}
