//! Setting up and looking at the Web protocol: accounts, linking devices, what was not understood.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Error, wa_id};
use crate::{
    web::{self, Act, Linked, Outcome, Settings},
    world::World,
};

/// How long a device may take to accept its account.
const LINKING: Duration = Duration::from_secs(60);
/// How every PNG picture starts.
const PNG: &[u8] = b"\x89PNG";
/// Devices made in one call.
const MOST_DEVICES: u64 = 20_000;

pub(super) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/sim/web", get(about))
        .route("/sim/web/accounts", get(accounts))
        .route("/sim/web/accounts/{number}", get(account).put(put_account))
        .route("/sim/web/accounts/{number}/scan", post(scan))
        .route("/sim/web/accounts/{number}/devices/{device}", delete(unlink))
        .route("/sim/web/media/{id}", get(media))
        .route("/sim/web/forget_sessions", post(forget_sessions))
        .route("/sim/web/restart", post(restart))
        .route("/sim/phones/{wa_id}/act", post(act))
        .route("/sim/web/accounts/{number}/code", post(enter))
        .route("/sim/web/devices", post(provision))
        .route("/sim/web/unknown", get(unknown).delete(forget_unknown))
}

async fn about(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"path": "/ws/chat", "server_key": hex::encode(world.web.keys.public()), "media_host": world.media_host}))
}

async fn accounts(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"accounts": world.web.accounts()}))
}

async fn account(State(world): State<Arc<World>>, Path(number): Path<String>) -> Result<Json<Value>, Error> {
    let number = wa_id(&number)?;
    world.web.account(&number).map(Json).ok_or_else(|| Error::not_found(format!("there is no account {number}")))
}

async fn put_account(
    State(world): State<Arc<World>>,
    Path(number): Path<String>,
    Body(settings): Body<Settings>,
) -> Result<Json<Value>, Error> {
    let number = wa_id(&number)?;
    let named = settings.names();
    let view = world.web.put_account(&number, settings).map_err(|error| Error::bad(error.to_string()))?;
    if named {
        web::write_name(&world, &number).map_err(|error| Error::bad(error.to_string()))?;
    }
    Ok(Json(view))
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

/// The phone of this number reads the code that a device shows: its text in JSON or plain, or a picture of it.
async fn scan(State(world): State<Arc<World>>, Path(number): Path<String>, body: Bytes) -> Result<Json<Linked>, Error> {
    let code = if body.starts_with(PNG) {
        web::read_picture(&body).map_err(Error::bad)?
    } else {
        match serde_json::from_slice::<Code>(&body) {
            Ok(code) => code.code,
            Err(_) => String::from_utf8(body.to_vec()).map_err(|_| Error::bad("send the code as text, or a PNG picture of it"))?,
        }
    };
    linked(web::scan(&world, &wa_id(&number)?, &code).map_err(Error::bad)?).await
}

/// A person types the code of eight characters into the phone of this number.
async fn enter(State(world): State<Arc<World>>, Path(number): Path<String>, Body(code): Body<Code>) -> Result<Json<Linked>, Error> {
    let number = wa_id(&number)?;
    // The code is stretched for a noticeable time, which must not hold up a worker thread.
    let entered = tokio::task::spawn_blocking(move || web::enter(&world, &number, &code.code)).await;
    linked(entered.map_err(|_| Error::bad("the phone gave up"))?.map_err(Error::bad)?).await
}

async fn linked(outcome: Outcome) -> Result<Json<Linked>, Error> {
    let linked = tokio::time::timeout(LINKING, outcome).await.map_err(|_| Error::bad("the device did not answer"))?;
    linked.map_err(|_| Error::bad("the device hung up"))?.map(Json).map_err(Error::bad)
}

/// The phone unlinks a device.
async fn unlink(State(world): State<Arc<World>>, Path((number, device)): Path<(String, u16)>) -> Result<Json<Value>, Error> {
    if !world.web.unlink(&wa_id(&number)?, device, world.now().timestamp()) {
        return Err(Error::not_found(format!("{number} has no device {device}")));
    }
    Ok(Json(json!({"success": true})))
}

/// A medium as a phone that was sent it opened it.
async fn media(State(world): State<Arc<World>>, Path(id): Path<String>) -> Result<Response, Error> {
    // Those of the Cloud API belong to a number, whose token their own address asks for.
    let media = world.media.get(&id).filter(|media| media.phone_number_id.is_empty());
    let media = media.ok_or_else(|| Error::not_found(format!("there is no medium {id}")))?;
    let kind = HeaderValue::from_str(&media.mime_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"))];
    Ok((headers, media.bytes.clone()).into_response())
}

#[derive(Deserialize)]
struct Forgetful {
    number: String,
}

/// The phone loses its Signal sessions, as one restored from an old backup.
async fn forget_sessions(State(world): State<Arc<World>>, Body(phone): Body<Forgetful>) -> Result<Json<Value>, Error> {
    world.web.forget_sessions(&wa_id(&phone.number)?);
    Ok(Json(json!({"success": true})))
}

#[derive(Deserialize)]
struct Restart {
    #[serde(default)]
    down_ms: u64,
}

/// Cuts all connections and lets nobody in for a while.
async fn restart(State(world): State<Arc<World>>, Body(restart): Body<Restart>) -> Json<Value> {
    world.web.uptime.restart(Duration::from_millis(restart.down_ms));
    Json(json!({"success": true}))
}

async fn act(State(world): State<Arc<World>>, Path(phone): Path<String>, Body(act): Body<Act>) -> Result<Json<Value>, Error> {
    web::act(&world, &wa_id(&phone)?, act).map(Json).map_err(Error::bad)
}

#[derive(Deserialize)]
struct Many {
    /// The first number; the others follow it.
    first: String,
    count: u64,
}

/// Links a new device to each of many numbers, with keys that the server makes.
async fn provision(State(world): State<Arc<World>>, Body(many): Body<Many>) -> Result<Json<Value>, Error> {
    let first = wa_id(&many.first)?.parse().map_err(|_| Error::bad("the first number is too long"))?;
    let count = many.count.min(MOST_DEVICES);
    let server = json!({"key": hex::encode(world.web.keys.public())});
    let made = tokio::task::spawn_blocking(move || web::provision(&world, first, count)).await;
    let devices = made.map_err(|_| Error::bad("the devices were not made"))?.map_err(|error| Error::bad(error.to_string()))?;
    Ok(Json(json!({"server": server, "devices": devices})))
}

async fn unknown(State(world): State<Arc<World>>) -> Json<Value> {
    let counts = world.web.unknown.counts();
    Json(json!({"total": counts.values().sum::<u64>(), "unknown": counts}))
}

async fn forget_unknown(State(world): State<Arc<World>>) -> Json<Value> {
    world.web.unknown.clear();
    Json(json!({"success": true}))
}
