//! What is too large is said, at once and by whoever sees it first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use barid_bus::Channel;
use barid_proto::template::v1::{
    RenderFailure, RenderMessagesRequest, RenderMessagesResponse, RenderOutcome, render_outcome::Outcome,
    renderer_service_client::RendererServiceClient,
};
use tonic::{Code, IntoRequest, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::house::House;

/// Fits with room for headers into the broker's four megabytes.
const LARGE: usize = 4_000_000;
const TOO_LARGE: usize = 4_194_304;

/// A renderer that does what the tenant's id says, and how often it was called.
async fn house() -> Result<(House, RendererServiceClient<Channel>, Arc<AtomicUsize>)> {
    let mut house = House::start().await?;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let renderer = house
        .renderer(move |request| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let (what, size) = request.get_ref().tenant_id.split_once(' ').unwrap_or_default();
                let size = size.trim().parse().unwrap_or_default();
                match what {
                    "answer" => {
                        let failure = RenderFailure { description: "a".repeat(size), ..Default::default() };
                        let outcomes = vec![RenderOutcome { outcome: Some(Outcome::Failure(failure)) }];
                        Ok(Response::new(RenderMessagesResponse { outcomes }))
                    }
                    "message" => Err(Status::not_found("ع".repeat(size))),
                    "details" => {
                        let details = ErrorDetails::with_bad_request_violation("items", "a".repeat(size));
                        Err(Status::with_error_details(Code::InvalidArgument, "too much to say", details))
                    }
                    "metadata" => {
                        let mut response = Response::new(RenderMessagesResponse::default());
                        response.metadata_mut().insert("x-long", "a".repeat(size).parse().expect("ASCII"));
                        Ok(response)
                    }
                    _ => Ok(Response::new(RenderMessagesResponse::default())),
                }
            }
        })
        .await?;
    Ok((house, renderer, calls))
}

/// Code and sentence, which must have come long before the deadline.
async fn ask(
    renderer: &mut RendererServiceClient<Channel>,
    what: impl IntoRequest<RenderMessagesRequest>,
) -> Result<usize, (Code, String)> {
    let began = Instant::now();
    let answer = renderer.render_messages(what.into_request()).await;
    assert!(began.elapsed() < Duration::from_secs(3), "took {:?}: {:?}", began.elapsed(), answer.map(drop));
    let answer = answer.map_err(|status| (status.code(), status.message().to_owned()))?.into_inner();
    Ok(answer.outcomes.into_iter().map(|outcome| format!("{outcome:?}").len()).sum())
}

fn text(tenant_id: impl Into<String>) -> RenderMessagesRequest {
    RenderMessagesRequest { tenant_id: tenant_id.into(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_not_sent() -> Result<()> {
    let (house, mut renderer, calls) = house().await?;
    assert_eq!(ask(&mut renderer, text("a".repeat(LARGE))).await, Ok(0));
    let (code, message) = ask(&mut renderer, text("a".repeat(TOO_LARGE))).await.expect_err("too large");
    assert_eq!(code, Code::ResourceExhausted);
    assert!(message.contains("smaller parts"), "{message}");

    let mut crammed = Request::new(text("a".repeat(LARGE)));
    crammed.metadata_mut().insert("x-long", "a".repeat(300_000).parse()?);
    assert_eq!(ask(&mut renderer, crammed).await.expect_err("metadata counts, too").0, Code::ResourceExhausted);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(ask(&mut renderer, text("")).await, Ok(0), "the connection still works");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_an_error() -> Result<()> {
    let (house, mut renderer, _) = house().await?;
    assert!(ask(&mut renderer, text(format!("answer {LARGE}"))).await.is_ok_and(|size| size > LARGE));
    for what in ["answer", "metadata"] {
        let (code, message) = ask(&mut renderer, text(format!("{what} {TOO_LARGE}"))).await.expect_err("too large");
        assert_eq!(code, Code::ResourceExhausted, "{what}");
        assert!(message.contains("ask for less"), "{message}");
    }
    assert_eq!(ask(&mut renderer, text("")).await, Ok(0), "the connection still works");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_with_too_much_to_say_keeps_its_code() -> Result<()> {
    let (house, mut renderer, _) = house().await?;
    let (code, message) = ask(&mut renderer, text("message 10000")).await.expect_err("an error");
    assert_eq!((code, message.chars().count()), (Code::NotFound, 10_000));
    let (code, message) = ask(&mut renderer, text("message 900000")).await.expect_err("an error");
    assert_eq!(code, Code::NotFound);
    assert!(message.starts_with('ع') && message.chars().count() < 10_000, "{} characters", message.chars().count());
    let long = renderer.render_messages(text("details 500000")).await.expect_err("an error");
    let details = long.get_details_bad_request().expect("details that fit");
    assert_eq!(details.field_violations[0].description.len(), 500_000);
    let (code, message) = ask(&mut renderer, text("details 4000000")).await.expect_err("an error");
    assert_eq!((code, message.as_str()), (Code::InvalidArgument, "too much to say"));
    house.stop().await;
    Ok(())
}
