//! Uploading and downloading media.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Multipart, Path, State, multipart::MultipartError},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Error, authorised_number, bearer, check_version};
use crate::{
    media::{Media, cap},
    world::World,
};

pub(super) async fn upload(
    State(world): State<Arc<World>>,
    Path((version, id)): Path<(String, String)>,
    headers: HeaderMap,
    mut form: Multipart,
) -> Result<Json<Value>, Error> {
    check_version(&version)?;
    let number = authorised_number(&world, &headers, &id)?;
    let broken = |error: MultipartError| Error::parameter(format!("The form cannot be read: {error}"));
    let (mut product, mut mime_type, mut file) = (String::new(), String::new(), None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default() {
            "messaging_product" => product = field.text().await.map_err(broken)?,
            "type" => mime_type = field.text().await.map_err(broken)?,
            "file" => {
                let own_type = field.content_type().unwrap_or_default().to_owned();
                file = Some((own_type, field.bytes().await.map_err(broken)?));
            }
            _ => {}
        }
    }
    if product != "whatsapp" {
        return Err(Error::parameter("The parameter messaging_product is required."));
    }
    let (own_type, bytes) = file.ok_or_else(|| Error::parameter("The parameter file is required."))?;
    if mime_type.is_empty() {
        mime_type = own_type;
    }
    let Some(cap) = cap(&mime_type) else {
        return Err(Error::parameter(format!("Param file must be a file with one of the supported types, not {mime_type:?}.")));
    };
    if bytes.is_empty() || bytes.len() > cap {
        return Err(Error::new(131_053, format!("a file of type {mime_type} has 1 to {cap} bytes")));
    }
    let media = world.media.add(&number.phone_number_id, &mime_type, bytes, world.config.meta.media_bytes);
    Ok(Json(json!({"id": media.id})))
}

/// The media's description, with the address of its bytes on the host that was asked.
pub(super) fn view(media: &Media, headers: &HeaderMap) -> Value {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    json!({
        "messaging_product": "whatsapp",
        "id": media.id,
        "url": format!("http://{host}/sim/media/{}", media.id),
        "mime_type": media.mime_type,
        "sha256": media.sha256,
        "file_size": media.bytes.len(),
    })
}

/// Whether the request carries the token of the number that the media was uploaded for.
pub(super) fn allowed(world: &World, headers: &HeaderMap, media: &Media) -> Result<(), Error> {
    authorised_number(world, headers, &media.phone_number_id).map(|_| ())
}

pub(super) async fn download(State(world): State<Arc<World>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    bearer(&headers)?;
    let Some(media) = world.media.get(&id) else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    allowed(&world, &headers, &media)?;
    Ok(([(header::CONTENT_TYPE, media.mime_type.clone())], media.bytes.clone()).into_response())
}
