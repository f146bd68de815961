//! Meta's webhooks: one path per app; what is signed by it is stored before it is answered.

use axum::{
    body::Body,
    extract::{Path, Query, State as Shared},
};
use barid_proto::{
    fault,
    session_pool::v1::{IngestWebhookRequest, pool_service_client::PoolServiceClient},
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tonic::{Code, Status};

use crate::{config::MetaApp, rest, signature::verify_signature, state::State};

/// Meta posts at most 3 MB; the bus carries 4.
const LARGEST: usize = 3500 * 1024;

#[derive(Deserialize)]
pub(crate) struct Challenge {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// Meta asks whether we asked for its webhooks.
pub(crate) async fn challenge(Shared(state): Shared<State>, Path(app): Path<String>, Query(asked): Query<Challenge>) -> Response<Body> {
    let known = state.config.meta_apps.get(&app);
    let ours = known.is_some_and(|known| same(&asked.token, known.verify_token.expose()));
    if asked.mode == "subscribe" && ours {
        return Response::new(Body::from(asked.challenge));
    }
    let mut refused = Response::new(Body::from("the verify token is not ours\n"));
    *refused.status_mut() = StatusCode::FORBIDDEN;
    refused
}

/// Meta tells what happened: 200 once it is stored, 503 so that Meta repeats it.
pub(crate) async fn receive(Shared(state): Shared<State>, Path(app): Path<String>, headers: HeaderMap, body: Body) -> Response<Body> {
    match store(&state, app, &headers, body).await {
        Ok(()) => Response::new(Body::from("ok\n")),
        Err(status) => rest::failure(&state.routes, &status),
    }
}

async fn store(state: &State, app: String, headers: &HeaderMap, body: Body) -> Result<(), Status> {
    let unsigned =
        || fault(Code::Unauthenticated, "SIGNATURE_INVALID", "X-Hub-Signature-256 is missing or not that of this app over this body");
    let known: &MetaApp = state.config.meta_apps.get(&app).ok_or_else(unsigned)?;
    let body = Limited::new(body, LARGEST).collect().await;
    let body = body.map_err(|_| fault(Code::InvalidArgument, "TOO_LARGE", format!("the body is larger than {LARGEST} bytes")))?.to_bytes();
    let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !verify_signature(known.app_secret.expose(), signature, &body) {
        return Err(unsigned());
    }
    let stored = PoolServiceClient::new(state.calls.channel()).ingest_webhook(IngestWebhookRequest { app: app.clone(), body }).await;
    match stored {
        Ok(answer) => {
            if answer.into_inner().stored == 0 {
                tracing::debug!(app, "a webhook named no number of this app");
            }
            Ok(())
        }
        Err(status) if status.code() == Code::InvalidArgument => Err(status),
        Err(status) => {
            tracing::warn!(app, %status, "a webhook was not stored; Meta repeats it");
            Err(fault(Code::Unavailable, "NOT_STORED", "the webhook could not be stored; send it again"))
        }
    }
}

/// Compares without telling by its time where the two differ.
fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a) == Sha256::digest(b)
}
