use barid_proto::queue::v1::{Choice, ChoiceSection, Choices, Location, Reaction};

use super::*;
use crate::target::Target;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn egypt() -> Country {
    "EG".parse().expect("a country")
}

fn terms() -> Terms {
    Terms { country: egypt(), ttl: TimeDelta::hours(48), hours: Hours { zone: chrono_tz::Africa::Cairo, quiet: None } }
}

fn request() -> SendMessageRequest {
    SendMessageRequest { recipient: "201234567890".into(), template: "invoice".into(), ..SendMessageRequest::default() }
}

fn at(offset: i64) -> Option<Timestamp> {
    Some(barid_proto::timestamp(now() + TimeDelta::seconds(offset)))
}

fn refused(request: SendMessageRequest) -> String {
    check(request, terms(), Lane::Immediate, now()).expect_err("refused").message().to_owned()
}

#[test]
fn a_plain_invoice_is_due_at_once_for_two_days() {
    let draft = check(request(), terms(), Lane::Batch, now()).expect("a draft");
    let open = Plan::Open { closes: None };
    assert_eq!((draft.lane, draft.asked, draft.plan, draft.expires_at), (Lane::Batch, now(), open, now() + TimeDelta::hours(48)));
    assert_eq!(draft.recipient.to_string(), "+201234567890");
}

#[test]
fn the_life_of_a_message_is_its_own_or_its_tenants() {
    let expires = |request: SendMessageRequest| {
        check(request, Terms { ttl: TimeDelta::hours(6), ..terms() }, Lane::Batch, now()).expect("a draft").expires_at
    };
    let ttl = |seconds, nanos| Some(Duration { seconds, nanos });
    assert_eq!(expires(request()), now() + TimeDelta::hours(6));
    assert_eq!(
        expires(SendMessageRequest { schedule_time: at(3600), ..request() }),
        now() + TimeDelta::hours(7),
        "counted from when it is due"
    );
    assert_eq!(expires(SendMessageRequest { schedule_time: at(60), ttl: ttl(90, 0), ..request() }), now() + TimeDelta::seconds(150));
    assert_eq!(expires(SendMessageRequest { expire_time: at(5), ..request() }), now() + TimeDelta::seconds(5));
    for wrong in [ttl(0, 0), ttl(0, 999_999_999), ttl(-1, 0), ttl(90 * 86400, 1), ttl(i64::MAX, 0)] {
        assert!(refused(SendMessageRequest { ttl: wrong, ..request() }).contains("ttl: is not 1 second to 90 days"), "{wrong:?}");
    }
    assert!(refused(SendMessageRequest { ttl: ttl(60, 0), expire_time: at(60), ..request() }).contains("ttl: stands beside expireTime"));
}

#[test]
fn a_window_moves_the_due_time_and_the_expiry_with_it() {
    // Ten in the morning in Cairo.
    assert_eq!(now().with_timezone(&chrono_tz::Africa::Cairo).format("%H:%M").to_string(), "10:00");
    let windowed = |start: &str, end: &str| SendMessageRequest {
        window: Some(SendWindow { start: start.into(), end: end.into() }),
        lane: ProtoLane::Batch.into(),
        ..request()
    };
    let draft = accepted(windowed("08:00", "10:00"));
    let until = now() + TimeDelta::hours(22);
    assert_eq!(draft.plan, Plan::Wait { until, closed: Some(crate::hours::Closed::Window) });
    assert_eq!((draft.asked, draft.expires_at), (now(), until + TimeDelta::hours(48)));
    assert_eq!(accepted(windowed("09:00", "11:00")).plan, Plan::Open { closes: Some(now() + TimeDelta::hours(1)) });
    let late = SendMessageRequest { expire_time: at(3600), ..windowed("08:00", "10:00") };
    assert!(refused(late).contains("expireTime: is not after the time at which the message is due"), "it could never be sent");
    assert!(refused(windowed("8", "10:00")).contains("window: is no window"));
    assert!(refused(SendMessageRequest { lane: 0, ..windowed("08:00", "10:00") }).contains("window: is for LANE_BATCH"));
    let quiet = Some(crate::hours::Quiet { hours: Daily::parse("21:00", "08:00").expect("hours"), retries: false });
    let terms = Terms { hours: Hours { quiet, ..terms().hours }, ..terms() };
    let never = check(windowed("22:00", "23:00"), terms, Lane::Batch, now()).expect_err("refused");
    assert!(never.message().contains("window: lies within"), "{never}");
}

#[test]
fn each_rule_names_its_field_and_the_remedy() {
    assert!(refused(SendMessageRequest { recipient: "12".into(), ..request() }).starts_with("recipient: "));
    assert!(refused(SendMessageRequest { text: "hello".into(), ..request() }).contains("text: stands beside a template"));
    assert!(refused(SendMessageRequest { template: String::new(), ..request() }).contains("template: is missing"));
    assert!(refused(SendMessageRequest { schedule_time: at(-3600), ..request() }).contains("scheduleTime: is in the past"));
    assert!(refused(SendMessageRequest { schedule_time: at(91 * 86400), ..request() }).contains("scheduleTime: is more than 90 days"));
    assert!(refused(SendMessageRequest { expire_time: at(-1), ..request() }).contains("expireTime: is not after"));
    assert!(refused(SendMessageRequest { media_url: "ftp://x/y".into(), ..request() }).contains("mediaUrl: is no https address"));
    assert!(refused(SendMessageRequest { lane: 3, ..request() }).contains("lane: "));
    assert!(refused(SendMessageRequest { supersede_rank: 1, ..request() }).contains("supersedeKey: "));
}

#[test]
fn the_ending_of_the_address_tells_the_kind_of_media() {
    let kind = |url: &str| {
        check(SendMessageRequest { media_url: url.into(), ..request() }, terms(), Lane::Batch, now()).expect("a draft").media_kind
    };
    assert_eq!(kind("https://a.example/b.PNG?x=1"), MediaKind::Image);
    assert_eq!(kind("https://a.example/b.pdf"), MediaKind::Document);
}

#[test]
fn a_digest_sees_content_and_not_spelling() {
    let keyed = |recipient: &str, text: &str| SendMessageRequest {
        recipient: recipient.into(),
        text: text.into(),
        idempotency_key: "k".into(),
        ..SendMessageRequest::default()
    };
    let digest = |request: &SendMessageRequest| key(request, egypt()).expect("a key").digest;
    assert_eq!(digest(&keyed("201234567890", "a")), digest(&keyed("+20 123 456 7890", "a")));
    assert_ne!(digest(&keyed("201234567890", "a")), digest(&keyed("201234567890", "b")));
    assert_eq!(key(&request(), egypt()), None);
}

fn bare() -> SendMessageRequest {
    SendMessageRequest { recipient: "201234567890".into(), ..SendMessageRequest::default() }
}

fn accepted(request: SendMessageRequest) -> Draft {
    check(request, terms(), Lane::Immediate, now()).expect("a draft")
}

fn location(latitude: f64, longitude: f64) -> SendMessageRequest {
    SendMessageRequest { location: Some(Location { latitude, longitude, ..Location::default() }), ..bare() }
}

fn card(phones: &[&str]) -> SendMessageRequest {
    let phones = phones.iter().map(ToString::to_string).collect();
    SendMessageRequest { contact_card: Some(ContactCard { name: "Mona".into(), phones }), ..bare() }
}

fn reaction(message_id: &str, emoji: &str) -> SendMessageRequest {
    SendMessageRequest { reaction: Some(Reaction { message_id: message_id.into(), emoji: emoji.into() }), ..bare() }
}

fn choice(id: &str, title: &str) -> Choice {
    Choice { id: id.into(), title: title.into(), description: String::new() }
}

fn buttons(buttons: Vec<Choice>) -> SendMessageRequest {
    SendMessageRequest { text: "Which?".into(), choices: Some(Choices { buttons, ..Choices::default() }), ..bare() }
}

fn list(sections: Vec<(&str, usize)>) -> SendMessageRequest {
    let mut next = 0..;
    let sections = sections.into_iter().map(|(title, rows)| ChoiceSection {
        title: title.into(),
        rows: next.by_ref().take(rows).map(|id| choice(&id.to_string(), "row")).collect(),
    });
    let choices = Choices { list_button: "Choose".into(), sections: sections.collect(), ..Choices::default() };
    SendMessageRequest { text: "Which?".into(), choices: Some(choices), ..bare() }
}

const ID: &str = "msg_01h455vb4pex5vsknk084sn02q";

#[test]
fn everything_that_a_message_can_be_is_accepted_alone() {
    accepted(location(-90.0, 180.0));
    accepted(location(0.0, 0.0));
    assert_eq!(accepted(card(&["01234567890"])).contact_card.expect("a card").phones, ["+201234567890"]);
    assert!(matches!(accepted(reaction(ID, "\u{1f44d}\u{1f3fd}")).reference, Some((Target::Message(_), "reaction.messageId"))));
    accepted(reaction(ID, ""));
    accepted(reaction(ID, "1\u{fe0f}\u{20e3}"));
    accepted(buttons(vec![choice("a", "Yes"), choice("b", "No")]));
    accepted(list(vec![("", 10)]));
    accepted(list(vec![("One", 5), ("Two", 5)]));
    for kind in [MediaKind::Audio, MediaKind::Voice, MediaKind::Video] {
        let alone = SendMessageRequest { media_url: "https://a.example/b".into(), media_kind: kind.into(), ..bare() };
        assert_eq!(accepted(alone).media_kind, kind);
    }
    let reply = SendMessageRequest { reply_to: ID.replace("msg", "inb"), text: "Yes".into(), ..bare() };
    assert!(matches!(accepted(reply).reference, Some((Target::Inbound(_), "replyTo"))));
}

#[test]
fn parts_that_do_not_go_together_are_named() {
    let with = |change: fn(&mut SendMessageRequest), mut request: SendMessageRequest| {
        change(&mut request);
        refused(request)
    };
    assert!(with(|request| request.text = "hi".into(), location(1.0, 1.0)).contains("location: stands beside a text"));
    assert!(with(|request| request.template = "t".into(), card(&["201234567890"])).contains("contactCard: stands beside a template"));
    assert!(with(|request| request.location = Some(Location::default()), reaction(ID, "")).contains("reaction: stands beside a location"));
    assert!(
        with(|request| request.media_url = "https://a.example/b".into(), location(1.0, 1.0)).contains("mediaUrl: stands beside a location")
    );
    assert!(with(|request| request.reply_to = ID.into(), reaction(ID, "")).contains("replyTo: stands beside a reaction"));
    assert!(with(|request| request.text.clear(), buttons(vec![choice("a", "Yes")])).contains("choices: stand below a text"));
    let audio: fn(&mut SendMessageRequest) = |request| {
        request.media_url = "https://a.example/b".into();
        request.media_kind = MediaKind::Voice.into();
    };
    assert!(with(audio, SendMessageRequest { text: "hi".into(), ..bare() }).contains("text: stands beside audio"));
    assert!(with(audio, request()).contains("template: stands beside audio"));
    assert!(with(audio, buttons(vec![choice("a", "Yes")])).contains("mediaUrl: stands beside choices"));
}

#[test]
fn limits_of_places_cards_and_reactions_are_named() {
    assert!(refused(location(90.1, 0.0)).contains("location.latitude: is 90.1"));
    assert!(refused(location(f64::NAN, 0.0)).contains("location.latitude: is NaN"));
    assert!(refused(location(0.0, -180.5)).contains("location.longitude: is -180.5"));
    assert!(refused(card(&["201234567890", "12"])).contains("contactCard.phones[1]: "));
    assert!(refused(card(&[])).contains("contactCard.phones: are missing"));
    assert!(refused(reaction(ID, "ok")).contains("reaction.emoji: is no emoji"));
    for unknown in ["", "wamid.1", "con_01h455vb4pex5vsknk084sn02q"] {
        assert!(refused(reaction(unknown, "")).contains("reaction.messageId: names no message exchanged with this customer"));
    }
    let reply = SendMessageRequest { reply_to: "msg_x".into(), text: "Yes".into(), ..bare() };
    assert!(refused(reply).contains("replyTo: names no message exchanged with this customer"));
}

#[test]
fn limits_of_choices_are_named() {
    let long = "123456789012345678901";
    assert!(refused(buttons(vec![])).contains("choices: has nothing to choose"));
    assert!(refused(buttons(vec![choice("a", long)])).contains("choices.buttons[0].title: has 21 characters"));
    assert!(refused(buttons(vec![choice("a", "Yes"), choice("a", "No")])).contains("choices.buttons[1].id: is the id of another choice"));
    let described = Choice { description: "more".into(), ..choice("a", "Yes") };
    assert!(refused(buttons(vec![described])).contains("choices.buttons[0].description: "));
    assert!(refused(list(vec![("One", 6), ("Two", 5)])).contains("choices.sections: have 11 rows in all"));
    assert!(refused(list(vec![("One", 1), ("", 1)])).contains("choices.sections[1].title: is missing"));
    let change = |change: fn(&mut Choices), mut request: SendMessageRequest| {
        request.choices.as_mut().map(change).expect("choices");
        refused(request)
    };
    assert!(change(|choices| choices.list_button.clear(), list(vec![("", 1)])).contains("choices.listButton: is missing"));
    assert!(
        change(|choices| choices.list_button = "Open".into(), buttons(vec![choice("a", "Yes")]))
            .contains("choices.listButton: opens a list")
    );
    let both: fn(&mut Choices) = |choices| choices.buttons.push(choice("z", "Yes"));
    assert!(change(both, list(vec![("", 1)])).contains("choices.sections: stand beside buttons"));
    let twice: fn(&mut Choices) = |choices| choices.sections[0].rows[1].id = "0".into();
    assert!(change(twice, list(vec![("", 2)])).contains("choices.sections[0].rows[1].id: is the id of another choice"));
}
