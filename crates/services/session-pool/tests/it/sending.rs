use std::time::Duration;

use anyhow::{Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    queue::v1::{ClaimedMessage, MediaKind, ReceiptKind, claimed_message::Form, outcome::Outcome},
    session_pool::v1::SessionState,
    template::v1::MetaTemplateCall,
};
use barid_testkit::eventually;
use serde_json::json;

use crate::house::{House, now};

const NUMBER: &str = "100001";
const CUSTOMER: &str = "+201112223334";

impl House {
    /// Sends one text with a fault armed and gives back its first outcome.
    async fn with_fault(&self, from: (TenantId, SessionId), fault: serde_json::Value) -> Result<(String, Outcome)> {
        let message = self.text(from, NUMBER, CUSTOMER).await?;
        self.whatsapp.arm(fault).await?;
        let id = message.message_id.clone();
        self.ledger.accept(vec![message]).await;
        let outcome = eventually(Duration::from_secs(20), || async {
            let books = self.ledger.books();
            let first = books.outcomes.iter().find(|outcome| outcome.message_id == id).and_then(|outcome| outcome.outcome.clone());
            first.ok_or_else(|| anyhow::anyhow!("no outcome yet"))
        })
        .await?;
        Ok((id, outcome))
    }
}

fn reason(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Acknowledged(_) => ("acknowledged", ""),
        Outcome::Retry(failure) => ("retry", &failure.reason),
        Outcome::Dead(failure) => ("dead", &failure.reason),
        Outcome::Returned(failure) => ("returned", &failure.reason),
        Outcome::Uncertain(failure) => ("uncertain", &failure.reason),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_form_reach_the_phone_and_their_receipts_come_back() -> Result<()> {
    let (house, replica) = House::start().await?;
    let from = house.laundry(NUMBER).await?;
    let template = json!({"waba": format!("9{NUMBER}"), "name": "invoice", "language": "ar", "body": "أهلاً {{1}}", "header": "document"});
    house.whatsapp.control("PUT", "/sim/templates", template).await?;
    let text = house.text(from, NUMBER, CUSTOMER).await?;
    let document = ClaimedMessage {
        media_url: "https://files.example/invoice.pdf".into(),
        media_kind: MediaKind::Document.into(),
        media_filename: "فاتورة.pdf".into(),
        ..house.ledger.text(from.0, from.1, CUSTOMER, "فاتورتك")
    };
    let meta =
        MetaTemplateCall { name: "invoice".into(), language: "ar".into(), parameters: vec!["سارة".into()], document_header: true };
    let template = ClaimedMessage { form: Some(Form::Meta(meta)), ..document.clone() };
    let template = ClaimedMessage { message_id: house.ledger.text(from.0, from.1, CUSTOMER, "").message_id, ..template };
    let ids = [&text, &document, &template].map(|message| message.message_id.clone());
    house.ledger.accept(vec![text, document, template]).await;
    for id in &ids {
        assert!(house.acknowledged(id).await?.starts_with("wamid."));
    }
    let shown = house.whatsapp.shown(CUSTOMER).await?;
    let find = |id: &str| shown.iter().find(|message| message["biz_opaque_callback_data"] == id).expect("shown");
    assert_eq!(find(&ids[0])["text"], "طلبك جاهز");
    assert_eq!((&find(&ids[1])["text"], &find(&ids[1])["media"]["filename"]), (&json!("فاتورتك"), &json!("فاتورة.pdf")));
    assert_eq!((&find(&ids[2])["text"], &find(&ids[2])["media"]["type"]), (&json!("أهلاً سارة"), &json!("document")));

    eventually(Duration::from_secs(10), || async {
        let books = house.ledger.books();
        for id in &ids {
            let mut kinds: Vec<_> =
                books.receipts.iter().filter(|receipt| receipt.message_id == *id).map(|receipt| receipt.kind()).collect();
            kinds.sort_unstable();
            ensure!(kinds == [ReceiptKind::Sent, ReceiptKind::Delivered, ReceiptKind::Read], "{kinds:?}");
        }
        Ok(())
    })
    .await?;
    eventually(Duration::from_secs(5), || async {
        ensure!(house.get(from.0, &from.1.to_string()).await?.last_used_time.is_some(), "its use is not written");
        Ok(())
    })
    .await?;
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_outcome() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let from = house.laundry(NUMBER).await?;
    let cases = [
        (json!({"kind": "error_code", "code": 987_654, "count": 1}), ("retry", "rejected")),
        (json!({"kind": "error_code", "code": 131_026, "count": 1}), ("dead", "undeliverable")),
        (json!({"kind": "error_code", "code": 131_047, "count": 1}), ("dead", "window_closed")),
        (json!({"kind": "error_code", "code": 132_015, "count": 1}), ("dead", "template_paused")),
        (json!({"kind": "error_code", "code": 131_056, "count": 1}), ("returned", "recipient_rate_limited")),
        (json!({"kind": "error_code", "code": 131_000, "count": 1}), ("returned", "meta_unavailable")),
        (json!({"kind": "http_5xx", "count": 1}), ("uncertain", "unexpected_answer")),
        (json!({"kind": "timeout_after_accept", "count": 1}), ("uncertain", "no_answer")),
    ];
    for (fault, expected) in cases {
        let (_, outcome) = house.with_fault(from, fault.clone()).await?;
        assert_eq!(reason(&outcome), expected, "{fault}");
    }
    assert_eq!(house.get(from.0, &from.1.to_string()).await?.state(), SessionState::Cold, "none of these is about the session");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_too_fast_rests_as_long_as_whatsapp_asks() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let from = house.laundry(NUMBER).await?;
    let fault = json!({"kind": "error_code", "code": 130_429, "retry_after": 2, "count": 1});
    let (id, outcome) = house.with_fault(from, fault).await?;
    assert_eq!(reason(&outcome), ("returned", "rate_limited"));
    let paused = eventually(Duration::from_secs(5), || async {
        let session = house.get(from.0, &from.1.to_string()).await?;
        ensure!(session.state() == SessionState::Paused, "{:?}", session.state());
        Ok(session)
    })
    .await?;
    assert!(paused.resume_time.is_some() && paused.state_reason.contains("slowly"), "{}", paused.state_reason);
    house.acknowledged(&id).await?;
    let session = house.get(from.0, &from.1.to_string()).await?;
    assert_eq!((session.state(), session.state_reason.as_str(), session.resume_time), (SessionState::Cold, "", None));
    assert_eq!(house.kinds(from.0).await?, ["created", "paused", "resumed"]);
    assert_eq!(house.whatsapp.count("duplicates").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_token_is_refused_stops_until_someone_sees_to_it() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let from = house.laundry(NUMBER).await?;
    let (id, outcome) = house.with_fault(from, json!({"kind": "error_code", "code": 190, "count": 1})).await?;
    assert_eq!(reason(&outcome), ("returned", "token_invalid"));
    let stopped = eventually(Duration::from_secs(5), || async {
        let session = house.get(from.0, &from.1.to_string()).await?;
        ensure!(session.state() == SessionState::Stopped, "{:?}", session.state());
        Ok(session)
    })
    .await?;
    assert!(stopped.state_reason.contains("access token"), "{}", stopped.state_reason);
    let accepted = house.whatsapp.count("accepted").await?;
    house.activate(from.0, &from.1.to_string()).await?;
    house.acknowledged(&id).await?;
    assert_eq!((accepted, house.whatsapp.count("accepted").await?), (0, 1));
    assert_eq!(house.kinds(from.0).await?, ["created", "stopped", "activated"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_through_a_session_that_is_deactivated() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let (from, other) = (house.laundry(NUMBER).await?, house.laundry("100002").await?);
    house.deactivate(from.0, &from.1.to_string()).await?;
    let waits = house.text(from, NUMBER, CUSTOMER).await?;
    let goes = house.text(other, "100002", CUSTOMER).await?;
    let (waiting, going) = (waits.message_id.clone(), goes.message_id.clone());
    house.ledger.accept(vec![waits, goes]).await;
    house.acknowledged(&going).await?;
    assert!(house.ledger.outcome(&waiting).is_none());
    house.activate(from.0, &from.1.to_string()).await?;
    house.acknowledged(&waiting).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_goes_within_the_limits_and_through_failures_of_the_ledger_once_each() -> Result<()> {
    let (house, replica) = House::start().await?;
    let mut messages = Vec::new();
    for number in ["100001", "100002", "100003"] {
        let from = house.laundry(number).await?;
        for customer in 0..70 {
            messages.push(house.text(from, number, &format!("+2011122{customer:05}")).await?);
        }
    }
    let ids: Vec<String> = messages.iter().map(|message| message.message_id.clone()).collect();
    {
        let mut books = house.ledger.books();
        books.failing.extend([("report_outcomes", 3), ("claim", 2), ("list_demand", 1), ("fence", 1)]);
        books.lost_answers = 2;
    }
    house.ledger.accept(messages).await;
    for id in &ids {
        house.acknowledged(id).await?;
    }
    assert_eq!((house.whatsapp.count("distinct").await?, house.whatsapp.count("duplicates").await?), (210, 0));
    {
        let books = house.ledger.books();
        assert_eq!(books.outcomes.len(), 210, "each once");
        assert!(books.most_in_flight <= house.config.pool.max_in_flight as usize, "{}", books.most_in_flight);
    }
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_its_pace() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let from = house.laundry_at(NUMBER, 600).await?;
    let mut messages = Vec::new();
    for customer in 0..15 {
        messages.push(house.text(from, NUMBER, &format!("+2011122{customer:05}")).await?);
    }
    let ids: Vec<String> = messages.iter().map(|message| message.message_id.clone()).collect();
    house.ledger.accept(messages).await;
    for id in &ids {
        house.acknowledged(id).await?;
    }
    let books = house.ledger.books();
    let mut times: Vec<_> = books.outcomes.iter().filter_map(|outcome| barid_proto::time(outcome.time.as_ref()?)).collect();
    times.sort_unstable();
    let took = (times[14] - times[0]).to_std()?;
    // Ten a second, of which two may go at once.
    assert!(took >= Duration::from_millis(1100), "{took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_told_to_end_finishes_what_is_under_way() -> Result<()> {
    let (house, replica) = House::start().await?;
    let from = house.laundry(NUMBER).await?;
    let message = house.text(from, NUMBER, CUSTOMER).await?;
    let id = message.message_id.clone();
    house.whatsapp.arm(json!({"kind": "delay", "delay_ms": 1000, "count": 1})).await?;
    house.ledger.accept(vec![message]).await;
    eventually(Duration::from_secs(10), || async {
        ensure!(house.whatsapp.count("accepted").await? == 1 || !house.ledger.books().claimed.is_empty(), "not under way at {}", now());
        Ok(())
    })
    .await?;
    replica.stop().await;
    assert!(matches!(house.ledger.outcome(&id), Some(Outcome::Acknowledged(_))), "its outcome is told before the end");
    let left = house.database.execute(&["SELECT count(*) FROM session_pool.replicas"]).await?;
    assert_eq!(left, "0");
    Ok(())
}
