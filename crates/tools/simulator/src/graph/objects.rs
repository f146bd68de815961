//! `/{version}/{id}`: whatever the id names, a number, a medium or a template.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::HeaderMap,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, authorise_account, authorised_number, bearer, check_version, json_body, media, templates};
use crate::world::World;

#[derive(Deserialize)]
pub(super) struct Fields {
    fields: Option<String>,
}

pub(super) async fn get(
    State(world): State<Arc<World>>,
    Path((version, id)): Path<(String, String)>,
    Query(Fields { fields }): Query<Fields>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    check_version(&version)?;
    bearer(&headers)?;
    if let Some(found) = world.media.get(&id) {
        media::allowed(&world, &headers, &found)?;
        return Ok(Json(media::view(&found, &headers)));
    }
    if let Some(template) = world.templates.by_id(&id) {
        authorise_account(&world, &headers, &template.waba)?;
        return Ok(Json(template.view()));
    }
    let number = authorised_number(&world, &headers, &id)?;
    let mut view = json!({
        "id": number.phone_number_id,
        "display_phone_number": number.display_phone_number,
        "verified_name": number.verified_name,
        "quality_rating": number.quality_rating,
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "messaging_limit_tier": "TIER_UNLIMITED",
        "status": "CONNECTED",
    });
    if let (Some(fields), Some(all)) = (fields, view.as_object_mut()) {
        all.retain(|key, _| key == "id" || fields.split(',').any(|field| field.trim() == key));
    }
    Ok(Json(view))
}

/// Editing a template is the only thing that is posted to a bare id.
pub(super) async fn post(
    State(world): State<Arc<World>>,
    Path((version, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    check_version(&version)?;
    bearer(&headers)?;
    let template = world.templates.by_id(&id).ok_or_else(|| Error::no_such_object(&id))?;
    authorise_account(&world, &headers, &template.waba)?;
    templates::edit(&world, &template, &json_body(&body)?)
}

pub(super) async fn delete(
    State(world): State<Arc<World>>,
    Path((version, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    check_version(&version)?;
    bearer(&headers)?;
    let found = world.media.get(&id).ok_or_else(|| Error::no_such_object(&id))?;
    media::allowed(&world, &headers, &found)?;
    world.media.remove(&id);
    Ok(Json(json!({"success": true})))
}
