//! The Cloud API as Meta serves it, under `/{version}/`.

mod content;
mod error;
mod interactive;
mod media;
mod messages;
mod objects;
mod templates;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::HeaderMap,
    routing::{get, post},
};

pub(crate) use content::wa_id;
pub(crate) use error::{Error, title};

use serde_json::Value;

use crate::{directory::Number, world::World};

/// A little over Meta's largest document, for the multipart frame around it.
const LARGEST_UPLOAD: usize = 101 * 1024 * 1024;

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/{version}/{id}", get(objects::get).post(objects::post).delete(objects::delete))
        .route("/{version}/{id}/messages", post(messages::send))
        .route("/{version}/{id}/media", post(media::upload).layer(DefaultBodyLimit::max(LARGEST_UPLOAD)))
        .route("/{version}/{id}/message_templates", get(templates::list).post(templates::create).delete(templates::delete))
        .route("/sim/media/{id}", get(media::download))
}

/// Refuses paths that do not start with a version such as `v23.0`.
fn check_version(version: &str) -> Result<(), Error> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match version.strip_prefix('v').and_then(|rest| rest.split_once('.')) {
        Some((major, minor)) if digits(major) && digits(minor) => Ok(()),
        _ => Err(Error::parameter(format!("Unknown path components: /{version}")).with_status(Some(404))),
    }
}

fn json_body(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|error| Error::parameter(format!("The body is not JSON: {error}")))
}

fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let value = headers.get("authorization").and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim).ok_or_else(Error::token)
}

/// The number, if the request carries its token.
fn authorised_number(world: &World, headers: &HeaderMap, id: &str) -> Result<Arc<Number>, Error> {
    let token = bearer(headers)?;
    let number = world.directory.number(id).ok_or_else(|| Error::no_such_object(id))?;
    if number.token.expose() == token { Ok(number) } else { Err(Error::token()) }
}

/// Passes requests with the token of one of the account's numbers.
fn authorise_account(world: &World, headers: &HeaderMap, waba: &str) -> Result<(), Error> {
    let token = bearer(headers)?;
    if !world.directory.waba_known(waba) {
        return Err(Error::no_such_object(waba));
    }
    if world.directory.token_known(token, Some(waba)) { Ok(()) } else { Err(Error::token()) }
}
