//! Setting up the business side: apps, numbers and templates.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Error};
use crate::{
    config,
    directory::Number,
    template::{Header, Status, Template},
    webhook::{self, App},
    world::World,
};

fn app_view(app: &App) -> Value {
    let settings = app.settings();
    json!({"name": app.name, "callback_url": settings.callback_url, "waiting": app.waiting()})
}

pub(super) async fn list_apps(State(world): State<Arc<World>>) -> Json<Value> {
    let apps: Vec<Value> = world.directory.apps().iter().map(|app| app_view(app)).collect();
    Json(json!({"apps": apps}))
}

pub(super) async fn put_app(
    State(world): State<Arc<World>>,
    Path(name): Path<String>,
    Body(settings): Body<config::App>,
) -> Result<Json<Value>, Error> {
    settings.validate().map_err(|(key, problem)| Error::bad(format!("{key} {problem}")))?;
    world.put_app(&name, settings);
    let app = world.directory.app(&name).ok_or_else(|| Error::not_found("the app is gone again"))?;
    Ok(Json(app_view(&app)))
}

pub(super) async fn verify_app(State(world): State<Arc<World>>, Path(name): Path<String>) -> Result<Json<webhook::Handshake>, Error> {
    let app = world.directory.app(&name).ok_or_else(|| Error::not_found(format!("there is no app {name:?}")))?;
    Ok(Json(webhook::handshake(&world.http, &app.settings()).await))
}

/// A number without its token.
fn number_view(number: &Number) -> Value {
    json!({
        "phone_number_id": number.phone_number_id,
        "display_phone_number": number.display_phone_number,
        "verified_name": number.verified_name,
        "app": number.app,
        "waba_id": number.waba_id,
        "quality_rating": number.quality_rating,
    })
}

pub(super) async fn list_numbers(State(world): State<Arc<World>>) -> Json<Value> {
    let numbers: Vec<Value> = world.directory.numbers().iter().map(|number| number_view(number)).collect();
    Json(json!({"numbers": numbers}))
}

pub(super) async fn put_number(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    Body(number): Body<Number>,
) -> Result<Json<Value>, Error> {
    let number = world.directory.put_number(&id, number).map_err(Error::bad)?;
    Ok(Json(number_view(&number)))
}

pub(super) async fn delete_number(State(world): State<Arc<World>>, Path(id): Path<String>) -> Result<Json<Value>, Error> {
    if world.directory.remove_number(&id) {
        Ok(Json(json!({"success": true})))
    } else {
        Err(Error::not_found(format!("there is no number {id:?}")))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    Many(Vec<NewTemplate>),
    One(Box<NewTemplate>),
}

#[derive(Deserialize)]
pub(super) struct NewTemplate {
    #[serde(alias = "waba_id")]
    waba: String,
    name: String,
    language: String,
    body: String,
    /// `none`, `document`, `image`, `video`; anything else is a text header.
    #[serde(default)]
    header: Option<String>,
    #[serde(default)]
    footer: Option<String>,
    #[serde(default)]
    buttons: Vec<String>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    status: Status,
}

pub(super) async fn put_templates(State(world): State<Arc<World>>, Body(given): Body<OneOrMany>) -> Result<Json<Value>, Error> {
    let given = match given {
        OneOrMany::Many(templates) => templates,
        OneOrMany::One(template) => vec![*template],
    };
    let mut templates = Vec::new();
    for new in given {
        let template = Template {
            id: String::new(),
            waba: new.waba,
            name: new.name,
            language: new.language,
            category: new.category.unwrap_or_else(|| "UTILITY".into()).to_ascii_uppercase(),
            status: new.status,
            header: match new.header.as_deref() {
                None | Some("none" | "") => Header::None,
                Some(kind @ ("document" | "image" | "video")) => Header::Media(kind.into()),
                Some(text) => Header::Text(text.into()),
            },
            body: new.body,
            footer: new.footer,
            buttons: new.buttons.iter().map(|text| json!({"type": "QUICK_REPLY", "text": text})).collect(),
        };
        template.check().map_err(|problem| Error::bad(format!("template {:?}: {problem}", template.name)))?;
        templates.push(template);
    }
    let put: Vec<Value> = templates.into_iter().map(|template| world.templates.put(template).view()).collect();
    Ok(Json(json!({"templates": put})))
}

pub(super) async fn list_templates(State(world): State<Arc<World>>) -> Json<Value> {
    let view = |template: &Arc<Template>| {
        let mut view = template.view();
        view["waba"] = json!(template.waba);
        view
    };
    Json(json!({"templates": world.templates.list(None).iter().map(view).collect::<Vec<_>>()}))
}
