//! Serves generated tonic servers as a NATS micro-service.

use std::{collections::BTreeMap, convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_nats::{
    PublishError, RequestErrorKind,
    client::PublishErrorKind,
    service::{Request as Call, ServiceExt},
};
use barid_domain::TenantId;
use barid_proto::{
    Guard,
    access::{PRINCIPAL_KEY, Principal},
    fault,
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream::SelectAll};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use prost::Message;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Status, body::Body, metadata::MetadataMap, server::NamedService};
use tower::{ServiceExt as _, util::BoxCloneSyncService};
use tracing::Instrument;

use crate::{
    Bus,
    channel::{Channel, full},
    metadata, subject, trace,
};

type Handler = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The service that called, as its subject proves: a NATS user may publish under its own name only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub String);

/// The service could not be announced on NATS.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve {name} on the bus: {source}")]
pub struct ServeError {
    name: String,
    source: crate::BoxError,
}

/// A set of generated servers on one connection.
pub struct Server {
    bus: Bus,
    guard: Arc<Guard>,
    handlers: BTreeMap<&'static str, Handler>,
    in_flight: usize,
}

impl Server {
    /// Calls worked on at once; more wait on the connection.
    const IN_FLIGHT: usize = 512;

    /// How long a broker may take to confirm that no more calls come.
    const LAST_CALLS: Duration = Duration::from_secs(1);

    pub fn new(bus: Bus, guard: Arc<Guard>) -> Self {
        Self { bus, guard, handlers: BTreeMap::new(), in_flight: Self::IN_FLIGHT }
    }

    /// Adds a generated server.
    #[expect(clippy::should_implement_trait, reason = "a builder's word, not arithmetic")]
    pub fn add<S>(mut self, server: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.handlers.insert(S::NAME, BoxCloneSyncService::new(server));
        self
    }

    /// Announces the service and answers until `shutdown`; then takes no more and finishes what it has.
    /// `ready` runs when calls are being taken.
    pub async fn run(self, shutdown: CancellationToken, ready: impl FnOnce()) -> Result<(), ServeError> {
        let name = self.bus.service.name();
        let failed = |source: crate::BoxError| ServeError { name: name.to_owned(), source };
        let service = self
            .bus
            .client
            .service_builder()
            .description(format!("Barid {name}"))
            .queue_group(name)
            .start(format!("barid-{name}"), env!("CARGO_PKG_VERSION"))
            .await
            .map_err(failed)?;
        let mut calls = SelectAll::new();
        for &proto in self.handlers.keys() {
            let endpoint = service
                .endpoint_builder()
                .name(proto.replace('.', "-"))
                .queue_group(name)
                .add(subject::endpoint(proto))
                .await
                .map_err(failed)?;
            calls.push(endpoint);
        }
        self.bus.client.flush().await.map_err(|error| failed(error.into()))?;
        // Flushed is not arrived: what is asked on the same connection is answered after the subscriptions were taken.
        match self.bus.client.request(subject::probe(self.bus.service), Bytes::new()).await {
            Err(error) if error.kind() != RequestErrorKind::NoResponders => return Err(failed(error.into())),
            _ => {}
        }
        ready();

        let permits = Arc::new(Semaphore::new(self.in_flight));
        let tasks = TaskTracker::new();
        let server = Arc::new(self);
        let take = async |call: Call| {
            // Never closed, so there is always a permit in the end.
            let permit = permits.clone().acquire_owned().await;
            let server = server.clone();
            tasks.spawn(async move {
                server.answer(call).await;
                drop(permit);
            });
        };
        loop {
            let call = tokio::select! {
                call = calls.next() => match call { Some(call) => call, None => break },
                () = shutdown.cancelled() => break,
            };
            take(call).await;
        }
        if let Err(error) = service.stop().await {
            tracing::debug!(%error, "the service was already gone from the bus");
        }
        // What the broker handed over before it heard of the end is answered, too.
        while let Ok(Some(call)) = tokio::time::timeout(Self::LAST_CALLS, calls.next()).await {
            take(call).await;
        }
        tasks.close();
        tasks.wait().await;
        Ok(())
    }

    async fn answer(&self, call: Call) {
        let headers = call.message.headers.as_ref().map(metadata::from_nats).unwrap_or_default();
        let outcome = self.handle(&call, headers).await;
        let sent = match respond(&call, &outcome).await {
            // Without an answer the caller would wait until its deadline.
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                let smaller = Err(too_large(&outcome, self.bus.client.max_payload()));
                respond(&call, &smaller).await
            }
            sent => sent,
        };
        if let Err(error) = sent {
            tracing::warn!(subject = %call.message.subject, %error, "an answer was not sent");
        }
    }

    async fn handle(&self, call: &Call, mut headers: HeaderMap) -> Outcome {
        let subject = call.message.subject.as_str();
        let (caller, path) = subject::parse_call(subject).ok_or_else(|| Status::unimplemented(format!("there is no method {subject}")))?;
        let framed = call.message.payload.clone();
        let body = framed.get(5..).ok_or_else(|| Status::internal("the request is not framed as gRPC frames it"))?;
        self.guard.check(caller, &path, body)?;
        let proto = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let handler = self.handlers.get(proto).ok_or_else(|| Status::unimplemented(format!("there is no method {path}")))?.clone();

        let span = tracing::info_span!("rpc", method = %path, caller);
        trace::adopt(&span, &headers);
        let deadline = metadata::timeout(&headers).unwrap_or(Channel::DEFAULT_DEADLINE);
        let principal = (caller == "gateway").then(|| read_principal(&headers)).flatten();
        headers.remove(PRINCIPAL_KEY);

        let mut request = Request::new(full(framed));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| Status::unimplemented(format!("there is no method {path}")))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        request.extensions_mut().insert(Caller(caller.to_owned()));
        if let Some(principal) = principal {
            request.extensions_mut().insert(principal);
        }
        let answer = AssertUnwindSafe(within(deadline, &path, handler, request)).catch_unwind();
        answer.instrument(span).await.unwrap_or_else(|_| {
            tracing::error!(method = %path, "a call panicked");
            Err(fault(Code::Internal, "INTERNAL", "something went wrong inside; the operators can see what"))
        })
    }
}

type Outcome = Result<(HeaderMap, Bytes), Status>;

async fn respond(call: &Call, outcome: &Outcome) -> Result<(), PublishError> {
    let (headers, payload) = match outcome {
        Ok((headers, payload)) => {
            let mut headers = headers.clone();
            headers.insert("grpc-status", HeaderValue::from_static("0"));
            (headers, payload.clone())
        }
        Err(status) => {
            let mut headers = HeaderMap::new();
            if let Err(error) = status.add_header(&mut headers) {
                tracing::error!(%error, "a status does not fit into headers");
            }
            (headers, Bytes::new())
        }
    };
    call.respond_with_headers(Ok(payload), metadata::to_nats(&headers)).await
}

/// What is said instead of an outcome that the bus does not carry: an error keeps its code and the beginning of its sentence.
fn too_large(outcome: &Outcome, limit: usize) -> Status {
    const LONGEST: usize = 1000;
    match outcome {
        Ok((_, payload)) => Status::resource_exhausted(format!(
            "the answer has {} bytes besides its metadata and the bus carries {limit} in all; ask for less",
            payload.len()
        )),
        Err(status) => Status::new(status.code(), status.message().chars().take(LONGEST).collect::<String>()),
    }
}

async fn within(deadline: Duration, path: &str, handler: Handler, request: Request<Body>) -> Outcome {
    tokio::time::timeout(deadline, async {
        let Ok(response) = handler.oneshot(request).await;
        let (parts, body) = response.into_parts();
        if let Some(status) = Status::from_header_map(&parts.headers)
            && status.code() != Code::Ok
        {
            return Err(status);
        }
        let collected = body.collect().await?;
        if let Some(status) = collected.trailers().and_then(Status::from_header_map)
            && status.code() != Code::Ok
        {
            return Err(status);
        }
        Ok((parts.headers, collected.to_bytes()))
    })
    .await
    .unwrap_or_else(|_| Err(Status::deadline_exceeded(format!("{path} did not finish within {deadline:?}"))))
}

fn read_principal(headers: &HeaderMap) -> Option<Principal> {
    let metadata = MetadataMap::from_headers(headers.clone());
    let bytes = metadata.get_bin(PRINCIPAL_KEY)?.to_bytes().ok()?;
    Principal::decode(bytes).ok()
}

/// On whose behalf the gateway called.
pub fn principal<T>(request: &tonic::Request<T>) -> Result<&Principal, Status> {
    request.extensions().get().ok_or_else(|| fault(Code::PermissionDenied, "NO_PRINCIPAL", "this method is called through the gateway"))
}

/// The tenant a call is about. The gateway has checked that the caller may speak for it.
pub fn tenant<T>(request: &tonic::Request<T>) -> Result<TenantId, Status> {
    barid_proto::ids::argument("tenantId", &principal(request)?.tenant_id)
}
