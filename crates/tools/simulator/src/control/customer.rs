//! Being the customer: writing, reading, going offline, leaving WhatsApp.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Body, Error, wa_id};
use crate::{
    directory::Number,
    flow,
    phone::{Message, Shown, Step, Via, Wire},
    wamid,
    webhook::{Item, What},
    world::World,
};

fn full() -> Error {
    Error::bad("the simulator holds as many phones as it is allowed to")
}

fn number(world: &World, id: &str) -> Result<Arc<Number>, Error> {
    world.directory.number(id).ok_or_else(|| Error::not_found(format!("there is no number {id:?}; put it under /sim/numbers/ first")))
}

#[derive(Deserialize)]
pub(super) struct Writing {
    /// The phone number id of the business, or on Web its number.
    to: String,
    #[serde(default)]
    text: Option<String>,
    /// A message of another type as Meta's webhook tells it: `{type, <type>: {...}}`.
    #[serde(default)]
    message: Option<Value>,
    /// The message answered.
    #[serde(default)]
    reply_to: Option<String>,
}

pub(super) async fn write(
    State(world): State<Arc<World>>,
    Path(path): Path<String>,
    Body(writing): Body<Writing>,
) -> Result<Json<Value>, Error> {
    let wa_id = wa_id(&path)?;
    #[cfg(feature = "web")]
    if world.directory.number(&writing.to).is_none() && world.web.is_account(&writing.to) {
        let letter = crate::web::Draft { text: writing.text, message: writing.message, reply_to: writing.reply_to };
        return crate::web::write(&world, &wa_id, &writing.to, letter).map(Json).map_err(Error::bad);
    }
    let number = number(&world, &writing.to)?;
    let mut told = match (writing.text, writing.message) {
        (Some(text), None) if !text.is_empty() => json!({"type": "text", "text": {"body": text}}),
        (None, Some(message)) if message["type"].is_string() => message,
        _ => return Err(Error::bad("give either a text or a message with its type")),
    };
    let kind = told["type"].as_str().unwrap_or_default().to_owned();
    upload(&world, &number, &mut told[&kind])?;
    let content = &told[&kind];
    let text = [
        &content["body"],
        &content["caption"],
        &content["text"],
        &content["emoji"],
        &content["button_reply"]["title"],
        &content["list_reply"]["title"],
    ]
    .into_iter()
    .find_map(Value::as_str)
    .unwrap_or_default()
    .to_owned();
    let shown = Shown { kind, text, reply_to: writing.reply_to.clone(), ..Shown::default() };
    let now = world.now();
    let added = world.phones.change(&wa_id, |phone| {
        let sequence = phone.next_sequence();
        let wire = Arc::new(Wire {
            wamid: wamid::mint(&wa_id, sequence, world.salt, true),
            phone_number_id: number.phone_number_id.clone(),
            wa_id: wa_id.clone(),
            sequence,
            opaque: None,
            category: "service".into(),
            via: Via::Cloud,
        });
        phone.last_wrote.insert(number.phone_number_id.clone(), now);
        let message =
            Message { from_phone: true, sent_at: Some(now), delivered_at: Some(now), ..Message::accepted(Arc::clone(&wire), shown, now) };
        phone.add(message, world.config.phones.messages_kept);
        (wire, phone.name.clone())
    });
    let (wire, name) = added.ok_or_else(full)?;
    told["from"] = json!(wa_id);
    told["id"] = json!(wire.wamid);
    told["timestamp"] = json!(now.timestamp().to_string());
    if let Some(answered) = writing.reply_to {
        let from: String = number.display_phone_number.chars().filter(char::is_ascii_digit).collect();
        told["context"] = json!({"from": from, "id": answered});
    }
    let contact = json!({"profile": {"name": name}, "wa_id": wa_id, "user_id": user_id(&wa_id)});
    world.stats.inbound.up();
    flow::tell(&world, Item { number: Arc::clone(&number), what: What::Inbound { wa_id: wa_id.clone(), contact, message: told } });
    Ok(Json(json!({"id": wire.wamid, "wa_id": wa_id, "phone_number_id": number.phone_number_id})))
}

/// A file that is given by its bytes in base64 goes to Meta, and the webhook names it by its id.
fn upload(world: &World, number: &Number, content: &mut Value) -> Result<(), Error> {
    let Some(data) = content.as_object_mut().and_then(|content| content.remove("data")) else { return Ok(()) };
    let bytes = data.as_str().and_then(|data| BASE64_STANDARD.decode(data).ok()).ok_or_else(|| Error::bad("the data is not base64"))?;
    let mime_type = content["mime_type"].as_str().unwrap_or("application/octet-stream").to_owned();
    let media = world.media.add(&number.phone_number_id, &mime_type, bytes.into(), world.config.meta.media_bytes);
    (content["id"], content["sha256"]) = (json!(media.id), json!(media.sha256));
    Ok(())
}

/// A business-scoped user id: the same for the same phone, and not its number.
fn user_id(wa_id: &str) -> String {
    let digest = Sha256::digest(wa_id);
    let number = digest[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("ZZ.{number:020}")
}

pub(super) async fn read(State(world): State<Arc<World>>, Path(path): Path<String>) -> Result<Json<Value>, Error> {
    let wa_id = wa_id(&path)?;
    let now = world.now();
    let marked = world.phones.change(&wa_id, |phone| {
        let mut read = Vec::new();
        let mut not_yet_delivered = 0;
        for message in phone.messages.iter_mut().filter(|message| !message.from_phone && message.failed.is_none()) {
            match (message.delivered_at, message.read_at) {
                (Some(_), None) => {
                    message.read_at = Some(now);
                    read.push(Arc::clone(&message.wire));
                }
                (None, _) => not_yet_delivered += 1,
                (Some(_), Some(_)) => {}
            }
        }
        (read, not_yet_delivered)
    });
    let (read, not_yet_delivered) = marked.ok_or_else(full)?;
    for wire in &read {
        if let Some(line) = flow::line(&world, wire) {
            flow::tell_step(&world, wire, &line, Step::Read);
        }
    }
    Ok(Json(json!({"read": read.len(), "not_yet_delivered": not_yet_delivered})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    name: Option<String>,
    on_whatsapp: Option<bool>,
    auto_read: Option<bool>,
    offline: Option<bool>,
}

pub(super) async fn set(
    State(world): State<Arc<World>>,
    Path(path): Path<String>,
    Body(settings): Body<Settings>,
) -> Result<Json<Value>, Error> {
    let wa_id = wa_id(&path)?;
    let changed = world.phones.change(&wa_id, |phone| {
        let back = phone.offline && settings.offline == Some(false);
        if let Some(name) = settings.name {
            phone.name = name;
        }
        phone.on_whatsapp = settings.on_whatsapp.unwrap_or(phone.on_whatsapp);
        phone.auto_read = settings.auto_read.or(phone.auto_read);
        phone.offline = settings.offline.unwrap_or(phone.offline);
        let waits = |message: &&Message| message.sent_at.is_some() && message.delivered_at.is_none() && message.failed.is_none();
        let waiting: Vec<_> = phone.messages.iter().filter(waits).filter(|_| back).map(|message| Arc::clone(&message.wire)).collect();
        let view = json!({
            "wa_id": wa_id, "name": phone.name, "on_whatsapp": phone.on_whatsapp, "auto_read": phone.auto_read, "offline": phone.offline,
        });
        (waiting, view)
    });
    let (waiting, view) = changed.ok_or_else(full)?;
    for wire in waiting {
        if let Some(line) = flow::line(&world, &wire) {
            flow::schedule(&world, wire, line, Step::Delivered);
        }
    }
    Ok(Json(view))
}

#[derive(Deserialize)]
pub(super) struct Window {
    #[serde(alias = "to")]
    number: String,
    /// When the customer last wrote; null closes the window.
    last_wrote: Option<DateTime<Utc>>,
}

pub(super) async fn set_window(
    State(world): State<Arc<World>>,
    Path(path): Path<String>,
    Body(window): Body<Window>,
) -> Result<Json<Value>, Error> {
    let wa_id = wa_id(&path)?;
    let number = number(&world, &window.number)?;
    let until = world.phones.change(&wa_id, |phone| {
        match window.last_wrote {
            Some(at) => phone.last_wrote.insert(number.phone_number_id.clone(), at),
            None => phone.last_wrote.remove(&number.phone_number_id),
        };
        phone.window_until(&number.phone_number_id)
    });
    Ok(Json(json!({"wa_id": wa_id, "phone_number_id": number.phone_number_id, "window_open_until": until.ok_or_else(full)?})))
}
