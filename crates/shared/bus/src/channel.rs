//! What generated tonic clients call through instead of a TCP channel.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_nats::{StatusCode, client::PublishErrorKind};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use tonic::{Code, Status, body::Body};

use crate::{Bus, inbox, metadata, subject, trace};

/// Calls services over NATS. Clone it freely.
#[derive(Clone, Debug)]
pub struct Channel {
    bus: Bus,
    deadline: Duration,
}

impl Channel {
    /// Deadline of calls that state none.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

    /// A channel on which calls without a deadline get `deadline`.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Calls with bytes: a gRPC path, metadata, and a request in a gRPC frame. The answer is in a frame, too.
    ///
    /// Errors: `UNAVAILABLE` at once when nobody serves the method, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED` when request or answer are
    /// larger than NATS carries, and whatever the service answers.
    pub async fn call_bytes(&self, path: &str, mut headers: HeaderMap, framed: Bytes) -> Result<(HeaderMap, Bytes), Status> {
        let started = Instant::now();
        let deadline = metadata::timeout(&headers).unwrap_or(self.deadline);
        let unknown = || Status::unimplemented(format!("there is no method {path}"));
        let subject = subject::call(self.bus.service, path).ok_or_else(unknown)?;
        let service = subject::service(path).ok_or_else(unknown)?;
        trace::inject(&mut headers);
        headers.insert("grpc-timeout", metadata::timeout_value(deadline));
        let nats_headers = metadata::to_nats(&headers);
        let size = framed.len();
        let asked = self.bus.inboxes.ask(&self.bus.client, service, subject, nats_headers, framed);
        let answer = tokio::time::timeout(deadline.saturating_sub(started.elapsed()), asked)
            .await
            .map_err(|_| Status::deadline_exceeded(format!("{path} did not answer within {deadline:?}")))?
            .map_err(|error| match error {
                inbox::Error::Send(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    let limit = self.bus.client.max_payload();
                    Status::resource_exhausted(format!(
                        "the request has {size} bytes besides its metadata and the bus carries {limit} in all; send it in smaller parts"
                    ))
                }
                error => Status::unavailable(format!("the bus is out of reach: {error}")),
            })?;
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(Status::unavailable(format!("nobody serves {path} at the moment; try again")));
        }
        let headers = answer.headers.as_ref().map(metadata::from_nats).unwrap_or_default();
        match Status::from_header_map(&headers) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok((headers, answer.payload)),
        }
    }
}

impl Bus {
    /// A channel to every service.
    pub fn channel(&self) -> Channel {
        Channel { bus: self.clone(), deadline: Channel::DEFAULT_DEADLINE }
    }
}

impl tower::Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = tonic::Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let framed = body.collect().await?.to_bytes();
            Ok(match channel.call_bytes(parts.uri.path(), parts.headers, framed).await {
                Ok((headers, payload)) => answer(headers, payload),
                Err(status) => status.into_http(),
            })
        })
    }
}

/// A successful answer as tonic reads it: headers, the frame, trailers.
fn answer(mut headers: HeaderMap, payload: Bytes) -> Response<Body> {
    headers.remove("grpc-status");
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let frames = [Ok::<_, Status>(http_body::Frame::data(payload)), Ok(http_body::Frame::trailers(trailers))];
    let mut response = Response::new(Body::new(StreamBody::new(futures::stream::iter(frames))));
    *response.headers_mut() = headers;
    response
}

/// A body of one chunk.
pub(crate) fn full(bytes: Bytes) -> Body {
    Body::new(Full::new(bytes).map_err(|never| match never {}))
}
