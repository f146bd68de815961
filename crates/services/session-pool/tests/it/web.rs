use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    queue::v1::{ClaimedMessage, ReceiptKind, inbound_content::Kind, outcome::Outcome},
    session_pool::v1::{
        CancelPairingRequest, CheckNumbersRequest, GetPairingPictureRequest, GetPairingRequest, Pairing, PairingState, Session,
        SessionState, StartPairingRequest, WebConnector, pairing_service_client::PairingServiceClient, session::Connector,
    },
};
use barid_session_pool::pace::{Curve, Point};
use barid_testkit::eventually;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::{
    house::{House, PHONE, on_behalf},
    ledger::wire_id,
};

pub const CUSTOMER: &str = "+201112223334";

pub fn web_session(phone: &str) -> Session {
    Session { phone_number: phone.into(), connector: Some(Connector::Web(WebConnector::default())), ..Session::default() }
}

impl House {
    pub async fn start_pairing(&self, tenant: TenantId, session: SessionId, by_code: bool) -> Result<Pairing, Status> {
        let request = StartPairingRequest { id: session.to_string(), by_code, ..Default::default() };
        let mut client = PairingServiceClient::new(self.gateway.channel());
        Ok(client.start_pairing(on_behalf(tenant, request)).await?.into_inner())
    }

    pub async fn pairing(&self, tenant: TenantId, session: SessionId) -> Result<Pairing, Status> {
        let request = GetPairingRequest { id: session.to_string(), ..Default::default() };
        let mut client = PairingServiceClient::new(self.gateway.channel());
        Ok(client.get_pairing(on_behalf(tenant, request)).await?.into_inner())
    }

    /// The phone of a number scans a code.
    pub async fn scan(&self, phone: &str, code: &str) -> Result<Value> {
        let account = phone.trim_start_matches('+');
        self.whatsapp.control("POST", &format!("/sim/web/accounts/{account}/scan"), json!({"code": code})).await
    }

    /// A tenant with a linked device of this number.
    pub async fn linked(&self, phone: &str) -> Result<(TenantId, SessionId)> {
        self.linked_with(web_session(phone)).await
    }

    pub async fn linked_with(&self, session: Session) -> Result<(TenantId, SessionId)> {
        let (tenant, phone) = (self.tenant(), session.phone_number.clone());
        let session: SessionId = self.create(tenant, session).await?.id.parse()?;
        let pairing = self.start_pairing(tenant, session, false).await?;
        ensure!(pairing.state() == PairingState::Scan, "{pairing:?}");
        self.scan(&phone, &pairing.qr).await?;
        eventually(Duration::from_secs(20), || async {
            let pairing = self.pairing(tenant, session).await?;
            ensure!(pairing.state() == PairingState::Paired, "{pairing:?}");
            Ok(())
        })
        .await?;
        Ok((tenant, session))
    }

    /// What a business showed on a customer's phone, oldest first.
    pub async fn shown_by(&self, phone: &str, business: &str) -> Result<Vec<Value>> {
        let account = business.trim_start_matches('+');
        let phone = self.whatsapp.control("GET", &format!("/sim/phones/{phone}?number={account}"), json!(null)).await?;
        let messages = phone["conversations"][0]["messages"].as_array().cloned().unwrap_or_default();
        Ok(messages.into_iter().filter(|message| message["from"] == "business").collect())
    }

    pub async fn writes(&self, phone: &str, business: &str, text: &str) -> Result<Value> {
        let to = business.trim_start_matches('+');
        self.whatsapp.control("POST", &format!("/sim/phones/{phone}/messages"), json!({"to": to, "text": text})).await
    }

    async fn nothing_unknown(&self) -> Result<()> {
        let unknown = self.whatsapp.control("GET", "/sim/web/unknown", json!(null)).await?;
        ensure!(unknown["total"] == 0, "the simulator did not understand: {unknown}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_linked_by_scanning_and_sends_and_receives() -> Result<()> {
    let (house, replica) = House::start().await?;
    let tenant = house.tenant();
    let created = house.create(tenant, web_session(PHONE)).await?;
    assert_eq!(created.state(), SessionState::LoggedOut, "it needs pairing");
    let session: SessionId = created.id.parse()?;
    let none = house.pairing(tenant, session).await.expect_err("no pairing yet");
    assert_eq!(none.code(), Code::FailedPrecondition);

    let pairing = house.start_pairing(tenant, session, false).await?;
    assert_eq!(pairing.state(), PairingState::Scan);
    assert!(!pairing.qr.is_empty() && !pairing.done && pairing.code_expire_time.is_some());
    let mut client = PairingServiceClient::new(house.gateway.channel());
    let request = GetPairingPictureRequest { id: session.to_string(), ..Default::default() };
    let picture = client.get_pairing_picture(on_behalf(tenant, request)).await?.into_inner();
    assert!(picture.data.starts_with(b"\x89PNG"));
    let foreign = GetPairingRequest { id: session.to_string(), ..Default::default() };
    let stranger = client.get_pairing(on_behalf(house.tenant(), foreign)).await.expect_err("another tenant's");
    assert_eq!(stranger.code(), Code::NotFound);

    house.scan(PHONE, &pairing.qr).await?;
    eventually(Duration::from_secs(20), || async {
        let pairing = house.pairing(tenant, session).await?;
        ensure!(pairing.state() == PairingState::Paired && pairing.qr.is_empty() && pairing.done, "{pairing:?}");
        Ok(())
    })
    .await?;
    let linked = house.get(tenant, &session.to_string()).await?;
    assert!(matches!(linked.connector, Some(Connector::Web(web)) if web.link_time.is_some()));

    let message = house.ledger.text(tenant, session, CUSTOMER, "طلبك جاهز");
    let id = message.message_id.clone();
    house.ledger.accept(vec![message]).await;
    assert_eq!(house.acknowledged(&id).await?, wire_id(&id), "WhatsApp knows it by our id");
    let shown = house.shown_by(CUSTOMER, PHONE).await?;
    assert_eq!((shown.len(), shown[0]["text"].as_str(), shown[0]["wamid"].as_str()), (1, Some("طلبك جاهز"), Some(&*wire_id(&id))));
    eventually(Duration::from_secs(20), || async {
        let kinds: Vec<_> = house.ledger.books().receipts.iter().map(|receipt| receipt.kind()).collect();
        ensure!(kinds.contains(&ReceiptKind::Delivered) && kinds.contains(&ReceiptKind::Read), "{kinds:?}");
        Ok(())
    })
    .await?;

    house.writes(CUSTOMER, PHONE, "شكراً").await?;
    eventually(Duration::from_secs(20), || async {
        let books = house.ledger.books();
        let inbound = books.inbound.first().context("nothing arrived")?;
        ensure!(inbound.session_id == session.to_string() && inbound.from == CUSTOMER, "{inbound:?}");
        let content = inbound.content.as_ref().and_then(|content| content.kind.as_ref());
        ensure!(matches!(content, Some(Kind::Text(text)) if text.text == "شكراً"), "{content:?}");
        Ok(())
    })
    .await?;
    house.nothing_unknown().await?;
    replica.stop().await;
    let cold = house.database.execute(&["SELECT count(*) FROM session_pool.sessions WHERE state = 2"]).await?;
    assert_eq!(cold, "1", "a replica that leaves says so");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_lost_its_session_writes_nothing_any_more() -> Result<()> {
    let (house, replica) = House::start().await?;
    let (tenant, session) = house.linked(PHONE).await?;
    let first = house.ledger.text(tenant, session, CUSTOMER, "one");
    let id = first.message_id.clone();
    house.ledger.accept(vec![first]).await;
    house.acknowledged(&id).await?;
    let sql = format!(
        "SELECT string_agg(md5(value), ',' ORDER BY kind, key) FROM session_pool.web_cells WHERE session_id = '{}'",
        session.uuid()
    );
    let before = house.database.execute(&[&sql]).await?;
    // Somebody else owned it for a moment: what the replica knows under its epoch is stale, and it has not heard of it.
    house.database.execute(&["UPDATE session_pool.owners SET epoch = epoch + 1"]).await?;
    let epochs = house.ledger.books().fenced.len();
    let second = house.ledger.text(tenant, session, "+201112223335", "two");
    let id = second.message_id.clone();
    house.ledger.accept(vec![second]).await;
    assert_eq!(house.acknowledged(&id).await?, wire_id(&id));
    let fenced = house.ledger.books().fenced[epochs..].to_vec();
    assert!(!fenced.is_empty(), "it went on under the epoch that it had lost");
    let after = house.database.execute(&[&sql]).await?;
    assert_ne!(before, after, "the new epoch writes");
    let shown = house.shown_by("+201112223335", PHONE).await?;
    assert_eq!((shown.len(), shown[0]["received"].as_u64()), (1, Some(1)), "nothing left under the old one");
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_take_turns_in_few_slots() -> Result<()> {
    let mut house = House::build().await?;
    house.config.pool.slots = 5;
    let replica = house.replica().await?;
    let mut sessions = Vec::new();
    for index in 0..12 {
        sessions.push(house.linked(&format!("+2010000001{index:02}")).await?);
    }
    let messages: Vec<_> = sessions
        .iter()
        .flat_map(|(tenant, session)| (0..3).map(move |index| (*tenant, *session, format!("+20111000{index:04}"))))
        .map(|(tenant, session, to)| house.ledger.text(tenant, session, &to, "طلبك جاهز"))
        .collect();
    let ids: Vec<String> = messages.iter().map(|message| message.message_id.clone()).collect();
    house.ledger.accept(messages).await;
    for id in &ids {
        house.acknowledged(id).await?;
    }
    let most = house.database.execute(&["SELECT count(*) FROM session_pool.sessions WHERE state IN (3, 4, 5)"]).await?;
    assert!(most.trim().parse::<usize>()? <= 5, "{most} sessions are connected");
    house.nothing_unknown().await?;
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_again_and_again_rests() -> Result<()> {
    let (house, replica) = House::start().await?;
    let (tenant, session) = house.linked(PHONE).await?;
    let send = async || {
        let message = house.ledger.text(tenant, session, CUSTOMER, "طلبك جاهز");
        let id = message.message_id.clone();
        house.ledger.accept(vec![message]).await;
        house.acknowledged(&id).await
    };
    send().await?;
    let mut took = Vec::new();
    for _ in 0..3 {
        house.whatsapp.arm(json!({"kind": "web_stream_error", "at": "now", "count": 1})).await?;
        let begun = Instant::now();
        send().await?;
        took.push(begun.elapsed());
    }
    assert!(took[0] < Duration::from_secs(4) && took[1] < Duration::from_secs(4), "one or two are chance: {took:?}");
    assert!(took[2] >= Duration::from_secs(4), "it came back at once: {took:?}");
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_is_no_new_day() -> Result<()> {
    let mut house = House::build().await?;
    // One at once, and the next after hours.
    house.config.pacing.first_contacts = Curve { points: vec![Point { day: 0, most: 4 }], full_from: None };
    let first = house.replica().await?;
    let (tenant, session) = house.linked(PHONE).await?;
    let send = async |to: &str, known_contact: bool| {
        let message = ClaimedMessage { known_contact, ..house.ledger.text(tenant, session, to, "طلبك جاهز") };
        let id = message.message_id.clone();
        house.ledger.accept(vec![message]).await;
        id
    };
    let waits = async |id: &str| {
        house.outcome(id, |outcome| if let Outcome::Returned(failure) = outcome { Some(failure.reason) } else { None }).await
    };
    house.acknowledged(&send("+201112223335", false).await).await?;
    first.stop().await;
    let second = house.replica().await?;
    let refused = send("+201112223336", false).await;
    assert_eq!(waits(&refused).await?, "first_contact_budget");
    house.acknowledged(&send("+201112223335", true).await).await?;
    assert!(house.shown_by("+201112223336", PHONE).await?.is_empty());
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_may_not_write_first_goes_on_with_its_customers_until_they_are_refused_too() -> Result<()> {
    let (house, first) = House::start().await?;
    let (tenant, session) = house.linked(PHONE).await?;
    let send = async |to: &str, known_contact: bool| {
        let message = ClaimedMessage { known_contact, ..house.ledger.text(tenant, session, to, "طلبك جاهز") };
        let id = message.message_id.clone();
        house.ledger.accept(vec![message]).await;
        id
    };
    let waits = async |id: &str| {
        house.outcome(id, |outcome| if let Outcome::Returned(failure) = outcome { Some(failure.reason) } else { None }).await
    };
    let state = async || house.get(tenant, &session.to_string()).await;
    house.whatsapp.arm(json!({"kind": "web_nack", "code": 463, "count": 1})).await?;
    assert_eq!(waits(&send("+201112223335", false).await).await?, "reach_out_locked");
    assert_eq!(waits(&send("+201112223336", false).await).await?, "reach_out_locked");
    house.acknowledged(&send(CUSTOMER, true).await).await?;
    assert_eq!(state().await?.state(), SessionState::Warm, "it is not paused");
    first.stop().await;

    let second = house.replica().await?;
    assert_eq!(waits(&send("+201112223336", false).await).await?, "reach_out_locked", "the next owner knows");
    assert!(house.shown_by("+201112223336", PHONE).await?.is_empty(), "nothing was sent to new customers");
    house.whatsapp.arm(json!({"kind": "web_nack", "code": 463, "count": 3})).await?;
    for to in ["+201112223337", "+201112223338", "+201112223339"] {
        assert_eq!(waits(&send(to, true).await).await?, "reach_out_locked");
    }
    eventually(Duration::from_secs(10), || async {
        let session = state().await?;
        ensure!(session.state() == SessionState::Paused && session.resume_time.is_some(), "{session:?}");
        ensure!(session.state_reason.contains("even to customers who know it"), "{}", session.state_reason);
        Ok(())
    })
    .await?;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_joins_takes_connections_over() -> Result<()> {
    let mut house = House::build().await?;
    house.config.pool.slots = 40;
    house.config.pool.heartbeat_ttl = Duration::from_secs(3);
    let first = house.replica().await?;
    let mut sessions = Vec::new();
    for index in 0..24 {
        sessions.push(house.linked(&format!("+2010000001{index:02}")).await?);
    }
    let send = async || {
        let messages: Vec<_> =
            sessions.iter().map(|(tenant, session)| house.ledger.text(*tenant, *session, CUSTOMER, "طلبك جاهز")).collect();
        let ids: Vec<String> = messages.iter().map(|message| message.message_id.clone()).collect();
        house.ledger.accept(messages).await;
        for id in &ids {
            house.acknowledged(id).await?;
        }
        anyhow::Ok(())
    };
    send().await?;
    let connected = async || house.database.execute(&["SELECT count(*) FROM session_pool.sessions WHERE state = 4"]).await;
    let second = house.replica().await?;
    eventually(Duration::from_secs(20), || async {
        let shares = house.shares().await?;
        // The cap of 24 between two is 18, and 4 more are kept.
        ensure!(shares.len() == 2 && shares[0] >= 2 && shares[0] + shares[1] == 24, "{shares:?}");
        let warm = connected().await?;
        ensure!(warm == "24", "{warm} are connected");
        Ok(())
    })
    .await?;
    let gone = eventually(Duration::from_secs(2), || async {
        ensure!(connected().await? != "24", "all are");
        Ok(())
    });
    assert!(gone.await.is_err(), "what was handed over lingers on, as if nothing had happened");
    send().await?;
    for index in 0..24 {
        let shown = house.shown_by(CUSTOMER, &format!("+2010000001{index:02}")).await?;
        assert_eq!(shown.iter().map(|message| message["received"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(1)], "{index}");
    }
    house.nothing_unknown().await?;
    first.stop().await;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_connected_when_a_replica_left_is_connected_again() -> Result<()> {
    let house = House::build().await?;
    let first = house.replica().await?;
    let mut sessions = Vec::new();
    for index in 0..4 {
        let (tenant, session) = house.linked(&format!("+2010000002{index:02}")).await?;
        sessions.push(session);
        if index < 3 {
            let message = house.ledger.text(tenant, session, CUSTOMER, "طلبك جاهز");
            let id = message.message_id.clone();
            house.ledger.accept(vec![message]).await;
            house.acknowledged(&id).await?;
        }
    }
    let connected = async || house.database.execute(&["SELECT count(*) FROM session_pool.sessions WHERE state = 4"]).await;
    first.stop().await;
    assert_eq!(connected().await?, "0");
    let second = house.replica().await?;
    eventually(Duration::from_secs(10), || async {
        let warm = connected().await?;
        ensure!(warm == "3", "{warm} are connected, and not those three that were");
        Ok(())
    })
    .await?;
    tokio::time::sleep(2 * house.config.pool.min_warm + Duration::from_secs(1)).await;
    assert_eq!(connected().await?, "3", "they linger on, and were not only visited");
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_checked_through_a_linked_session_and_remembered() -> Result<()> {
    let (house, replica) = House::start().await?;
    let (tenant, _) = house.linked_with(limited(3)).await?;
    house.whatsapp.control("PUT", "/sim/phones/201112223334", json!({"on_whatsapp": true})).await?;
    house.whatsapp.control("PUT", "/sim/phones/201112223335", json!({"on_whatsapp": false})).await?;
    let check = async |numbers: &[&str]| {
        let request = CheckNumbersRequest { numbers: numbers.iter().map(ToString::to_string).collect(), ..Default::default() };
        house.sessions().check_numbers(on_behalf(tenant, request)).await
    };
    let both = check(&["+201112223334", "01112223335"]).await?.into_inner().numbers;
    assert_eq!(both.iter().map(|check| check.registered).collect::<Vec<_>>(), [true, false]);
    // What is known is not asked again, so it costs nothing of the day's budget.
    check(&["+201112223334", "+201112223335"]).await?;
    check(&["+201112223336"]).await?;
    let spent = check(&["+201112223337"]).await.expect_err("the day's budget is spent");
    assert_eq!(spent.code(), Code::ResourceExhausted);
    replica.stop().await;
    Ok(())
}

fn limited(checks: u32) -> Session {
    let web = WebConnector { number_checks_per_day: checks, ..WebConnector::default() };
    Session { connector: Some(Connector::Web(web)), ..web_session(PHONE) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_ends_when_it_is_cancelled_or_the_wrong_phone_scans() -> Result<()> {
    let (house, replica) = House::start().await?;
    let tenant = house.tenant();
    let session: SessionId = house.create(tenant, web_session(PHONE)).await?.id.parse()?;
    let pairing = house.start_pairing(tenant, session, false).await?;
    assert_eq!(house.start_pairing(tenant, session, false).await?.start_time, pairing.start_time, "one that is open goes on");
    let mut client = PairingServiceClient::new(house.gateway.channel());
    let request = CancelPairingRequest { id: session.to_string(), ..Default::default() };
    let cancelled = client.cancel_pairing(on_behalf(tenant, request)).await?.into_inner();
    assert_eq!((cancelled.state(), cancelled.reason.as_str(), cancelled.done), (PairingState::Failed, "cancelled", true));

    let pairing = house.start_pairing(tenant, session, false).await?;
    house.scan("+201009999999", &pairing.qr).await?;
    eventually(Duration::from_secs(20), || async {
        let pairing = house.pairing(tenant, session).await?;
        ensure!(pairing.reason == "wrong_number" && !pairing.reason_text.is_empty(), "{pairing:?}");
        Ok(())
    })
    .await?;
    let devices = house.whatsapp.control("GET", "/sim/web/accounts/201009999999", json!(null)).await?;
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(0), "the device is taken off the wrong phone: {devices}");
    replica.stop().await;
    Ok(())
}
