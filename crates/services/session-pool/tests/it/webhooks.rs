use std::time::Duration;

use anyhow::{Result, ensure};
use barid_domain::TenantId;
use barid_proto::{
    queue::v1::{ReceiptKind, inbound_content::Kind, media_content::Kind as FileKind},
    session_pool::v1::{FetchMediaRequest, IngestWebhookRequest, SessionState, pool_service_client::PoolServiceClient},
};
use barid_testkit::eventually;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::{
    house::{House, session},
    whatsapp::APP,
};

const CUSTOMER: &str = "201112223334";

impl House {
    async fn ingest(&self, app: &str, body: &Value) -> Result<u32, Status> {
        let request = IngestWebhookRequest { app: app.into(), body: body.to_string().into_bytes().into() };
        Ok(self.pool().ingest_webhook(request).await?.into_inner().stored)
    }

    async fn inbox(&self) -> Result<String> {
        self.database.execute(&["SELECT count(*) FROM session_pool.webhook_inbox"]).await
    }
}

fn post(changes: Vec<Value>) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "waba", "changes": changes}]})
}

fn change(number: &str, key: &str, items: Value) -> Value {
    let metadata = json!({"phone_number_id": number, "display_phone_number": "2012345678"});
    json!({"field": "messages", "value": {"metadata": metadata, key: items}})
}

fn status(id: &str, kind: &str) -> Value {
    json!({"id": id, "status": kind, "timestamp": "1700000000", "recipient_id": CUSTOMER, "biz_opaque_callback_data": "msg_1"})
}

fn wrote(id: &str) -> Value {
    json!([{"id": id, "from": CUSTOMER, "timestamp": "1700000000", "type": "text", "text": {"body": "شكراً"}}])
}

#[tokio::test(flavor = "multi_thread")]
async fn only_news_of_numbers_registered_with_the_app_are_kept() -> Result<()> {
    let (house, replica) = House::start().await?;
    let (laundry, bakery) = (house.tenant(), house.tenant());
    let (clean, bread) = (house.create(laundry, session("100001")).await?, house.create(bakery, session("100002")).await?);
    let gone = house.create(laundry, session("100003")).await?;
    house.delete(laundry, &gone.id).await?;
    let body = post(vec![
        change("100001", "statuses", json!([status("wamid.1", "sent"), status("wamid.1", "delivered")])),
        change("100002", "messages", wrote("wamid.2")),
        change("100003", "statuses", json!([status("wamid.3", "sent")])),
        change("999", "statuses", json!([status("wamid.4", "sent")])),
        json!({"field": "account_update", "value": {"event": "VERIFIED_ACCOUNT"}}),
    ]);
    assert_eq!(house.ingest("another-app", &body).await?, 0);
    assert_eq!(house.ingest(APP, &body).await?, 2);
    eventually(Duration::from_secs(10), || async {
        ensure!(house.inbox().await? == "0", "the inbox is not empty");
        Ok(())
    })
    .await?;
    {
        let books = house.ledger.books();
        let receipts: Vec<_> = books.receipts.iter().map(|receipt| (receipt.session_id.as_str(), receipt.kind())).collect();
        assert_eq!(receipts, [(clean.id.as_str(), ReceiptKind::Sent), (clean.id.as_str(), ReceiptKind::Delivered)]);
        assert_eq!((books.receipts[0].provider_id.as_str(), books.receipts[0].message_id.as_str()), ("wamid.1", "msg_1"));
        let [inbound] = books.inbound.as_slice() else { panic!("one customer wrote") };
        assert_eq!((&inbound.session_id, &inbound.tenant_id), (&bread.id, &bakery.to_string()));
        assert_eq!(inbound.from, format!("+{CUSTOMER}"));
    }
    assert!(house.get(bakery, &bread.id).await?.last_used_time.is_some(), "a business that is written to is used");
    assert!(house.get(laundry, &clean.id).await?.last_used_time.is_none(), "receipts come by themselves");
    for wrong in [json!("text"), json!({"object": "page", "entry": []}), json!({})] {
        assert_eq!(house.ingest(APP, &wrong).await.expect_err("no webhook").code(), Code::InvalidArgument);
    }
    replica.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_waits_sealed_for_the_ledger_and_keeps_its_order() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let tenant = house.tenant();
    house.create(tenant, session("100001")).await?;
    house.ledger.books().failing.insert("report_receipts", 1);
    house.ledger.books().failing.insert("report_inbound", 1);
    for kind in ["sent", "delivered", "read"] {
        assert_eq!(house.ingest(APP, &post(vec![change("100001", "statuses", json!([status("wamid.1", kind)]))])).await?, 1);
    }
    assert_eq!(house.ingest(APP, &post(vec![change("100001", "messages", wrote("wamid.2"))])).await?, 1);
    let rows = house.database.execute(&["SELECT w::text FROM session_pool.webhook_inbox w"]).await?;
    assert!(!rows.is_empty(), "the ledger has not taken them");
    for clear in [CUSTOMER, "شكراً", "wamid", "whatsapp"] {
        assert!(!rows.contains(clear) && !rows.contains(&hex::encode(clear)), "{clear} shows");
    }
    eventually(Duration::from_secs(30), || async {
        ensure!(house.inbox().await? == "0", "the inbox is not empty");
        Ok(())
    })
    .await?;
    let books = house.ledger.books();
    let mut kinds: Vec<_> = books.receipts.iter().map(|receipt| receipt.kind()).collect();
    kinds.dedup();
    // A batch that failed half-way is told again from its beginning.
    assert!(kinds.ends_with(&[ReceiptKind::Sent, ReceiptKind::Delivered, ReceiptKind::Read]), "{kinds:?}");
    assert!(!books.inbound.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_is_told_later_counts_for_the_session_too() -> Result<()> {
    let (house, _replica) = House::start().await?;
    let tenant = house.tenant();
    let id = house.create(tenant, session("100001")).await?.id;
    let mut failed = status("wamid.1", "failed");
    failed["errors"] = json!([{"code": 131_042, "title": "Business eligibility payment issue"}]);
    let mut nowhere = status("wamid.2", "failed");
    nowhere["errors"] = json!([{"code": 131_026, "title": "Message undeliverable"}]);
    house.ingest(APP, &post(vec![change("100001", "statuses", json!([failed, nowhere]))])).await?;
    let stopped = eventually(Duration::from_secs(10), || async {
        let session = house.get(tenant, &id).await?;
        ensure!(session.state() == SessionState::Stopped, "{:?}", session.state());
        Ok(session)
    })
    .await?;
    assert!(stopped.state_reason.contains("payment"), "{}", stopped.state_reason);
    let books = house.ledger.books();
    let told: Vec<_> = books.receipts.iter().map(|receipt| (receipt.kind(), receipt.reason.as_str(), receipt.retry)).collect();
    assert_eq!(told, [(ReceiptKind::Failed, "billing", true), (ReceiptKind::Failed, "undeliverable", false)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_took_and_did_not_bring_is_brought_as_soon_as_its_death_is_known() -> Result<()> {
    let mut house = House::build().await?;
    house.config.pool.heartbeat_ttl = Duration::from_secs(3);
    let first = house.replica().await?;
    let tenant = house.tenant();
    house.create(tenant, session("100001")).await?;
    house.ledger.books().is_stuck = true;
    house.ingest(APP, &post(vec![change("100001", "statuses", json!([status("wamid.1", "read")]))])).await?;
    let taken = "SELECT count(*) FROM session_pool.webhook_inbox WHERE due_at > now() + interval '20 seconds'";
    eventually(Duration::from_secs(10), || async {
        ensure!(house.database.execute(&[taken]).await? == "1", "nobody took it");
        Ok(())
    })
    .await?;
    first.kill();
    house.ledger.books().is_stuck = false;
    let second = house.replica().await?;
    eventually(Duration::from_secs(10), || async {
        let inbox = house.inbox().await?;
        let told = house.ledger.books().receipts.len();
        ensure!((told, inbox.as_str()) == (1, "0"), "{told} told, {inbox} left");
        Ok(())
    })
    .await?;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_live_replica_is_bringing_is_nobody_elses() -> Result<()> {
    let mut house = House::build().await?;
    house.config.pool.heartbeat_ttl = Duration::from_millis(900);
    let _first = house.replica().await?;
    let tenant = house.tenant();
    house.create(tenant, session("100001")).await?;
    house.ledger.books().is_stuck = true;
    house.ingest(APP, &post(vec![change("100001", "statuses", json!([status("wamid.1", "read")]))])).await?;
    let taker = "SELECT taken_by, tries FROM session_pool.webhook_inbox WHERE taken_by IS NOT NULL";
    let taken = eventually(Duration::from_secs(10), || async {
        let taken = house.database.execute(&[taker]).await?;
        ensure!(!taken.is_empty(), "nobody took it");
        Ok(taken)
    })
    .await?;
    let _second = house.replica().await?;
    let changes = eventually(Duration::from_secs(2), || async {
        let now = house.database.execute(&[taker]).await?;
        ensure!(now != taken, "it stays where it is");
        Ok(())
    });
    assert!(changes.await.is_err(), "it was taken from a replica that is alive");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_customers_send_to_a_number_on_the_cloud_api_is_kept_and_their_files_are_brought() -> Result<()> {
    let (house, replica) = House::start().await?;
    let (tenant, id) = house.laundry("100001").await?;
    let said = [
        json!({"type": "document", "document": {"data": "JVBERi0=", "mime_type": "application/pdf", "filename": "i.pdf", "caption": "invoice"}}),
        json!({"type": "audio", "audio": {"data": "T2dnUw==", "mime_type": "audio/ogg", "voice": true}}),
        json!({"type": "location", "location": {"latitude": 30.5, "longitude": 31.25, "name": "Shop"}}),
        json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "Ali"}, "phones": [{"phone": "+20 100 123 4567"}]}]}),
        json!({"type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": "👍"}}),
        json!({"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "wash", "title": "Wash"}}}),
        json!({"type": "order", "order": {"catalog_id": "c", "product_items": [{"product_retailer_id": "p", "quantity": 2}]}}),
        json!({"type": "brand_new", "brand_new": {}}),
    ];
    for message in said {
        let body = json!({"to": "100001", "message": message, "reply_to": "wamid.0"});
        house.whatsapp.control("POST", &format!("/sim/phones/{CUSTOMER}/messages"), body).await?;
    }
    let heard = eventually(Duration::from_secs(10), || async {
        let heard = house.ledger.books().inbound.clone();
        ensure!(heard.len() == 8, "{} came", heard.len());
        Ok(heard)
    })
    .await?;
    assert!(
        heard.iter().all(|one| !one.provider_id.is_empty() && one.context_provider_id == "wamid.0" && one.session_id == id.to_string())
    );
    let kinds: Vec<Kind> = heard.into_iter().filter_map(|one| one.content?.kind).collect();
    let [
        Kind::Media(invoice),
        Kind::Media(voice),
        Kind::Location(at),
        Kind::Contacts(cards),
        Kind::Reaction(thumb),
        Kind::Choice(choice),
        Kind::Order(order),
        Kind::Unsupported(new),
    ] = kinds.as_slice()
    else {
        panic!("{kinds:?}")
    };
    let told = (invoice.kind(), invoice.caption.as_str(), invoice.filename.as_str(), voice.kind());
    assert_eq!(told, (FileKind::Document, "invoice", "i.pdf", FileKind::Voice));
    assert_eq!((at.latitude, at.longitude, at.name.as_str()), (30.5, 31.25, "Shop"));
    assert_eq!((cards.contacts[0].name.as_str(), cards.contacts[0].phones[0].as_str()), ("Ali", "+20 100 123 4567"));
    assert_eq!((thumb.provider_id.as_str(), choice.id.as_str(), order.order_id.as_str(), order.items), ("wamid.1", "wash", "c", 1));
    assert_eq!(new.kind, "brand_new");

    let fetch = async |tenant: TenantId, pointer: &[u8]| {
        let request = FetchMediaRequest { tenant_id: tenant.to_string(), session_id: id.to_string(), pointer: pointer.to_vec(), offset: 0 };
        PoolServiceClient::new(house.queue.channel()).fetch_media(request).await
    };
    for (pointer, bytes) in [(&invoice.pointer, "%PDF-"), (&voice.pointer, "OggS"), (&invoice.pointer, "%PDF-")] {
        let part = fetch(tenant, pointer).await?.into_inner();
        assert_eq!((part.data.as_ref(), part.total_size), (bytes.as_bytes(), bytes.len() as u64));
    }
    let gone = fetch(tenant, br#"{"meta_file_id":"5"}"#).await.expect_err("Meta has no such file");
    assert_eq!(gone.code(), Code::NotFound);
    let foreign = fetch(house.tenant(), br#"{"meta_file_id":"5"}"#).await.expect_err("another tenant's session");
    assert_eq!(foreign.code(), Code::FailedPrecondition);
    replica.stop().await;
    Ok(())
}
