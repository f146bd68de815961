//! Taking connections: `/ws/chat` on the simulator's own HTTP server.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio_websockets::{Limits, ServerBuilder};

use super::{connection, media};
use crate::world::World;

/// RFC 6455's constant for `Sec-WebSocket-Accept`.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A little over WhatsApp's largest document.
const LARGEST_MEDIUM: usize = 101 * 1024 * 1024;
/// The longest frame of the protocol, and a little.
const LONGEST: usize = 1 << 24 | 1 << 10;

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/ws/chat", get(upgrade))
        .route("/mms/{kind}/{name}", get(media::download).post(media::upload).layer(DefaultBodyLimit::max(LARGEST_MEDIUM)))
}

async fn upgrade(State(world): State<Arc<World>>, mut request: Request) -> Response {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return (StatusCode::BAD_REQUEST, "this path speaks WebSocket only").into_response();
    };
    if world.web.uptime.is_down() {
        return (StatusCode::SERVICE_UNAVAILABLE, "restarting").into_response();
    }
    let accept = BASE64_STANDARD.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize());
    let Ok(accept) = HeaderValue::from_str(&accept) else { return StatusCode::BAD_REQUEST.into_response() };
    let upgraded = hyper::upgrade::on(&mut request);
    let tasks = world.tasks.clone();
    tasks.spawn(async move {
        match upgraded.await {
            Ok(io) => {
                let builder = ServerBuilder::new().limits(Limits::default().max_payload_len(Some(LONGEST)));
                connection::run(world, builder.serve(TokioIo::new(io))).await;
            }
            Err(error) => tracing::debug!(%error, "a connection did not become a WebSocket"),
        }
    });
    let headers = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
