//! Arming and clearing faults.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{Body, Error};
use crate::{
    faults::{Armed, Fault, Kind, Subject},
    world::World,
};

pub(super) async fn list(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"faults": world.faults.list()}))
}

pub(super) async fn arm(State(world): State<Arc<World>>, Body(armed): Body<Armed>) -> Result<Json<Fault>, Error> {
    if armed.http_status.is_some_and(|status| !(400..=599).contains(&status)) {
        return Err(Error::bad("http_status must be from 400 to 599"));
    }
    if armed.kind == Kind::ErrorCode && armed.code.is_none() {
        return Err(Error::bad("error_code needs a code, such as 130429"));
    }
    if armed.kind.is_web() && cfg!(not(feature = "web")) {
        return Err(Error::bad("this simulator was built without the Web protocol"));
    }
    if armed.kind == Kind::WebNack && armed.code.is_none() {
        return Err(Error::bad("web_nack needs a code, such as 463"));
    }
    if armed.at.is_some() && !armed.kind.of_connections() {
        return Err(Error::bad("at belongs to faults of Web connections"));
    }
    if armed.kind == Kind::WebDrop && !matches!(armed.status, Some(Subject::Delivered | Subject::Read | Subject::Inbound)) {
        return Err(Error::bad("web_drop needs a status: delivered, read or inbound"));
    }
    let of_webhooks =
        armed.kind.is_web() || matches!(armed.kind, Kind::DropWebhook | Kind::DuplicateWebhook | Kind::ReorderWebhooks | Kind::Delay);
    let fails_late = armed.kind == Kind::ErrorCode && armed.status == Some(Subject::Failed);
    if armed.status.is_some() && !of_webhooks && !fails_late {
        return Err(Error::bad("status belongs to webhook faults, to delay, and as \"failed\" to error_code"));
    }
    #[cfg(feature = "web")]
    if armed.kind.of_connections() && armed.moment() == crate::faults::Moment::Now {
        let fired = crate::web::strike_now(&world, &armed);
        return Ok(Json(world.faults.spent(armed, fired)));
    }
    Ok(Json(world.faults.arm(armed)))
}

pub(super) async fn clear(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"cleared": world.faults.clear(None)}))
}

pub(super) async fn disarm(State(world): State<Arc<World>>, Path(id): Path<u64>) -> Result<Json<Value>, Error> {
    if world.faults.clear(Some(id)) == 0 {
        return Err(Error::not_found(format!("there is no fault {id}")));
    }
    Ok(Json(json!({"cleared": 1})))
}
