//! Everything that WhatsApp carries goes out as it was handed over.

use anyhow::{Context, Result};
use barid_domain::{Clock, SystemClock};
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    queue::v1::{
        Acknowledged, Choice, Choices, ClaimedMessage, ContactCard, Failure, FreeForm, Inbound, InboundContent, Location, MediaKind,
        MessageState, Quoted, Reaction, SendMessageRequest, SessionClaim, TextContent, claimed_message::Form, inbound_content::Kind,
        outcome::Outcome,
    },
    timestamp,
};

use crate::house::{House, claim_id};

const CUSTOMER: &str = "201234567890";

fn free(message: &ClaimedMessage) -> FreeForm {
    match &message.form {
        Some(Form::Free(free)) => free.clone(),
        _ => FreeForm::default(),
    }
}

fn to(recipient: &str) -> SendMessageRequest {
    SendMessageRequest { recipient: recipient.into(), ..SendMessageRequest::default() }
}

fn reply(target: &str) -> SendMessageRequest {
    SendMessageRequest { text: "Yes".into(), reply_to: target.into(), ..to(CUSTOMER) }
}

fn reaction(target: &str) -> SendMessageRequest {
    SendMessageRequest { reaction: Some(Reaction { message_id: target.into(), emoji: "\u{1f44d}".into() }), ..to(CUSTOMER) }
}

/// Claims the one message that waits and acknowledges it.
async fn send_one(house: &House, session: SessionId, provider_id: &str) -> Result<ClaimedMessage> {
    let claimed = house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.pop().context("a message")?;
    house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: provider_id.into() })).await?;
    Ok(claimed)
}

async fn wrote(house: &House, tenant: TenantId, session: SessionId, provider_id: &str, text: &str) -> Result<String> {
    house
        .hear(Inbound {
            tenant_id: tenant.to_string(),
            session_id: session.to_string(),
            from: format!("+{CUSTOMER}"),
            provider_id: provider_id.into(),
            content: Some(InboundContent { kind: Some(Kind::Text(TextContent { text: text.into() })) }),
            ..Inbound::default()
        })
        .await?;
    let list = barid_proto::queue::v1::ListInboundMessagesRequest::default();
    let listed = house.inbound.clone().list_inbound_messages(House::on_behalf_of(tenant, list)).await?.into_inner();
    Ok(listed.messages.first().context("a message")?.id.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_over_is_what_a_claim_gives_out() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let location = Location { latitude: 30.0444, longitude: 31.2357, name: "Shop".into(), address: "Cairo".into() };
    let card = ContactCard { name: "Mona".into(), phones: vec!["01234567891".into()] };
    let buttons = vec![Choice { id: "yes".into(), title: "Yes".into(), ..Choice::default() }];
    let choices = Choices { footer: "Choose".into(), buttons, ..Choices::default() };
    let requests = [
        SendMessageRequest { location: Some(location.clone()), ..to(CUSTOMER) },
        SendMessageRequest { contact_card: Some(card), ..to(CUSTOMER) },
        SendMessageRequest { text: "Pick up?".into(), choices: Some(choices.clone()), ..to(CUSTOMER) },
        SendMessageRequest { media_url: "https://a.example/b.ogg".into(), media_kind: MediaKind::Voice.into(), ..to(CUSTOMER) },
    ];
    let mut claimed = Vec::new();
    for (index, request) in requests.into_iter().enumerate() {
        house.send_request(tenant, session, request).await?;
        claimed.push(send_one(&house, session, &format!("wamid.{index}")).await?);
    }
    assert_eq!(free(&claimed[0]), FreeForm { location: Some(location), ..FreeForm::default() });
    let card = ContactCard { name: "Mona".into(), phones: vec!["+201234567891".into()] };
    assert_eq!(free(&claimed[1]), FreeForm { contact_card: Some(card), ..FreeForm::default() });
    assert_eq!(free(&claimed[2]), FreeForm { text: "Pick up?".into(), choices: Some(choices), ..FreeForm::default() });
    assert_eq!((free(&claimed[3]), claimed[3].media_kind()), (FreeForm::default(), MediaKind::Voice));
    assert!(!claimed[0].known_contact && claimed[1..].iter().all(|message| message.known_contact), "known since the first was sent");
    assert!(claimed.iter().all(|message| message.contact_id == claimed[0].contact_id && message.contact_id.starts_with("con_")));
    assert!(claimed.iter().all(|message| message.wire_id.is_empty()), "the Cloud API names messages itself");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wrote_to_this_session_is_known_to_it_alone() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session, other): (TenantId, SessionId, SessionId) = (house.ids.mint(), house.ids.mint(), house.ids.mint());
    wrote(&house, tenant, session, "wamid.in", "hello").await?;
    for (session, known) in [(session, true), (other, false)] {
        house.fence(session, 1).await?;
        house.send(tenant, session, CUSTOMER, "hello").await?;
        assert_eq!(send_one(&house, session, "wamid.1").await?.known_contact, known);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_and_reactions_name_what_they_are_about() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let first = house.send(tenant, session, CUSTOMER, "Your order is ready").await?;
    send_one(&house, session, "wamid.first").await?;
    let theirs = wrote(&house, tenant, session, "wamid.theirs", "Thank you").await?;
    let ours = Quoted { provider_id: "wamid.first".into(), from_me: true, text: "Your order is ready".into() };
    let quoted = Quoted { provider_id: "wamid.theirs".into(), from_me: false, text: "Thank you".into() };
    for (target, quoted) in [(&first, &ours), (&theirs, &quoted)] {
        // Without a session they take that of their target.
        let id = house.hand_over(tenant, reply(target)).await?.id;
        let claimed = send_one(&house, session, &format!("wamid.{id}")).await?;
        assert_eq!((claimed.reply_to.as_ref(), free(&claimed).is_reaction), (Some(quoted), false));
        let id = house.hand_over(tenant, reaction(target)).await?.id;
        let claimed = send_one(&house, session, &format!("wamid.{id}")).await?;
        let expected = FreeForm { reaction: "\u{1f44d}".into(), is_reaction: true, ..FreeForm::default() };
        assert_eq!((claimed.reply_to.as_ref(), free(&claimed)), (Some(quoted), expected));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_sent_is_not_quoted_and_takes_no_reaction() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let later = Some(timestamp(SystemClock.now() + chrono::TimeDelta::hours(1)));
    let scheduled = SendMessageRequest { text: "later".into(), schedule_time: later, ..to(CUSTOMER) };
    let target = house.send_request(tenant, session, scheduled).await?;
    house.hand_over(tenant, reply(&target)).await?;
    assert_eq!(send_one(&house, session, "wamid.1").await?.reply_to, None);
    let id = house.hand_over(tenant, reaction(&target)).await?.id;
    assert!(house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages.is_empty());
    let message = house.message(tenant, &id).await?;
    assert_eq!((message.state(), message.dead_letter, message.reason.as_str()), (MessageState::Failed, true, "target_not_sent"));
    assert_eq!(message.reason_text, "The message it reacts to was never sent.");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_never_on_the_wire_is_not_quoted() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let target = house.send(tenant, session, CUSTOMER, "hello").await?;
    let claimed = house.claim_web(session, 1).await?.remove(0);
    let failure = Failure { reason: "undeliverable".into(), not_before: None };
    house.report(&claimed, Outcome::Dead(failure)).await?;
    assert_eq!(house.message(tenant, &target).await?.provider_id, claimed.wire_id);
    house.hand_over(tenant, reply(&target)).await?;
    assert_eq!(house.claim_web(session, 1).await?.remove(0).reply_to, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_somebody_else_is_as_unknown_as_one_that_never_was() -> Result<()> {
    let house = House::start().await?;
    let (tenant, stranger, session, other): (TenantId, TenantId, SessionId, SessionId) =
        (house.ids.mint(), house.ids.mint(), house.ids.mint(), house.ids.mint());
    let of_stranger = house.send(stranger, session, CUSTOMER, "secret").await?;
    let of_another_customer = house.send(tenant, session, "201234567899", "hello").await?;
    let never: barid_domain::MessageId = house.ids.mint();
    let unknown =
        |field: &str| format!("{field}: names no message exchanged with this customer; give the id of one, such as `msg_...` or `inb_...`");
    for target in [of_stranger, of_another_customer, never.to_string(), "nonsense".into()] {
        for (request, field) in [(reply(&target), "replyTo"), (reaction(&target), "reaction.messageId")] {
            let request = SendMessageRequest { session_id: session.to_string(), ..request };
            let refused = house.hand_over(tenant, request).await.expect_err("refused");
            assert_eq!(refused.message(), unknown(field), "{target}");
        }
    }
    // The same customer over another session is another conversation.
    let own = house.send(tenant, session, CUSTOMER, "hello").await?;
    let refused = house.hand_over(tenant, SendMessageRequest { session_id: other.to_string(), ..reply(&own) }).await.expect_err("refused");
    assert!(refused.message().starts_with("sessionId: is another session than that of replyTo"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_window_they_fail_as_free_text_does() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    let windowed = SessionClaim { windowed: true, ..SessionClaim::default() };
    let place = || SendMessageRequest { location: Some(Location { latitude: 1.0, ..Location::default() }), ..to(CUSTOMER) };
    let id = house.send_request(tenant, session, place()).await?;
    assert!(house.claim_as(&claim_id(), &[(session, 1, 10)], &windowed).await?.messages.is_empty());
    let message = house.message(tenant, &id).await?;
    assert_eq!((message.state(), message.reason.as_str()), (MessageState::Failed, "window_closed"));
    wrote(&house, tenant, session, "wamid.in", "hello").await?;
    house.send_request(tenant, session, place()).await?;
    assert_eq!(house.claim_as(&claim_id(), &[(session, 1, 10)], &windowed).await?.messages.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_rules_is_refused_with_its_field() -> Result<()> {
    let house = House::start().await?;
    let tenant: TenantId = house.ids.mint();
    let session: SessionId = house.ids.mint();
    let long = Choice { id: "a".into(), title: "x".repeat(25), ..Choice::default() };
    let choices = |button: Choice| Some(Choices { buttons: vec![button], ..Choices::default() });
    let words = |length: usize| SendMessageRequest { text: "x".repeat(length), ..to(CUSTOMER) };
    let button = Choice { title: "Yes".into(), ..long.clone() };
    for (request, expected) in [
        // Limits of the protos and those that stand in the code both reach into the parts.
        (SendMessageRequest { choices: choices(long), ..words(1) }, "choices.buttons[0].title: has 25 characters"),
        (
            SendMessageRequest { choices: choices(Choice { id: String::new(), ..button.clone() }), ..words(1) },
            "choices.buttons[0].id: is required",
        ),
        (SendMessageRequest { choices: choices(button), ..words(1025) }, "text: has 1025 characters beside choices"),
        (SendMessageRequest { contact_card: Some(ContactCard::default()), ..to(CUSTOMER) }, "contactCard.name: is required"),
        (
            SendMessageRequest { location: Some(Location { latitude: 91.0, ..Location::default() }), ..to(CUSTOMER) },
            "location.latitude: is 91",
        ),
        (to(CUSTOMER), "template: is missing; give a template, a text, media, a location, a contact card or a reaction"),
    ] {
        let request = SendMessageRequest { session_id: session.to_string(), ..request };
        let refused = house.hand_over(tenant, request).await.expect_err(expected);
        assert!(refused.message().contains(expected), "{refused}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acceptance_answers_is_what_the_ledger_shows() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    let request = SendMessageRequest {
        session_id: session.to_string(),
        recipient: "201000000001".into(),
        text: "Your invoice: 120 EGP".into(),
        client_reference: "INV-7".into(),
        ..SendMessageRequest::default()
    };
    let answered = house.hand_over(tenant, request).await?;
    let mut shown = house.message(tenant, &answered.id).await?;
    shown.history.clear();
    assert_eq!(answered, shown);
    Ok(())
}
