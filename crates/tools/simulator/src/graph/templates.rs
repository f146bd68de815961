//! Managing message templates: `/{version}/{waba}/message_templates`.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::HeaderMap,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, authorise_account, check_version, content::required, json_body};
use crate::{
    flow::Event,
    template::{Header, Status, Template},
    world::World,
};

#[derive(Deserialize)]
pub(super) struct Filter {
    name: Option<String>,
    language: Option<String>,
    status: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

pub(super) async fn list(
    State(world): State<Arc<World>>,
    Path((version, waba)): Path<(String, String)>,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    check_version(&version)?;
    authorise_account(&world, &headers, &waba)?;
    let fits = |wanted: &Option<String>, own: &Value| wanted.as_deref().is_none_or(|wanted| own == wanted);
    let matching: Vec<Value> = world
        .templates
        .list(Some(&waba))
        .iter()
        .map(|template| template.view())
        .filter(|view| {
            fits(&filter.name, &view["name"]) && fits(&filter.language, &view["language"]) && fits(&filter.status, &view["status"])
        })
        .skip_while(|view| filter.after.as_deref().is_some_and(|after| view["id"].as_str() <= Some(after)))
        .collect();
    let limit = filter.limit.unwrap_or(25).clamp(1, 1000);
    let page = &matching[..matching.len().min(limit)];
    let mut answer = json!({"data": page});
    if let (Some(first), Some(last)) = (page.first(), page.last()) {
        answer["paging"] = json!({"cursors": {"before": first["id"], "after": last["id"]}});
        if matching.len() > limit {
            let after = last["id"].as_str().unwrap_or_default();
            answer["paging"]["next"] = json!(format!("/{version}/{waba}/message_templates?limit={limit}&after={after}"));
        }
    }
    Ok(Json(answer))
}

pub(super) async fn create(
    State(world): State<Arc<World>>,
    Path((version, waba)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    check_version(&version)?;
    authorise_account(&world, &headers, &waba)?;
    let body = json_body(&body)?;
    let (name, language) = (required(&body, "name")?, required(&body, "language")?);
    if world.templates.get(&waba, name, language).is_some() {
        return Err(Error::parameter(format!("Content in this language already exists: {name} in {language}")));
    }
    let category = required(&body, "category")?.to_ascii_uppercase();
    if !["UTILITY", "MARKETING", "AUTHENTICATION"].contains(&category.as_str()) {
        return Err(Error::parameter("Param category must be one of {AUTHENTICATION, MARKETING, UTILITY}"));
    }
    let mut template = Template {
        id: String::new(),
        waba: waba.clone(),
        name: name.to_owned(),
        language: language.to_owned(),
        category,
        status: Status::Pending,
        header: Header::None,
        body: String::new(),
        footer: None,
        buttons: Vec::new(),
    };
    set_components(&mut template, &body)?;
    let template = world.templates.put(template);
    review(&world, &template);
    Ok(Json(json!({"id": template.id, "status": template.status, "category": template.category})))
}

/// Replaces the components of a template, which is then reviewed anew.
pub(super) fn edit(world: &World, template: &Template, body: &Value) -> Result<Json<Value>, Error> {
    let mut edited = Template { header: Header::None, footer: None, buttons: Vec::new(), status: Status::Pending, ..template.clone() };
    if let Some(category) = body["category"].as_str() {
        edited.category = category.to_ascii_uppercase();
    }
    set_components(&mut edited, body)?;
    review(world, &world.templates.put(edited));
    Ok(Json(json!({"success": true})))
}

fn set_components(template: &mut Template, body: &Value) -> Result<(), Error> {
    let components = body["components"].as_array().ok_or_else(|| Error::parameter("The parameter components is required."))?;
    template.set_components(components).map_err(Error::parameter)
}

fn review(world: &World, template: &Template) {
    let numbers = world.directory.numbers();
    let Some(number) = numbers.into_iter().find(|number| number.waba_id == template.waba) else { return };
    world.timer.after(world.config.meta.template_review, Event::ApproveTemplate { id: template.id.clone(), number });
}

#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
}

pub(super) async fn delete(
    State(world): State<Arc<World>>,
    Path((version, waba)): Path<(String, String)>,
    Query(Named { name }): Query<Named>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    check_version(&version)?;
    authorise_account(&world, &headers, &waba)?;
    if world.templates.remove(&waba, &name) == 0 {
        return Err(Error::parameter("Message template not found"));
    }
    Ok(Json(json!({"success": true})))
}
