//! Streams over REST: server-sent events.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{
        IntoResponse,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use barid_proto::{
    Violations,
    access::{Method, Polled},
    wire,
};
use barid_transcode::Match;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderMap, Response, StatusCode};
use prost::Message;
use tonic::Status;

use crate::{
    access::authorise,
    grpc::after,
    polled,
    rest::{Routes, error_json},
    state::State,
    subscribe::subscribe,
};

/// How often a silent stream shows that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Answers a call of a method that streams to the caller.
pub(crate) async fn answer(
    state: &State,
    route: &Match<'_>,
    method: &Method,
    headers: HeaderMap,
    from: IpAddr,
    request: Bytes,
) -> Result<Response<Body>, Status> {
    match state.calls.polled.get(&method.path) {
        Some(polled) => follow(state, route, method, polled, headers, from, request).await,
        None => events(state, route, method, headers, from, request).await,
    }
}

/// A tenant's events: the id of each is where a stream resumes.
async fn events(
    state: &State,
    route: &Match<'_>,
    method: &Method,
    headers: HeaderMap,
    from: IpAddr,
    request: Bytes,
) -> Result<Response<Body>, Status> {
    let holder = state.calls.authenticate(&headers, from).await?;
    let principal = authorise(&state.calls.directory, method, &holder, &request).await?;
    let request = with_last_event_id(method, &headers, request)?;
    let calls = &state.calls;
    let events =
        subscribe(calls.channel(), calls.auth.clone(), headers, &state.hub, principal, after(request)?, state.shutdown.clone()).await?;
    let writer = Writer::new(state, route);
    Ok(stream(events.map(move |event| match event {
        Ok(event) => {
            let name = format!("{}.{}", event.entity, event.kind);
            writer.event(&event.encode_to_vec()).id(event.id).event(name)
        }
        Err(status) => writer.error(&status),
    })))
}

/// What a polled method tells: the id of each message is its revision.
async fn follow(
    state: &State,
    route: &Match<'_>,
    method: &Method,
    polled: &Polled,
    headers: HeaderMap,
    from: IpAddr,
    request: Bytes,
) -> Result<Response<Body>, Status> {
    let request = with_last_revision(polled, &headers, request)?;
    let Some(news) = polled::follow(state, method, polled, headers, from, request).await? else {
        // Browsers connect again when a stream ends; this tells them not to.
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    };
    let writer = Writer::new(state, route);
    let name = method.descriptor.output().name().to_lowercase();
    Ok(stream(news.map(move |news| match news {
        Ok(news) => writer.event(&news.message).id(news.revision.to_string()).event(&name),
        Err(status) => writer.error(&status),
    })))
}

fn stream(events: impl Stream<Item = SseEvent> + Send + 'static) -> Response<Body> {
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// Writes messages of a method as events.
struct Writer {
    routes: Arc<Routes>,
    /// Finds the same route again, for as long as the stream lives.
    template: String,
}

impl Writer {
    fn new(state: &State, route: &Match<'_>) -> Self {
        Self { routes: state.routes.clone(), template: route.template().to_owned() }
    }

    fn event(&self, message: &[u8]) -> SseEvent {
        let found = self.routes.transcoder.find(&http::Method::GET, &self.template).ok();
        let json = found.and_then(|route| route.response(message).ok()).unwrap_or_default();
        SseEvent::default().data(String::from_utf8_lossy(&json))
    }

    fn error(&self, status: &Status) -> SseEvent {
        SseEvent::default().event("error").data(error_json(&self.routes, status))
    }
}

/// `Last-Event-ID`, which browsers send when they connect again: it is newer than what the address says.
fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Status> {
    let wrong = |_| Violations::one("Last-Event-ID", "invalid_id", "is no event id");
    headers.get("last-event-id").map(|value| value.to_str().map_err(wrong)).transpose()
}

fn with_last_event_id(method: &Method, headers: &HeaderMap, request: Bytes) -> Result<Bytes, Status> {
    let Some(id) = last_event_id(headers)? else { return Ok(request) };
    let Some(field) = method.descriptor.input().get_field_by_name("after") else { return Ok(request) };
    let mut extended = request.to_vec();
    wire::put_bytes(field.number(), id.as_bytes(), &mut extended);
    Ok(extended.into())
}

fn with_last_revision(polled: &Polled, headers: &HeaderMap, request: Bytes) -> Result<Bytes, Status> {
    let Some(id) = last_event_id(headers)? else { return Ok(request) };
    let revision = id.parse().map_err(|_| Violations::one("Last-Event-ID", "invalid_id", "is no revision, which is a number"))?;
    let mut extended = request.to_vec();
    wire::put_varint(polled.after, revision, &mut extended);
    Ok(extended.into())
}
