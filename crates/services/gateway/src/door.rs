//! What stands at which path.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State as Shared},
    routing::get,
};
use barid_proto::{DESCRIPTORS, access::Method};
use barid_runtime::Health;
use http::{Request, Response, StatusCode};
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use crate::{Error, grpc, rest, state::State, webhooks};

/// The paths that are not a method's; everything else is one, over gRPC or REST.
pub(crate) fn router(state: State, health: Health) -> Result<Router, Error> {
    let mut public: Vec<&str> =
        state.calls.methods.iter().filter(|method| Method::is_public(method)).map(|method| service_of(&method.path)).collect();
    public.extend(["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]);
    public.sort_unstable();
    public.dedup();
    let shown = shown(&public)?;
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_file_descriptor_set(shown.clone())
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .include_reflection_service(false);
        public.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    };
    let (reporter, health_service) = tonic_health::server::health_reporter();
    tokio::spawn(report(reporter, health, state.shutdown.clone()));
    Ok(Router::new()
        .route("/", get(welcome))
        .route("/openapi.json", get(openapi))
        .route("/webhooks/meta/{app}", get(webhooks::challenge).post(webhooks::receive))
        .route_service("/grpc.health.v1.Health/{method}", health_service)
        .route_service("/grpc.reflection.v1.ServerReflection/{method}", reflection().build_v1()?)
        .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", reflection().build_v1alpha()?)
        .fallback(dispatch)
        .with_state(state))
}

async fn dispatch(Shared(state): Shared<State>, ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request<Body>) -> Response<Body> {
    if grpc::is_grpc(request.headers()) {
        grpc::answer(state, from.ip(), request).await
    } else {
        rest::answer(state, from.ip(), request).await
    }
}

async fn openapi(Shared(state): Shared<State>) -> Response<Body> {
    rest::json_response(StatusCode::OK, state.routes.openapi.clone())
}

async fn welcome() -> &'static str {
    "Barid. REST is described at /openapi.json; gRPC answers reflection on this port.\n"
}

/// The descriptors without the services that nobody outside may call.
fn shown(public: &[&str]) -> Result<FileDescriptorSet, Error> {
    let mut descriptors = FileDescriptorSet::decode(DESCRIPTORS)?;
    for file in &mut descriptors.file {
        let package = file.package().to_owned();
        file.service.retain(|service| public.contains(&format!("{package}.{}", service.name()).as_str()));
    }
    Ok(descriptors)
}

fn service_of(path: &str) -> &str {
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}

/// Tells gRPC's health service what `/readyz` tells.
async fn report(reporter: tonic_health::server::HealthReporter, health: Health, shutdown: CancellationToken) {
    loop {
        let status = if health.failing().await.is_empty() { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status("", status).await;
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
        }
    }
    reporter.set_service_status("", ServingStatus::NotServing).await;
}
