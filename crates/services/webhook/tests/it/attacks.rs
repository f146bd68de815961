//! What must never be reached is not reached.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use barid_domain::TenantId;
use barid_egress::Resolve;
use barid_proto::webhook::v1::{DeliveryState, Endpoint, TestEndpointRequest, TestEndpointResponse, UpdateEndpointRequest};
use chrono::TimeDelta;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tonic::Code;

use crate::{
    house::{House, on_behalf},
    receiver::{Receiver, Reply},
};

/// The names of a zone whose owner means harm: the answers to one question after the other, and the last one from then on.
#[derive(Clone, Default)]
struct Zone {
    answers: Arc<Mutex<Vec<Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Zone {
    fn of(answers: &[&str]) -> Self {
        let zone = Self::default();
        zone.answer(answers);
        zone
    }

    fn answer(&self, answers: &[&str]) {
        *self.answers.lock() = answers.iter().map(|ip| vec![ip.parse().expect("an address")]).collect();
    }
}

impl Resolve for Zone {
    fn resolve(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

async fn test(house: &House, tenant: TenantId, id: &str) -> Result<TestEndpointResponse> {
    let request = TestEndpointRequest { id: id.into(), ..TestEndpointRequest::default() };
    Ok(house.endpoints().test_endpoint(on_behalf(tenant, request)).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_dns_rebinding_reaches_nothing() -> Result<()> {
    let friend = Receiver::start().await?;
    let port = friend.address.port();
    let stranger = Receiver::on([127, 0, 0, 2], port).await?;
    let zone = Zone::of(&["127.0.0.1"]);
    let mut house = House::empty(&[&friend]).await?;
    house.replica_with(zone.clone()).await?;
    let tenant = house.tenant();
    friend.script("/hook", [], Reply { headers: vec![("connection", "close".into())], ..Reply::status(200) });
    let endpoint = house.endpoint(tenant, &format!("http://shop.example:{port}/hook")).await?;
    assert!(test(&house, tenant, &endpoint.id).await?.delivered, "at first it is where it may be");

    // Whoever resolves once to judge and once more to connect would go to the second address.
    zone.answer(&["127.0.0.2"]);
    let tried = test(&house, tenant, &endpoint.id).await?;
    let delivery = tried.delivery.unwrap_or_default();
    assert!(!tried.delivered && delivery.last_error.contains("a loopback address"), "{}", delivery.last_error);
    // Neither is it reached when an event is delivered: the name is judged at each connection, not when the endpoint was made.
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    let waiting = house.tried(tenant, 1).await?;
    assert_eq!(waiting.last_status, delivery.last_status);
    for answer in ["10.0.0.7", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:127.0.0.2", "::ffff:169.254.169.254", "64:ff9b::7f00:2"] {
        zone.answer(&[answer]);
        let delivery = test(&house, tenant, &endpoint.id).await?.delivery.unwrap_or_default();
        assert_eq!((delivery.last_status, delivery.state()), (0, DeliveryState::Failed), "{answer}");
        assert!(delivery.last_error.contains("could not be sent: url: shop.example is"), "{answer}: {}", delivery.last_error);
    }
    assert!(stranger.received("/hook").is_empty() && friend.received("/hook").len() == 1);
    assert!(zone.asked.load(Ordering::SeqCst) >= 9, "each connection asks anew");
    // It may come back.
    zone.answer(&["127.0.0.1"]);
    house.advance(TimeDelta::seconds(6));
    house.settled(tenant, &[(DeliveryState::Delivered, 2), (DeliveryState::Failed, 8)]).await?;
    assert!(stranger.received("/hook").is_empty());
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_redirects_are_not_followed() -> Result<()> {
    let friend = Receiver::start().await?;
    let stranger = Receiver::on([127, 0, 0, 2], friend.address.port()).await?;
    let house = House::start(&[&friend]).await?;
    let tenant = house.tenant();
    let endpoint = house.endpoint(tenant, &friend.url("/hook")).await?;
    for (status, location) in [
        (301, stranger.url("/secret")),
        (302, "http://169.254.169.254/latest/meta-data/".into()),
        (303, friend.url("/elsewhere")),
        (307, stranger.url("/secret")),
        (308, "/elsewhere".into()),
    ] {
        friend.script("/hook", [], Reply { headers: vec![("location", location.clone())], ..Reply::status(status) });
        let tried = test(&house, tenant, &endpoint.id).await?;
        let delivery = tried.delivery.unwrap_or_default();
        assert_eq!((tried.delivered, delivery.last_status), (false, u32::from(status)), "a redirect is an answer, and none that takes it");
        assert_eq!(delivery.attempts[0].response_headers["location"], location);
    }
    assert!(stranger.received("/secret").is_empty() && friend.received("/elsewhere").is_empty());
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_ipv6_mapped_and_metadata_addresses_are_refused() -> Result<()> {
    let friend = Receiver::start().await?;
    let port = friend.address.port();
    let stranger = Receiver::on([127, 0, 0, 2], port).await?;
    let house = House::start(&[&friend]).await?;
    let tenant = house.tenant();
    let endpoint = house.endpoint(tenant, &friend.url("/hook")).await?;
    for host in [
        "127.0.0.2",
        "2130706434",
        "0x7f.0.0.2",
        "127.2",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "[::127.0.0.2]",
        "[64:ff9b::127.0.0.2]",
        "[2002:7f00:2::]",
        "[::ffff:169.254.169.254]",
        "169.254.169.254",
        "2852039166",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "[fe80::1]",
        "[fc00::1]",
        "0.0.0.0",
    ] {
        let url = format!("http://{host}:{port}/hook");
        let refused = house.endpoint(tenant, &url).await.expect_err(host);
        assert_eq!(refused.code(), Code::InvalidArgument, "{host}");
        assert!(refused.message().starts_with("endpoint.url: "), "{host}: {}", refused.message());
        // Nor by the back door of a change.
        let changes = Endpoint { url, ..Endpoint::default() };
        let request = UpdateEndpointRequest { id: endpoint.id.clone(), endpoint: Some(changes), ..UpdateEndpointRequest::default() };
        let refused = house.endpoints().update_endpoint(on_behalf(tenant, request)).await.expect_err(host);
        assert_eq!(refused.code(), Code::InvalidArgument, "{host}");
    }
    // A name of the machine's own is judged when it is resolved: here even by the machine's resolver, as nothing else is allowed.
    assert_eq!(house.read(tenant, &endpoint.id).await?.url, friend.url("/hook"));
    assert!(stranger.received("/hook").is_empty() && friend.received("/hook").is_empty());
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_allow_list_loopback_is_refused_by_the_machines_resolver_too() -> Result<()> {
    let friend = Receiver::start().await?;
    let mut house = House::empty(&[&friend]).await?;
    house.config.egress.allow = Vec::new();
    house.replica().await?;
    let tenant = house.tenant();
    let refused = house.endpoint(tenant, &friend.url("/hook")).await.expect_err("loopback");
    assert!(refused.message().contains("a loopback address"), "{}", refused.message());
    let endpoint = house.endpoint(tenant, &format!("http://localhost:{}/hook", friend.address.port())).await?;
    let tried = test(&house, tenant, &endpoint.id).await?;
    assert!(!tried.delivered && tried.delivery.is_some_and(|delivery| delivery.last_error.contains("a loopback address")));
    assert!(friend.received("/hook").is_empty());
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_and_other_ports_need_the_operators_leave() -> Result<()> {
    let friend = Receiver::start().await?;
    let mut house = House::empty(&[&friend]).await?;
    house.config.egress.allow_http = false;
    house.replica().await?;
    let tenant = house.tenant();
    let refused = house.endpoint(tenant, &friend.url("/hook")).await.expect_err("http");
    assert!(refused.message().contains("`http:` is not used; use https:"), "{}", refused.message());
    let refused = house.endpoint(tenant, "https://shop.example:6379/").await.expect_err("a port of Redis");
    assert!(refused.message().contains("port 6379 is not"), "{}", refused.message());
    let refused = house.endpoint(tenant, "https://user:password@shop.example/").await.expect_err("credentials");
    assert!(refused.message().contains("names a user or a password") && !refused.message().contains("user:password"));
    house.stop().await;
    Ok(())
}
