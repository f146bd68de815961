//! What ends a polled stream, and what does not.

use anyhow::{Context, Result, ensure};
use barid_proto::session_pool::v1::{Pairing, PairingState, pairing_service_client::PairingServiceClient};
use barid_proto::status::reason;
use barid_testkit::eventually;
use futures::StreamExt;
use reqwest::StatusCode;
use tonic::{Code, Status, Streaming};

use crate::{
    house::{House, PATIENCE, TENANT_KEY, with_key},
    pairings::{Pairings, pairing, scan},
    polled::{next, request, watch},
};

/// A stream whose first message has come and whose next one is being waited for.
async fn opened(house: &House, pairings: &Pairings) -> Result<Streaming<Pairing>> {
    let mut client = PairingServiceClient::new(house.channel().await?);
    let mut news = client.watch_pairing(with_key(TENANT_KEY, request())).await?.into_inner();
    next(&mut news).await?.context("the first message")?;
    pairings.asked_times(2).await?;
    Ok(news)
}

async fn error(news: &mut Streaming<Pairing>) -> Result<Status> {
    let ended = tokio::time::timeout(PATIENCE * 2, news.message()).await.context("it does not end")?;
    ended.err().context("it goes on")
}

#[tokio::test]
async fn a_replica_that_goes_away_is_not_noticed() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let mut news = opened(&house, &pairings).await?;
    let mut events = watch(&house, TENANT_KEY).send().await?.bytes_stream();
    events.next().await.context("the first event")??;
    pairings.asked_times(4).await?;
    // First with an answer that says so, then without anybody to answer.
    pairings.fail(Status::unavailable("this replica goes away"));
    pool.stop().await?;
    let successor = Pairings::new();
    successor.set(pairing(1, PairingState::Starting));
    let _pool = house.session_pool(|server| successor.add_to(server)).await?;
    let asked = successor.asked_times(2).await?;
    assert!(asked.iter().all(|call| call.after == 1), "{asked:?}");
    successor.set(scan(2, "second"));
    assert_eq!(next(&mut news).await?, Some(scan(2, "second")));
    let event = tokio::time::timeout(PATIENCE, events.next()).await?.context("an event")??;
    assert!(String::from_utf8_lossy(&event).contains("id: 2"), "{event:?}");
    Ok(())
}

#[tokio::test]
async fn trouble_that_does_not_pass_is_told() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let mut news = opened(&house, &pairings).await?;
    pairings.fail(Status::unavailable("there is no replica"));
    assert_eq!(error(&mut news).await?.code(), Code::Unavailable);
    ensure!(pairings.asked().len() < 30, "it is asked at a measure: {}", pairings.asked().len());
    Ok(())
}

#[tokio::test]
async fn an_error_of_the_method_ends_the_stream_with_it() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let mut news = opened(&house, &pairings).await?;
    let response = watch(&house, TENANT_KEY).send().await?;
    pairings.asked_times(4).await?;
    pairings.fail(Status::not_found("the session was deleted"));
    let status = error(&mut news).await?;
    assert_eq!((status.code(), status.message()), (Code::NotFound, "the session was deleted"));
    let told = tokio::time::timeout(PATIENCE, response.text()).await??;
    assert!(told.contains("event: error\ndata: {\"code\":5") || told.contains("data: {\"code\":5"), "{told}");
    assert!(told.contains("event: error"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_ends_its_stream_at_once() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let mut news = opened(&house, &pairings).await?;
    house.revoke("the key of another").await;
    pairings.set(scan(2, "still there"));
    assert_eq!(next(&mut news).await?, Some(scan(2, "still there")));
    house.revoke(TENANT_KEY).await;
    let ended = tokio::time::timeout(PATIENCE, news.message()).await.context("it goes on")?;
    let status = ended.err().context("it goes on")?;
    assert_eq!((status.code(), reason(&status).as_deref()), (Code::Unauthenticated, Some("KEY_REFUSED")));
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_stops_says_so() -> Result<()> {
    let (mut house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let mut news = opened(&house, &pairings).await?;
    house.shut_down();
    let status = error(&mut news).await?;
    assert_eq!((status.code(), reason(&status).as_deref()), (Code::Unavailable, Some("STOPPING")));
    drop(news);
    house.stopped().await
}

#[tokio::test]
async fn who_goes_away_is_not_asked_for_any_more_and_leaves_a_place() -> Result<()> {
    let (house, pairings) = (House::start("limits.waiting = 1").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let client = PairingServiceClient::new(house.channel().await?);
    let full = async || client.clone().get_pairing(with_key(TENANT_KEY, request())).await.err().and_then(|status| reason(&status));

    let over_rest = watch(&house, TENANT_KEY).send().await?;
    pairings.asked_times(2).await?;
    assert_eq!(full().await.as_deref(), Some("TOO_MANY_WAITING"));
    let second = watch(&house, TENANT_KEY).send().await?;
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(over_rest);
    let mut over_grpc =
        eventually(PATIENCE, || async { Ok(client.clone().watch_pairing(with_key(TENANT_KEY, request())).await?.into_inner()) }).await?;
    next(&mut over_grpc).await?.context("the first message")?;
    pairings.asked_times(4).await?;

    assert_eq!(full().await.as_deref(), Some("TOO_MANY_WAITING"));
    drop(over_grpc);
    eventually(PATIENCE, || async {
        let full = full().await;
        ensure!(full.is_none(), "{full:?}");
        Ok(())
    })
    .await?;
    // The calls that wait answer; nobody goes on from there.
    pairings.set(scan(2, "for nobody"));
    full().await;
    assert!(pairings.asked().iter().all(|call| call.after < 2), "{:?}", pairings.asked());
    Ok(())
}
