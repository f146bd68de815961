//! Endpoints as their tenants keep them.

use std::sync::Arc;

use anyhow::Result;
use barid_proto::webhook::v1::{
    DeleteEndpointRequest, DeliveryState, Endpoint, EndpointState, ListEndpointsRequest, RotateSecretRequest, TestEndpointRequest,
    UpdateEndpointRequest,
};
use chrono::TimeDelta;
use prost_types::FieldMask;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    house::{House, on_behalf},
    receiver::{Receiver, Reply},
};

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_created_read_changed_and_deleted_by_their_tenant_alone() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let (tenant, other) = (house.tenant(), house.tenant());
    let wanted = Endpoint {
        url: receiver.url("/hook?key=very-secret"),
        display_name: " Till ".into(),
        event_types: vec!["message.sent".into(), "inbound.*".into(), "message.sent".into()],
        ..Endpoint::default()
    };
    let created = house.create(tenant, wanted).await?;
    assert!(created.id.starts_with("whe_") && created.secret.starts_with("whsec_"), "{created:?}");
    assert_eq!((created.display_name.as_str(), created.state()), ("Till", EndpointState::Enabled));
    assert_eq!(created.event_types, ["inbound.*", "message.sent"]);
    let read = house.read(tenant, &created.id).await?;
    assert_eq!(read, Endpoint { secret: String::new(), ..created.clone() }, "its secret is not shown again");

    let update = |changes: Endpoint, paths: &[&str]| UpdateEndpointRequest {
        id: created.id.clone(),
        endpoint: Some(changes),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..UpdateEndpointRequest::default()
    };
    let renamed = update(Endpoint { display_name: "Counter".into(), ..Endpoint::default() }, &[]);
    let renamed = house.endpoints().update_endpoint(on_behalf(tenant, renamed)).await?.into_inner();
    assert_eq!((renamed.display_name.as_str(), &renamed.url, renamed.secret.as_str()), ("Counter", &read.url, ""));
    let all = house.endpoints().update_endpoint(on_behalf(tenant, update(Endpoint::default(), &["event_types"]))).await?.into_inner();
    assert_eq!(all.event_types, Vec::<String>::new());
    let wrong = update(Endpoint { event_types: vec!["massage.sent".into()], ..Endpoint::default() }, &[]);
    let wrong = house.endpoints().update_endpoint(on_behalf(tenant, wrong)).await.expect_err("a typo");
    assert!(wrong.message().starts_with("endpoint.eventTypes[0]: is no type of event"), "{}", wrong.message());

    // For another tenant there is none of it.
    assert_eq!(house.read(other, &created.id).await.expect_err("not theirs").code(), Code::NotFound);
    let theirs = house.endpoints().update_endpoint(on_behalf(other, update(Endpoint::default(), &[]))).await;
    assert_eq!(theirs.expect_err("not theirs").code(), Code::NotFound);
    let delete = DeleteEndpointRequest { id: created.id.clone(), ..DeleteEndpointRequest::default() };
    let theirs = house.endpoints().delete_endpoint(on_behalf(other, delete.clone())).await;
    assert_eq!(theirs.expect_err("not theirs").code(), Code::NotFound);
    let list = house.endpoints().list_endpoints(on_behalf(other, ListEndpointsRequest::default())).await?.into_inner();
    assert_eq!(list.endpoints, []);

    house.endpoints().delete_endpoint(on_behalf(tenant, delete.clone())).await?;
    assert_eq!(house.endpoints().delete_endpoint(on_behalf(tenant, delete)).await.expect_err("gone").code(), Code::NotFound);
    let events = house.database.execute(&["SELECT string_agg(kind, ' ' ORDER BY seq) FROM webhook.events"]).await?;
    assert_eq!(events, "created updated updated deleted");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_address_nor_secret_nor_answer_stands_in_the_tables() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    receiver.script("/hook", [], Reply { body: "the-answer".into(), ..Reply::status(200) });
    let created = house.endpoint(tenant, &receiver.url("/hook?key=very-secret")).await?;
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    let delivered = house.settled(tenant, &[(DeliveryState::Delivered, 1)]).await?.remove(0);
    let shown = house.delivery(tenant, &delivered.id).await?;
    assert_eq!((shown.attempts[0].url.as_str(), shown.attempts[0].response_body.as_str()), (created.url.as_str(), "the-answer"));
    let secret = created.secret.trim_start_matches("whsec_");
    let tables = ["endpoints", "deliveries", "attempts", "lines", "events"];
    for table in tables {
        let dump = house.database.execute(&[&format!("SELECT t::text, encode(t::text::bytea, 'escape') FROM webhook.{table} t")]).await?;
        for hidden in ["very-secret", secret, "the-answer"] {
            assert!(!dump.contains(hidden), "{hidden} in {table}");
            let hex: String = hidden.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!dump.contains(&hex), "{hidden} in {table}");
        }
    }
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_at_most_twenty() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    let url = receiver.url("/hook");
    let created = futures::future::join_all((0..25).map(|_| house.endpoint(tenant, &url))).await;
    let (made, refused): (Vec<_>, Vec<_>) = created.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (20, 5));
    for refused in refused.into_iter().filter_map(Result::err) {
        assert_eq!(refused.get_details_error_info().map(|info| info.reason).as_deref(), Some("TOO_MANY_ENDPOINTS"));
    }
    house.endpoint(house.tenant(), &url).await?;
    let long = house.endpoint(house.tenant(), &receiver.url(&format!("/{}", "a".repeat(2048)))).await.expect_err("too long");
    assert!(long.message().contains("endpoint.url: has") && long.message().contains("at most 2048"), "{}", long.message());
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_for_a_day_after_a_rotation() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    let created = house.endpoint(tenant, &receiver.url("/hook")).await?;
    let rotate = || RotateSecretRequest { id: created.id.clone(), ..RotateSecretRequest::default() };
    let rotated = house.endpoints().rotate_secret(on_behalf(tenant, rotate())).await?.into_inner();
    assert!(rotated.secret.starts_with("whsec_") && rotated.secret != created.secret && rotated.old_secret_expire_time.is_some());
    assert_eq!(house.read(tenant, &created.id).await?.secret, "");
    let signed = async |count: usize| {
        house.tell(tenant, &[(house.message(), "sent")]).await?;
        let received = receiver.wait("/hook", count).await?.pop().expect("one");
        let by = [received.signed_by(&created.secret)?, received.signed_by(&rotated.secret)?];
        Ok::<_, anyhow::Error>((by, received.header("webhook-signature").split(' ').count()))
    };
    assert_eq!(signed(1).await?, ([1, 1], 2));
    house.advance(TimeDelta::hours(23));
    assert_eq!(signed(2).await?, ([1, 1], 2));
    house.advance(TimeDelta::minutes(61));
    assert_eq!(signed(3).await?, ([0, 1], 1));
    assert_eq!(house.read(tenant, &created.id).await?.old_secret_expire_time, None);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_answers_with_what_came_back() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    let endpoint = house.endpoint(tenant, &receiver.url("/hook")).await?;
    let test = || TestEndpointRequest { id: endpoint.id.clone(), ..TestEndpointRequest::default() };
    let many = Reply { headers: vec![("x-served-by", "till-7".into())], body: "é".repeat(3000), ..Reply::status(200) };
    let slow = Reply { hold: Some(Arc::new(Semaphore::new(0))), ..Reply::status(200) };
    receiver.script("/hook", [many, Reply { body: "not\0here".into(), ..Reply::status(404) }], slow);
    let worked = house.endpoints().test_endpoint(on_behalf(tenant, test())).await?.into_inner();
    let delivery = worked.delivery.expect("a delivery");
    assert!(worked.delivered && delivery.event_type == "webhook.test" && delivery.entity_id == endpoint.id);
    let attempt = &delivery.attempts[0];
    assert_eq!((attempt.number, attempt.status, attempt.error.as_str()), (1, 200, ""));
    assert_eq!(attempt.response_headers["x-served-by"], "till-7");
    assert_eq!(attempt.response_body.len(), 4096, "the first of it");
    let received = receiver.wait("/hook", 1).await?.remove(0);
    assert_eq!((received.signed_by(&endpoint.secret)?, received.body), (1, delivery.body.clone()));
    assert_eq!(attempt.request_headers["webhook-id"], delivery.event_id);

    let failed = house.endpoints().test_endpoint(on_behalf(tenant, test())).await?.into_inner();
    let delivery = failed.delivery.expect("a delivery");
    assert_eq!((failed.delivered, delivery.state(), delivery.last_status), (false, DeliveryState::Failed, 404));
    assert_eq!(delivery.attempts[0].response_body, "not\0here");
    house.advance(TimeDelta::hours(1));
    // A test is tried once, and counts for nothing.
    assert_eq!(house.read(tenant, &endpoint.id).await?.failing_since, None);
    let timed_out = house.endpoints().test_endpoint(on_behalf(tenant, test())).await?.into_inner().delivery.expect("a delivery");
    assert!(timed_out.last_error.starts_with("was sent, and no answer came"), "{}", timed_out.last_error);
    assert_eq!(receiver.received("/hook").len(), 3);
    house.stop().await;
    Ok(())
}
