//! gRPC as it comes: frames in, frames out.

use std::net::IpAddr;

use axum::body::Body;
use barid_proto::{access::Method, fault};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use tonic::{Code, Status};

use crate::{access::authorise, calls::frame, polled, state::State, subscribe::subscribe};

/// Whether a request is gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Answers a gRPC call.
pub(crate) async fn answer(state: State, from: IpAddr, request: Request<Body>) -> Response<Body> {
    match call(&state, from, request).await {
        Ok(response) => response,
        Err(status) => status.into_http(),
    }
}

async fn call(state: &State, from: IpAddr, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (parts, body) = request.into_parts();
    let method = state.calls.method(parts.uri.path())?;
    let mut messages = std::pin::pin!(messages(body, state.config.max_body));
    if method.descriptor.is_client_streaming() {
        return Ok(unary(state.calls.client_stream(method, &parts.headers, from, messages).await?));
    }
    let request = messages.next().await.ok_or_else(|| fault(Code::InvalidArgument, "INVALID_ARGUMENT", "the call has no request"))??;
    if method.descriptor.is_server_streaming() {
        return follow(state, method, parts.headers, from, request).await;
    }
    Ok(unary(state.calls.unary(method, &parts.headers, from, request).await?))
}

/// Streams to the caller: what a polled method tells, or else events.
async fn follow(state: &State, method: &Method, headers: HeaderMap, from: IpAddr, request: Bytes) -> Result<Response<Body>, Status> {
    if let Some(polled) = state.calls.polled.get(&method.path) {
        let news = polled::follow(state, method, polled, headers, from, request).await?;
        let news = news.unwrap_or_else(|| stream::empty().boxed());
        return Ok(streamed(news.map(|news| news.map(|news| news.message))));
    }
    let holder = state.calls.authenticate(&headers, from).await?;
    let principal = authorise(&state.calls.directory, method, &holder, &request).await?;
    let after = after(request)?;
    let calls = &state.calls;
    let events = subscribe(calls.channel(), calls.auth.clone(), headers, &state.hub, principal, after, state.shutdown.clone()).await?;
    Ok(streamed(events.map(|event| event.map(|event| event.encode_to_vec().into()))))
}

/// Messages in their frames, and how it ended.
fn streamed(messages: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Response<Body> {
    let frames = stream::unfold(Some(Box::pin(messages)), |messages| async {
        let mut messages = messages?;
        Some(match messages.next().await {
            Some(Ok(message)) => (Ok::<_, Status>(http_body::Frame::data(frame(&message))), Some(messages)),
            Some(Err(status)) => (Ok(trailers(&status)), None),
            None => (Ok(trailers(&Status::ok(""))), None),
        })
    });
    response(Body::new(StreamBody::new(frames)))
}

/// The event id that a subscription begins after.
pub(crate) fn after(request: Bytes) -> Result<String, Status> {
    let request = barid_proto::queue::v1::SubscribeEventsRequest::decode(request)
        .map_err(|error| fault(Code::InvalidArgument, "INVALID_ARGUMENT", error.to_string()))?;
    if !request.after.is_empty() {
        barid_proto::ids::argument::<barid_domain::id::Event>("after", &request.after)?;
    }
    Ok(request.after)
}

fn unary(message: Bytes) -> Response<Body> {
    let frames = [Ok::<_, Status>(http_body::Frame::data(frame(&message))), Ok(trailers(&Status::ok("")))];
    response(Body::new(StreamBody::new(stream::iter(frames))))
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn trailers(status: &Status) -> http_body::Frame<Bytes> {
    let mut headers = HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(Code::Internal as i32));
    }
    http_body::Frame::trailers(headers)
}

/// The messages of a request body, each at most `limit` bytes.
fn messages(body: Body, limit: usize) -> impl Stream<Item = Result<Bytes, Status>> {
    let reader = (body, BytesMut::new(), false);
    stream::unfold(reader, move |(mut body, mut buffer, failed)| async move {
        if failed {
            return None;
        }
        loop {
            match split(&mut buffer, limit) {
                Ok(Some(message)) => return Some((Ok(message), (body, buffer, false))),
                Ok(None) => {}
                Err(status) => return Some((Err(status), (body, buffer, true))),
            }
            match body.frame().await {
                Some(Ok(part)) => {
                    if let Ok(data) = part.into_data() {
                        buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => return Some((Err(Status::cancelled("the caller went away")), (body, buffer, true))),
                None if buffer.is_empty() => return None,
                None => {
                    let status = fault(Code::InvalidArgument, "INVALID_ARGUMENT", "the request ends inside a message");
                    return Some((Err(status), (body, buffer, true)));
                }
            }
        }
    })
}

/// The next whole message of a buffer.
fn split(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, Status> {
    let Some(&[compressed, a, b, c, d]) = buffer.first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if compressed != 0 {
        return Err(fault(Code::Unimplemented, "COMPRESSED", "compressed messages are not taken; send them plain"));
    }
    if length > limit {
        let says = format!("the message has {length} bytes; give at most {limit}");
        return Err(fault(Code::ResourceExhausted, "TOO_LARGE", says));
    }
    if buffer.len() < length + 5 {
        return Ok(None);
    }
    buffer.advance(5);
    Ok(Some(buffer.split_to(length).freeze()))
}
