//! What came by e-mail and SMS, and how the next ones are answered.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Body;
use crate::{sms::Answers, world::World};

#[derive(Deserialize)]
pub(super) struct Refusals {
    status: u16,
    times: u32,
}

pub(super) async fn mail(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"letters": world.mailbox.letters()}))
}

pub(super) async fn refuse_mail(State(world): State<Arc<World>>, Body(Refusals { status, times }): Body<Refusals>) -> Json<Value> {
    world.mailbox.refuse(status, times);
    Json(json!({"success": true}))
}

pub(super) async fn sms(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"messages": world.sms.sent()}))
}

pub(super) async fn answer_sms(State(world): State<Arc<World>>, Body(answers): Body<Answers>) -> Json<Value> {
    world.sms.answer(answers);
    Json(json!({"success": true}))
}
