//! The delivery log: finding, reading, delivering again, forgetting.

use anyhow::{Result, ensure};
use barid_domain::{Clock, TenantId};
use barid_proto::{
    timestamp,
    webhook::v1::{
        DeliveryState, DisableEndpointRequest, Endpoint, ListDeliveriesRequest, RedeliverDeliveriesRequest, RedeliverDeliveriesResponse,
    },
};
use barid_testkit::eventually;
use chrono::TimeDelta;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    house::{House, PATIENCE, on_behalf},
    receiver::{Receiver, Reply},
};

async fn redeliver(house: &House, tenant: TenantId, request: RedeliverDeliveriesRequest) -> Result<RedeliverDeliveriesResponse, Status> {
    Ok(house.log().redeliver_deliveries(on_behalf(tenant, request)).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_found_by_endpoint_state_message_and_time() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let (tenant, other) = (house.tenant(), house.tenant());
    let taking = house.endpoint(tenant, &receiver.url("/taking")).await?;
    let refusing = house.endpoint(tenant, &receiver.url("/refusing")).await?;
    receiver.script("/refusing", [], Reply::status(400));
    let (one, two) = (house.message(), house.message());
    house.tell(tenant, &[(one, "queued"), (one, "sent")]).await?;
    house.settled(tenant, &[(DeliveryState::Delivered, 2), (DeliveryState::Pending, 2)]).await?;
    let before = house.clock.now() + TimeDelta::seconds(1);
    house.advance(TimeDelta::seconds(2));
    house.tell(tenant, &[(two, "sent")]).await?;
    let find = |request: ListDeliveriesRequest| {
        let house = &house;
        async move {
            let all = house.deliveries(tenant, ListDeliveriesRequest { page_size: 1000, ..request }).await?;
            let mut found: Vec<String> = all
                .into_iter()
                .filter(|one| one.event_type.starts_with("message."))
                .map(|one| format!("{} {}", one.entity_id, one.event_type))
                .collect();
            found.reverse();
            Ok::<_, Status>(found)
        }
    };
    let of = |message: barid_domain::MessageId, kind: &str| format!("{message} message.{kind}");
    eventually(PATIENCE, || async {
        let found = find(ListDeliveriesRequest { endpoint_id: taking.id.clone(), ..Default::default() }).await?;
        ensure!(found == [of(one, "queued"), of(one, "sent"), of(two, "sent")], "{found:?}");
        Ok(())
    })
    .await?;
    eventually(PATIENCE, || async {
        let pending =
            ListDeliveriesRequest { endpoint_id: refusing.id.clone(), state: DeliveryState::Pending.into(), ..Default::default() };
        ensure!(find(pending).await?.len() == 3, "not all of them are there");
        let delivered = find(ListDeliveriesRequest { state: DeliveryState::Delivered.into(), ..Default::default() }).await?;
        ensure!(delivered.len() == 3, "{delivered:?}");
        Ok(())
    })
    .await?;
    let about = find(ListDeliveriesRequest { entity_id: two.to_string(), ..Default::default() }).await?;
    assert_eq!(about, [of(two, "sent"), of(two, "sent")]);
    let early = ListDeliveriesRequest { before: Some(timestamp(before)), ..Default::default() };
    assert_eq!(find(early).await?.len(), 4);
    let late = ListDeliveriesRequest { after: Some(timestamp(before)), ..Default::default() };
    assert_eq!(find(late).await?, [of(two, "sent"), of(two, "sent")]);
    assert_eq!(house.deliveries(other, ListDeliveriesRequest::default()).await?, []);

    // Page by page it is the same list.
    let whole = house.deliveries(tenant, ListDeliveriesRequest::default()).await?;
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListDeliveriesRequest { page_size: 2, page_token: token, ..Default::default() };
        let page = house.log().list_deliveries(on_behalf(tenant, request)).await?.into_inner();
        pages.extend(page.deliveries.into_iter().map(|delivery| delivery.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, whole.iter().map(|delivery| delivery.id.clone()).collect::<Vec<_>>());
    let theirs = house.delivery(other, &whole[0].id).await.expect_err("not theirs");
    assert_eq!(theirs.code(), Code::NotFound);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_made_again_by_id_under_the_same_webhook_id() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let (tenant, other) = (house.tenant(), house.tenant());
    let endpoint = house.endpoint(tenant, &receiver.url("/hook")).await?;
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    let delivered = house.settled(tenant, &[(DeliveryState::Delivered, 1)]).await?.remove(0);
    let again = RedeliverDeliveriesRequest {
        endpoint_id: endpoint.id.clone(),
        delivery_ids: vec![delivered.id.clone(), delivered.id.clone()],
        ..Default::default()
    };
    assert_eq!(redeliver(&house, tenant, again.clone()).await?.redelivered, 1);
    let both = house.settled(tenant, &[(DeliveryState::Delivered, 2)]).await?;
    assert!(both.iter().all(|delivery| delivery.event_id == delivered.event_id) && both[0].id != both[1].id);
    let received = receiver.wait("/hook", 2).await?;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);

    // What still waits, what is another's, and what is not there.
    receiver.script("/hook", [], Reply::status(500));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    let pending = house.settled(tenant, &[(DeliveryState::Delivered, 2), (DeliveryState::Pending, 1)]).await?.remove(0);
    let waits = RedeliverDeliveriesRequest { delivery_ids: vec![pending.id], ..again.clone() };
    let refused = redeliver(&house, tenant, waits).await.expect_err("it waits");
    assert_eq!(refused.get_details_error_info().map(|info| info.reason).as_deref(), Some("DELIVERY_PENDING"));
    assert_eq!(redeliver(&house, other, again.clone()).await.expect_err("not theirs").code(), Code::NotFound);
    let neither = RedeliverDeliveriesRequest { delivery_ids: Vec::new(), ..again.clone() };
    assert_eq!(redeliver(&house, tenant, neither).await.expect_err("neither").code(), Code::InvalidArgument);
    let both = RedeliverDeliveriesRequest { after: Some(timestamp(house.clock.now())), ..again.clone() };
    assert_eq!(redeliver(&house, tenant, both).await.expect_err("both").code(), Code::InvalidArgument);
    let disable = DisableEndpointRequest { id: endpoint.id, ..Default::default() };
    house.endpoints().disable_endpoint(on_behalf(tenant, disable)).await?;
    let refused = redeliver(&house, tenant, again).await.expect_err("disabled");
    assert_eq!(refused.get_details_error_info().map(|info| info.reason).as_deref(), Some("ENDPOINT_DISABLED"));
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_of_time_is_delivered_again_in_order() -> Result<()> {
    let receiver = Receiver::start().await?;
    let mut house = House::empty(&[&receiver]).await?;
    house.config.endpoint_concurrency = 16;
    house.replica().await?;
    let tenant = house.tenant();
    let wanted = Endpoint { url: receiver.url("/hook"), event_types: vec!["message.*".into()], ..Endpoint::default() };
    let endpoint = house.create(tenant, wanted).await?;
    let disable = DisableEndpointRequest { id: endpoint.id.clone(), ..Default::default() };
    house.endpoints().disable_endpoint(on_behalf(tenant, disable)).await?;
    // More than one call delivers again, all of it missed.
    let messages: Vec<_> = (0..600).map(|_| house.message()).collect();
    let since = house.clock.now();
    for step in ["sent", "delivered"] {
        house.tell(tenant, &messages.iter().map(|message| (*message, step)).collect::<Vec<_>>()).await?;
    }
    eventually(PATIENCE, || async {
        let skipped = house.database.execute(&["SELECT count(*) FROM webhook.deliveries WHERE state = 4"]).await?;
        ensure!(skipped == "1200", "{skipped} are skipped");
        Ok(())
    })
    .await?;
    let enable = barid_proto::webhook::v1::EnableEndpointRequest { id: endpoint.id.clone(), ..Default::default() };
    house.endpoints().enable_endpoint(on_behalf(tenant, enable)).await?;
    house.advance(TimeDelta::seconds(1));
    let until = house.clock.now();
    let range = RedeliverDeliveriesRequest {
        endpoint_id: endpoint.id.clone(),
        after: Some(timestamp(since)),
        before: Some(timestamp(until)),
        ..Default::default()
    };
    let first = redeliver(&house, tenant, range.clone()).await?;
    assert_eq!((first.redelivered, first.next_page_token.is_empty()), (1000, false));
    let rest = redeliver(&house, tenant, RedeliverDeliveriesRequest { page_token: first.next_page_token, ..range.clone() }).await?;
    assert_eq!((rest.redelivered, rest.next_page_token.as_str()), (200, ""));
    let received = receiver.wait("/hook", 1200).await?;
    for message in &messages {
        let id = message.to_string();
        let kinds = received.iter().filter(|request| request.body.contains(&id)).map(|request| request.event_type());
        assert_eq!(kinds.collect::<Result<Vec<_>>>()?, ["message.sent", "message.delivered"]);
    }
    // All of it is delivered now, and delivered ones are not asked for; nor is what lies outside of the time.
    let delivered = RedeliverDeliveriesRequest { after: Some(timestamp(until)), before: None, ..range.clone() };
    assert_eq!(redeliver(&house, tenant, delivered).await?.redelivered, 0);
    let pending = RedeliverDeliveriesRequest { states: vec![DeliveryState::Pending.into()], ..range };
    assert_eq!(redeliver(&house, tenant, pending).await.expect_err("not over").code(), Code::InvalidArgument);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_forgotten() -> Result<()> {
    let receiver = Receiver::start().await?;
    let house = House::start(&[&receiver]).await?;
    let tenant = house.tenant();
    house.endpoint(tenant, &receiver.url("/hook")).await?;
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    house.settled(tenant, &[(DeliveryState::Delivered, 1)]).await?;
    house.advance(TimeDelta::days(29));
    house.tell(tenant, &[(house.message(), "sent")]).await?;
    house.settled(tenant, &[(DeliveryState::Delivered, 2)]).await?;
    house.advance(TimeDelta::days(2));
    house.settled(tenant, &[(DeliveryState::Delivered, 1)]).await?;
    assert_eq!(house.database.execute(&["SELECT count(*) FROM webhook.attempts"]).await?, "1");
    house.stop().await;
    Ok(())
}
