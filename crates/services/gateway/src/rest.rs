//! REST through the transcoder: the same calls, in JSON.

use std::net::IpAddr;

use axum::body::Body;
use barid_proto::{
    Violations,
    access::{Method, Table},
    descriptor_pool, fault,
};
use barid_transcode::{Answer, Info, RouteError, Transcoder};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{sse, state::State};

/// The REST surface.
pub(crate) struct Routes {
    pub transcoder: Transcoder,
    pub openapi: Bytes,
}

impl Routes {
    pub(crate) fn new() -> Result<Self, barid_transcode::BuildError> {
        let pool = descriptor_pool();
        let table = Table::new(&pool);
        let public = |method: &prost_reflect::MethodDescriptor| {
            table.get(&format!("/{}/{}", method.parent_service().full_name(), method.name())).is_some_and(Method::is_public)
        };
        let transcoder = Transcoder::new(&pool, public)?;
        let info = Info {
            title: "Barid".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: "Carries the WhatsApp messages of businesses. Send `Authorization: Bearer <API key>` with every call. \
                          Errors are google.rpc.Status: a code, a sentence, and typed details."
                .to_owned(),
        };
        let openapi = transcoder.openapi(&info).to_string().into();
        Ok(Self { transcoder, openapi })
    }
}

/// Answers a REST call.
pub(crate) async fn answer(state: State, from: IpAddr, request: Request<Body>) -> Response<Body> {
    match call(&state, from, request).await {
        Ok(response) => response,
        Err(status) => failure(&state.routes, &status),
    }
}

async fn call(state: &State, from: IpAddr, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (parts, body) = request.into_parts();
    let route = match state.routes.transcoder.find(&parts.method, parts.uri.path()) {
        Ok(route) => route,
        Err(RouteError::NotFound) => {
            return Err(fault(Code::NotFound, "NO_SUCH_PATH", format!("there is nothing at {}; see /openapi.json", parts.uri.path())));
        }
        Err(RouteError::MethodNotAllowed { allow }) => return Ok(not_allowed(state, &allow)),
    };
    let method = state.calls.method(route.grpc_path())?;
    let body = read(body, state.config.max_body).await?;
    let request = route.request(parts.uri.query(), &body).map_err(|error| {
        let mut violations = Violations::default();
        for violation in error.violations {
            let field = if violation.field.is_empty() { "body".to_owned() } else { violation.field };
            violations.add(field, "malformed", violation.description);
        }
        violations.check().err().unwrap_or_else(|| Status::invalid_argument("the request is malformed"))
    })?;
    if method.descriptor.is_server_streaming() {
        return sse::answer(state, &route, method, parts.headers, from, request).await;
    }
    let answer = state.calls.unary(method, &parts.headers, from, request).await?;
    Ok(match route.answer(&answer).map_err(|error| Status::internal(error.to_string()))? {
        Answer::Json(json) => json_response(route.success_status(), json),
        Answer::Raw { content_type, data } => raw_response(route.success_status(), content_type, data),
    })
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Status> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(fault(Code::InvalidArgument, "TOO_LARGE", format!("the body is larger than {limit} bytes; send less, or several calls")))
        }
        Err(_) => Err(Status::cancelled("the caller went away")),
    }
}

fn not_allowed(state: &State, allow: &[http::Method]) -> Response<Body> {
    let names = allow.iter().map(http::Method::as_str).collect::<Vec<_>>().join(", ");
    let status = fault(Code::Unimplemented, "METHOD_NOT_ALLOWED", format!("this path takes {names}"));
    let mut response = json_response(StatusCode::METHOD_NOT_ALLOWED, error_json(&state.routes, &status).into_bytes());
    if let Ok(value) = HeaderValue::from_str(&names) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// An error as JSON, with the headers that belong to it.
pub(crate) fn failure(routes: &Routes, status: &Status) -> Response<Body> {
    let mut response = json_response(barid_transcode::http_status(status.code().into()), error_json(routes, status).into_bytes());
    if status.code() == Code::Unauthenticated {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(delay) = status.get_details_retry_info().and_then(|info| info.retry_delay) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(delay.as_secs_f64().ceil() as u64));
    }
    response
}

pub(crate) fn error_json(routes: &Routes, status: &Status) -> String {
    routes.transcoder.status_json(status.code().into(), status.message(), status.details()).to_string()
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, json: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer that is not JSON. It may be a secret, and whoever made it may have chosen its type: it is not kept, and nothing in it runs.
fn raw_response(status: StatusCode, content_type: HeaderValue, data: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(data));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    response
}
