//! A stream that is made of a unary method: what it tells, and what it asks.

use anyhow::{Context, Result, ensure};
use barid_proto::session_pool::v1::{GetPairingRequest, Pairing, PairingState, pairing_service_client::PairingServiceClient};
use futures::StreamExt;
use reqwest::StatusCode;
use tonic::Code;

use crate::{
    house::{House, ORGANISATION_KEY, PATIENCE, PLATFORM_KEY, TENANT_KEY, with_key},
    pairings::{Pairings, SESSION, pairing, scan},
};

pub fn request() -> GetPairingRequest {
    GetPairingRequest { id: SESSION.to_owned(), ..GetPairingRequest::default() }
}

/// The next message of a stream.
pub async fn next(news: &mut tonic::Streaming<Pairing>) -> Result<Option<Pairing>> {
    Ok(tokio::time::timeout(PATIENCE, news.message()).await.context("nothing came")??)
}

/// The rest of a response as text, up to its end.
pub async fn text(response: reqwest::Response) -> Result<String> {
    Ok(tokio::time::timeout(PATIENCE, response.text()).await.context("it does not end")??)
}

pub fn watch(house: &House, key: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new().get(format!("{}/v1/sessions/{SESSION}/pairing:watch", house.url)).bearer_auth(key)
}

#[tokio::test]
async fn every_change_is_told_once_and_the_last_one_ends_the_stream() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let mut call = with_key(TENANT_KEY, request());
    call.set_timeout(PATIENCE * 6);
    let mut news = PairingServiceClient::new(house.channel().await?).watch_pairing(call).await?.into_inner();
    assert_eq!(next(&mut news).await?, Some(pairing(1, PairingState::Starting)));
    pairings.asked_times(2).await?;
    // The long poll comes back empty: nobody hears of it.
    pairings.nudge();
    pairings.asked_times(3).await?;
    pairings.set(scan(2, "first"));
    assert_eq!(next(&mut news).await?, Some(scan(2, "first")));
    pairings.asked_times(4).await?;
    pairings.set(pairing(5, PairingState::Paired));
    assert_eq!(next(&mut news).await?, Some(pairing(5, PairingState::Paired)));
    assert_eq!(next(&mut news).await?, None);

    let asked = pairings.asked();
    assert_eq!(asked.iter().map(|call| call.after).collect::<Vec<_>>(), [0, 1, 1, 2]);
    assert!(asked.iter().all(|call| call.tenant == house.tenant.to_string()));
    // The caller's deadline is the stream's, and each call has its own.
    assert!(asked.iter().all(|call| call.timeout == "25000000u"), "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn server_sent_events_resume_at_the_revision_that_is_known() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    pairings.set(scan(7, "first"));
    let response = watch(&house, ORGANISATION_KEY).query(&[("tenantId", house.tenant.to_string())]).send().await?;
    assert_eq!((response.status(), &response.headers()["content-type"]), (StatusCode::OK, &"text/event-stream".parse()?));
    pairings.asked_times(2).await?;
    pairings.set(pairing(8, PairingState::Failed));
    let told = text(response).await?;
    let events: Vec<&str> = told.split("\n\n").filter(|event| !event.is_empty()).collect();
    ensure!(events.len() == 2, "{told}");
    let lines = |event: &str| -> Result<(String, String, serde_json::Value)> {
        let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned());
        let data = line("data:").context("data")?;
        Ok((line("event:").context("a name")?, line("id:").context("an id")?, serde_json::from_str(&data)?))
    };
    let (name, id, data) = lines(events[0])?;
    assert_eq!((name.as_str(), id.as_str(), data["qr"].as_str(), data["revision"].as_str()), ("pairing", "7", Some("first"), Some("7")));
    let (name, id, data) = lines(events[1])?;
    assert_eq!((name.as_str(), id.as_str(), data["state"].as_str()), ("pairing", "8", Some("PAIRING_STATE_FAILED")));

    // Who knows the last but one hears the last; who knows the last is told not to come again.
    let resumed = watch(&house, TENANT_KEY).query(&[("afterRevision", "3")]).header("Last-Event-ID", "7").send().await?;
    assert!(text(resumed).await?.contains("id: 8"));
    assert_eq!(pairings.asked().last().map(|call| call.after), Some(7));
    let known = watch(&house, TENANT_KEY).header("Last-Event-ID", "8").send().await?;
    assert_eq!((known.status(), text(known).await?.as_str()), (StatusCode::NO_CONTENT, ""));
    let nonsense = watch(&house, TENANT_KEY).header("Last-Event-ID", "evt_1").send().await?;
    assert_eq!(nonsense.status(), StatusCode::BAD_REQUEST);
    Ok(())
}

#[tokio::test]
async fn a_stream_opens_although_there_is_no_news_yet() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let known = GetPairingRequest { after_revision: 1, ..request() };
    let mut client = PairingServiceClient::new(house.channel().await?);
    let mut news = tokio::time::timeout(PATIENCE, client.watch_pairing(with_key(TENANT_KEY, known))).await??.into_inner();
    let response = watch(&house, TENANT_KEY).query(&[("afterRevision", "1")]).send();
    let response = tokio::time::timeout(PATIENCE, response).await.context("the stream does not open")??;
    pairings.set(pairing(2, PairingState::Paired));
    assert_eq!(next(&mut news).await?.context("news")?.revision, 2);
    assert!(text(response).await?.contains("id: 2"));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_from_the_start_is_the_error_of_the_call() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let mut client = PairingServiceClient::new(house.channel().await?);
    let mut refused = async |key: &str, request| match client.watch_pairing(with_key(key, request)).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    };
    assert_eq!(refused(TENANT_KEY, request()).await, Code::Unavailable, "nobody is there");
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let other = GetPairingRequest { id: "ses_other".to_owned(), ..request() };
    assert_eq!(refused(TENANT_KEY, other).await, Code::NotFound);
    assert_eq!(refused("no key", request()).await, Code::Unauthenticated);
    assert_eq!(refused(ORGANISATION_KEY, request()).await, Code::InvalidArgument, "no tenant is named");
    assert_eq!(refused(PLATFORM_KEY, request()).await, Code::PermissionDenied);
    let foreign = GetPairingRequest { tenant_id: "ten_01h455vb4pex5vsknk084sn02q".to_owned(), ..request() };
    assert_eq!(refused(TENANT_KEY, foreign).await, Code::NotFound);
    let response = watch(&house, "no key").send().await?;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let path = format!("{}/v1/sessions/ses_other/pairing:watch", house.url);
    let response = reqwest::Client::new().get(path).bearer_auth(TENANT_KEY).send().await?;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(pairings.asked(), [], "none of them was asked on behalf of anybody");
    Ok(())
}

#[tokio::test]
async fn the_unary_method_may_wait_as_long_as_it_says() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let mut client = PairingServiceClient::new(house.channel().await?);
    client.get_pairing(with_key(TENANT_KEY, request())).await?;
    let mut hurried = with_key(TENANT_KEY, request());
    hurried.set_timeout(PATIENCE / 2);
    client.get_pairing(hurried).await?;
    let timeouts: Vec<String> = pairings.asked().into_iter().map(|call| call.timeout).collect();
    assert_eq!(timeouts, ["25000000u", "5000000u"], "its callers may want it sooner");
    let mut events = watch(&house, TENANT_KEY).send().await?.bytes_stream();
    let first = tokio::time::timeout(PATIENCE, events.next()).await?.context("an event")??;
    assert!(first.starts_with(b"data: {"), "{first:?}");
    Ok(())
}
