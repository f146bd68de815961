//! Looking at phones.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, wa_id};
use crate::{
    phone::{Message, Phone, Via},
    world::World,
};

/// Characters of the last message shown in the list of phones.
const PREVIEW: usize = 80;

#[derive(Deserialize)]
pub(super) struct Filter {
    /// Part of a number or name.
    #[serde(default)]
    q: String,
    limit: Option<usize>,
}

/// The phones, those with the newest changes first.
pub(super) async fn list(State(world): State<Arc<World>>, Query(filter): Query<Filter>) -> Json<Value> {
    let matches = |wa_id: &str, phone: &Phone| wa_id.contains(filter.q.trim_start_matches('+')) || phone.name.contains(&filter.q);
    let mut found = world.phones.collect(|wa_id, phone| matches(wa_id, phone).then(|| (phone.changed, wa_id.to_owned())));
    found.sort_unstable_by(|a, b| b.cmp(a));
    let total = found.len();
    found.truncate(filter.limit.unwrap_or(200).clamp(1, 10_000));
    let phones: Vec<Value> = found.iter().filter_map(|(_, wa_id)| world.phones.look(wa_id, |phone| summary(wa_id, phone))).collect();
    Json(json!({"phones": phones, "total": total}))
}

fn summary(wa_id: &str, phone: &Phone) -> Value {
    let last = phone.messages.back().map(|message| {
        json!({
            "text": message.shown.text.chars().take(PREVIEW).collect::<String>(),
            "type": message.shown.kind,
            "from": from(message),
            "at": message.accepted_at,
            "state": message.state(),
        })
    });
    let unread = phone.messages.iter().filter(|message| !message.from_phone && message.state() == "delivered").count();
    json!({
        "wa_id": wa_id,
        "name": phone.name,
        "on_whatsapp": phone.on_whatsapp,
        "auto_read": phone.auto_read,
        "offline": phone.offline,
        "messages": phone.messages.len(),
        "truncated": phone.truncated,
        "duplicates": phone.duplicates(),
        "unread": unread,
        "last": last,
    })
}

fn from(message: &Message) -> &'static str {
    if message.from_phone { "customer" } else { "business" }
}

#[derive(Deserialize)]
pub(super) struct Part {
    /// Only the conversation with this number.
    number: Option<String>,
}

/// What one phone shows, by conversation. A phone that nobody wrote to shows nothing; it is not an error to look.
pub(super) async fn get(State(world): State<Arc<World>>, Path(path): Path<String>, Query(part): Query<Part>) -> Result<Json<Value>, Error> {
    let wa_id = wa_id(&path)?;
    let view = |phone: &Phone| {
        let mut ids: Vec<&str> = phone.messages.iter().map(|message| message.wire.phone_number_id.as_str()).collect();
        ids.extend(phone.last_wrote.keys().map(String::as_str));
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| part.number.as_deref().is_none_or(|only| only == *id));
        let conversations: Vec<Value> = ids.iter().map(|id| conversation(&world, phone, id)).collect();
        json!({
            "wa_id": wa_id,
            "name": phone.name,
            "on_whatsapp": phone.on_whatsapp,
            "auto_read": phone.auto_read,
            "offline": phone.offline,
            "truncated": phone.truncated,
            "duplicates": phone.duplicates(),
            "changed": phone.changed,
            "conversations": conversations,
        })
    };
    let untouched = Phone::new(&wa_id);
    Ok(Json(world.phones.look(&wa_id, view).unwrap_or_else(|| view(&untouched))))
}

fn conversation(world: &World, phone: &Phone, id: &str) -> Value {
    let number = world.directory.number(id);
    let messages = phone.messages.iter().filter(|message| message.wire.phone_number_id == id);
    let web = if number.is_none() { world.web_account(id) } else { None };
    let via_web = web.is_some();
    let (display, name) = match number {
        Some(number) => (Some(number.display_phone_number.clone()), Some(number.verified_name.clone())),
        None => web.map_or((None, None), |name| (Some(format!("+{id}")), Some(name))),
    };
    json!({
        "phone_number_id": id,
        "via": if via_web { "web" } else { "cloud" },
        "display_phone_number": display,
        "verified_name": name,
        "window_open": phone.window_open(id, world.now()),
        "window_open_until": phone.window_until(id),
        "messages": messages.map(|message| message_view(phone, message)).collect::<Vec<_>>(),
    })
}

fn message_view(phone: &Phone, message: &Message) -> Value {
    let mut view = serde_json::to_value(&message.shown).unwrap_or_default();
    view["wamid"] = json!(message.wire.wamid);
    view["via"] = json!(if message.wire.via == Via::Cloud { "cloud" } else { "web" });
    view["from"] = json!(from(message));
    view["state"] = json!(message.state());
    view["biz_opaque_callback_data"] = json!(message.wire.opaque);
    view["received"] = json!(phone.arrivals(message));
    view["accepted_at"] = json!(message.accepted_at);
    view["sent_at"] = json!(message.sent_at);
    view["delivered_at"] = json!(message.delivered_at);
    view["read_at"] = json!(message.read_at);
    for (key, happened) in [("edited", message.edited), ("deleted", message.deleted)] {
        if happened {
            view[key] = json!(true);
        }
    }
    if let Some(failed) = &message.failed {
        view["failed"] = json!(failed);
    }
    if let Some(reaction) = &message.reaction {
        view["reaction"] = json!(reaction);
    }
    view
}
