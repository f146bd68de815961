//! What a call carries, there and back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use barid_bus::{Caller, Service, principal, subject};
use barid_proto::{
    Violations,
    access::{PRINCIPAL_KEY, Principal},
    queue::v1::{GetQueueStatusRequest, QueueStatus, queue_service_client::QueueServiceClient},
    status::reason,
    template::v1::{
        RenderMessagesRequest, RenderMessagesResponse, renderer_service_client::RendererServiceClient,
        renderer_service_server::RendererServiceServer,
    },
};
use futures::StreamExt;
use prost::Message;
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status, metadata::MetadataValue};
use tonic_types::StatusExt;

use crate::house::{EMPTY, House, Played, RENDER, SOON, queue_status, server};

#[tokio::test(flavor = "multi_thread")]
async fn metadata_travels_both_ways() -> Result<()> {
    let mut house = House::start().await?;
    let mut renderer = house
        .renderer(|request| async move {
            let mut response = Response::new(RenderMessagesResponse::default());
            for value in request.metadata().get_all("x-shop") {
                response.metadata_mut().append("x-shop-back", value.clone());
            }
            let key = request.metadata().get_bin("x-key-bin").cloned().ok_or_else(|| Status::internal("no x-key-bin"))?;
            response.metadata_mut().insert_bin("x-key-back-bin", key);
            let tenant = request.into_inner().tenant_id;
            response.metadata_mut().insert_bin("x-tenant-bin", MetadataValue::from_bytes(tenant.as_bytes()));
            Ok(response)
        })
        .await?;
    let mut request = Request::new(RenderMessagesRequest { tenant_id: "مغسلة 👋".into(), ..Default::default() });
    request.metadata_mut().append("x-shop", "one".parse()?);
    request.metadata_mut().append("x-shop", "two, three".parse()?);
    request.metadata_mut().insert_bin("x-key-bin", MetadataValue::from_bytes(&[0, 255, 10, 13]));
    let answer = renderer.render_messages(request).await?;
    let metadata = answer.metadata();
    assert_eq!(metadata.get_all("x-shop-back").iter().collect::<Vec<_>>(), ["one", "two, three"]);
    let bytes = |key| metadata.get_bin(key).and_then(|value| value.to_bytes().ok()).map(|bytes| bytes.to_vec());
    assert_eq!(bytes("x-key-back-bin"), Some(vec![0, 255, 10, 13]));
    assert_eq!(bytes("x-tenant-bin"), Some("مغسلة 👋".into()));
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_travels_with_its_details() -> Result<()> {
    let mut house = House::start().await?;
    let sentence = "لا يوجد عميل بهذا الرقم؛\nأعط رقمًا صحيحًا 👋 100%";
    let mut renderer = house
        .renderer(move |request| async move {
            match request.into_inner().tenant_id.as_str() {
                "violations" => Err(Violations::one("recipient.phone", "invalid_phone", sentence)),
                _ => {
                    let mut status = Status::new(Code::Aborted, sentence);
                    status.metadata_mut().insert("x-hint", "later".parse().expect("ASCII"));
                    Err(status)
                }
            }
        })
        .await?;
    let mut ask = async |what: &str| {
        let request = RenderMessagesRequest { tenant_id: what.into(), ..Default::default() };
        renderer.render_messages(request).await.expect_err("a status")
    };
    let plain = ask("plain").await;
    assert_eq!((plain.code(), plain.message()), (Code::Aborted, sentence));
    assert_eq!(plain.metadata().get("x-hint").map(|hint| hint.as_bytes()), Some(b"later".as_slice()));
    let violations = ask("violations").await;
    assert_eq!(violations.code(), Code::InvalidArgument);
    assert_eq!(reason(&violations).as_deref(), Some("INVALID_ARGUMENT"));
    let fields = violations.get_details_bad_request().expect("details").field_violations;
    assert_eq!((fields[0].field.as_str(), fields[0].description.contains(sentence)), ("recipient.phone", true));
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_at_once() -> Result<()> {
    let house = House::start().await?;
    let mut renderer = RendererServiceClient::new(house.bus(Service::Queue).await?.channel());
    let began = Instant::now();
    let error = renderer.render_messages(RenderMessagesRequest::default()).await.expect_err("nobody serves");
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    assert!(began.elapsed() < Duration::from_millis(500), "took {:?}", began.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_panics_fails_alone() -> Result<()> {
    let mut house = House::start().await?;
    let mut renderer = house
        .renderer(|request| async move {
            assert!(request.get_ref().tenant_id.is_empty(), "the handler panics");
            Ok(Response::new(RenderMessagesResponse::default()))
        })
        .await?;
    let bad = RenderMessagesRequest { tenant_id: "boom".into(), ..Default::default() };
    assert_eq!(renderer.render_messages(bad).await.expect_err("panicked").code(), Code::Internal);
    renderer.render_messages(RenderMessagesRequest::default()).await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_gateway_speaks_for_a_tenant() -> Result<()> {
    let mut house = House::start().await?;
    let mut renderer = house
        .renderer(|request| async move {
            let caller = request.extensions().get::<Caller>().cloned();
            let hidden = !request.metadata().contains_key(PRINCIPAL_KEY);
            let nobody = principal(&request).is_err();
            if caller == Some(Caller("queue".into())) && hidden && nobody {
                Ok(Response::new(RenderMessagesResponse::default()))
            } else {
                Err(Status::internal(format!("{caller:?}, hidden: {hidden}, nobody: {nobody}")))
            }
        })
        .await?;
    let gateway = queue_status(&mut house, |request| async move {
        let scheduled = u64::from(principal(&request)?.tenant_id == "ten_1");
        Ok(Response::new(QueueStatus { scheduled, ..Default::default() }))
    })
    .await?;

    let principal = Principal { tenant_id: "ten_1".into(), ..Default::default() };
    let bytes = MetadataValue::from_bytes(&principal.encode_to_vec());
    let mut status = Request::new(GetQueueStatusRequest::default());
    status.metadata_mut().insert_bin(PRINCIPAL_KEY, bytes.clone());
    assert_eq!(QueueServiceClient::new(gateway.channel()).get_queue_status(status).await?.into_inner().scheduled, 1);

    let mut render = Request::new(RenderMessagesRequest::default());
    render.metadata_mut().insert_bin(PRINCIPAL_KEY, bytes);
    renderer.render_messages(render).await?;

    let mut stranger = RendererServiceClient::new(gateway.channel());
    let error = stranger.render_messages(RenderMessagesRequest::default()).await.expect_err("internal");
    assert_eq!((error.code(), reason(&error).as_deref()), (Code::PermissionDenied, Some("CALLER_NOT_ALLOWED")));
    let mut stranger = QueueServiceClient::new(house.bus(Service::Template).await?.channel());
    let error = stranger.get_queue_status(GetQueueStatusRequest::default()).await.expect_err("not the gateway");
    assert_eq!(error.code(), Code::PermissionDenied);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_answers_what_it_was_asked() -> Result<()> {
    // More calls than are worked on at once: the rest waits on the connection of the service.
    const CALLS: usize = 700;
    let mut house = House::start().await?;
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let renderer = Played::new(move |_| {
        let gate = gate.clone();
        async move {
            let _open = gate.acquire().await.map_err(|_| Status::internal("closed"))?;
            Ok(Response::new(RenderMessagesResponse::default()))
        }
    });
    let bus = house.bus(Service::Template).await?;
    let mut heard = bus.notices(Service::Queue, "settled").await?;
    house.serve(server(bus).add(RendererServiceServer::new(renderer))).await;

    let (caller, _) = house.user("queue").await?;
    let mut answers = caller.subscribe("inbox.queue.template.calls").await?;
    for _ in 0..CALLS {
        let subject = subject::call(Service::Queue, RENDER).expect("a method");
        caller.publish_with_reply(subject, "inbox.queue.template.calls", EMPTY.into()).await?;
    }
    // The broker keeps the order of a connection: once this is heard, every call has reached the service.
    caller.publish(subject::notice(Service::Queue, "settled"), Default::default()).await?;
    tokio::time::timeout(SOON, heard.next()).await?;
    house.shut_down();
    opened.add_permits(CALLS);
    for answered in 0..CALLS {
        tokio::time::timeout(SOON, answers.next()).await.map_err(|_| anyhow::anyhow!("only {answered} calls were answered"))?;
    }
    house.stop().await;
    Ok(())
}
