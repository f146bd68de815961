//! Deadlines are kept by the one who waits and by the one who works.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use async_nats::HeaderMap;
use barid_bus::{Service, subject};
use barid_proto::template::v1::{RenderMessagesRequest, RenderMessagesResponse, renderer_service_client::RendererServiceClient};
use barid_testkit::eventually;
use tonic::{Code, Request, Response};

use crate::house::{EMPTY, House, RENDER, SOON};

/// Says when the work it belongs to was given up.
struct Working(Arc<AtomicBool>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_stops_waiting_for_one_who_died() -> Result<()> {
    let house = House::start().await?;
    // Takes calls and never answers, as a process does that was killed over them.
    let (dead, _) = house.user("template").await?;
    let _taken = dead.subscribe("rpc.*.template.>").await?;
    dead.flush().await?;
    let channel = house.bus(Service::Queue).await?.channel();

    let mut request = Request::new(RenderMessagesRequest::default());
    request.set_timeout(Duration::from_millis(200));
    let began = Instant::now();
    let error = RendererServiceClient::new(channel.clone()).render_messages(request).await.expect_err("no answer");
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error:?}");
    assert!((Duration::from_millis(190)..SOON).contains(&began.elapsed()), "took {:?}", began.elapsed());

    let began = Instant::now();
    let mut hurried = RendererServiceClient::new(channel.with_deadline(Duration::from_millis(100)));
    let error = hurried.render_messages(RenderMessagesRequest::default()).await.expect_err("no answer");
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error:?}");
    assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_stops_working_at_the_deadline() -> Result<()> {
    let mut house = House::start().await?;
    let given_up = Arc::new(AtomicBool::new(false));
    let told = given_up.clone();
    let _ = house
        .renderer(move |_| {
            let working = Working(told.clone());
            async move {
                std::future::pending::<()>().await;
                drop(working);
                Ok(Response::new(RenderMessagesResponse::default()))
            }
        })
        .await?;
    // A caller who states a deadline and does not keep it itself.
    let (patient, _) = house.user("queue").await?;
    let headers = HeaderMap::from_iter([("grpc-timeout".parse()?, "150m".into())]);
    let inbox = "inbox.queue.template.patient".to_owned();
    let request = async_nats::Request::new().headers(headers).payload(EMPTY.into()).inbox(inbox).timeout(Some(SOON));
    let answer = patient.send_request(subject::call(Service::Queue, RENDER).expect("a method"), request).await?;
    let status = answer.headers.as_ref().and_then(|headers| headers.get("grpc-status")).map(|value| value.as_str());
    assert_eq!(status, Some("4"), "DEADLINE_EXCEEDED");
    assert!(given_up.load(Ordering::SeqCst), "the work goes on");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_deadline_travels() -> Result<()> {
    let mut house = House::start().await?;
    let mut renderer = house
        .renderer(|request| async move {
            let mut response = Response::new(RenderMessagesResponse::default());
            let timeout = request.metadata().get("grpc-timeout").cloned();
            response.metadata_mut().insert("x-timeout", timeout.unwrap_or_else(|| "none".parse().expect("ASCII")));
            Ok(response)
        })
        .await?;
    let mut timeout = async |deadline: Option<Duration>| {
        let mut request = Request::new(RenderMessagesRequest::default());
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        let answer = renderer.render_messages(request).await?;
        let text = answer.metadata().get("x-timeout").expect("told").to_str()?.to_owned();
        anyhow::Ok(text)
    };
    assert_eq!(timeout(None).await?, "5000000u");
    assert_eq!(timeout(Some(Duration::from_millis(700))).await?, "700000u");
    assert_eq!(timeout(Some(Duration::from_secs(3600))).await?, "3600000m", "more microseconds than gRPC has digits for");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn work_ends_when_its_caller_is_gone_and_its_time_is_up() -> Result<()> {
    let mut house = House::start().await?;
    let given_up = Arc::new(AtomicBool::new(false));
    let told = given_up.clone();
    let mut renderer = house
        .renderer(move |_| {
            let working = Working(told.clone());
            async move {
                std::future::pending::<()>().await;
                drop(working);
                Ok(Response::new(RenderMessagesResponse::default()))
            }
        })
        .await?;
    let mut request = Request::new(RenderMessagesRequest::default());
    request.set_timeout(Duration::from_millis(300));
    let gone = tokio::time::timeout(Duration::from_millis(100), renderer.render_messages(request)).await;
    assert!(gone.is_err());
    eventually(SOON, || async {
        ensure!(given_up.load(Ordering::SeqCst), "the work goes on");
        Ok(())
    })
    .await?;
    house.stop().await;
    Ok(())
}
