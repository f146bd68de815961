//! A trace goes on from service to service.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use barid_proto::{
    queue::v1::{GetQueueStatusRequest, QueueStatus, queue_service_client::QueueServiceClient},
    template::v1::{RenderMessagesRequest, RenderMessagesResponse, renderer_service_client::RendererServiceClient},
};
use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tonic::{Request, Response};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::house::{House, queue_status};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Trace and parent of what a service two calls away was told.
async fn two_calls_away() -> Result<Vec<String>> {
    let mut house = House::start().await?;
    let seen = Arc::new(Mutex::new(String::new()));
    let noted = seen.clone();
    let renderer = house
        .renderer(move |request| {
            let parent = request.metadata().get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
            parent.clone_into(&mut noted.lock().expect("not poisoned"));
            async { Ok(Response::new(RenderMessagesResponse::default())) }
        })
        .await?;
    let gateway = queue_status(&mut house, move |_| {
        let mut renderer: RendererServiceClient<_> = renderer.clone();
        async move {
            renderer.render_messages(RenderMessagesRequest::default()).await?;
            Ok(Response::new(QueueStatus::default()))
        }
    })
    .await?;
    let mut request = Request::new(GetQueueStatusRequest::default());
    request.metadata_mut().insert("traceparent", CALLER.parse()?);
    QueueServiceClient::new(gateway.channel()).get_queue_status(request).await?;
    house.stop().await;
    let parent = seen.lock().expect("not poisoned").split('-').map(str::to_owned).collect();
    Ok(parent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_through_a_service() -> Result<()> {
    // As `barid_runtime::init_telemetry` does it, without an exporter.
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::set_global_default(Registry::default().with(layer))?;

    let caller: Vec<&str> = CALLER.split('-').collect();
    let told = two_calls_away().await?;
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!((told[1].as_str(), told[3].as_str()), (caller[1], "01"), "the same trace, sampled as the caller said");
    assert_ne!(told[2], caller[2], "with the service in between as the parent");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_context_reaches_a_service_that_traces_nothing() -> Result<()> {
    let mut house = House::start().await?;
    let mut renderer = house
        .renderer(|request| async move {
            let mut response = Response::new(RenderMessagesResponse::default());
            if let Some(parent) = request.metadata().get("traceparent") {
                response.metadata_mut().insert("x-parent", parent.clone());
            }
            Ok(response)
        })
        .await?;
    let mut request = Request::new(RenderMessagesRequest::default());
    request.metadata_mut().insert("traceparent", CALLER.parse()?);
    let answer = renderer.render_messages(request).await?;
    assert_eq!(answer.metadata().get("x-parent").map(|parent| parent.as_bytes()), Some(CALLER.as_bytes()));
    house.stop().await;
    Ok(())
}
