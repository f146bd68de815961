//! `POST /{version}/{phone-number-id}/messages`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    Error, authorised_number, check_version,
    content::{Account, Draft, draft},
    json_body,
};
use crate::{
    directory::Number,
    faults::{Armed, Kind},
    flow::{self, Line},
    phone::{Message, Step, Via, Wire},
    template::Template,
    wamid, webhook,
    world::World,
};

/// How long a `timeout_*` fault keeps the caller waiting, and a `delay` fault, when not told.
const TIMEOUT: Duration = Duration::from_secs(60);
const DELAY: Duration = Duration::from_secs(1);

pub(super) async fn send(
    State(world): State<Arc<World>>,
    Path((version, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = handle(&world, &version, &id, &headers, &body).await;
    answer.unwrap_or_else(|error| {
        world.stats.rejected.up();
        error.into_response()
    })
}

async fn handle(world: &World, version: &str, id: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, Error> {
    check_version(version)?;
    let number = authorised_number(world, headers, id)?;
    let body = json_body(body)?;
    if body["status"] == "read" {
        return mark_read(world, &number, &body);
    }
    let draft = draft(&body, &Known { world, number: &number })?;
    if let Some(fault) = world.faults.send_delay(id, &draft.wa_id) {
        pause(world, fault.delay(DELAY)).await;
    }
    let fault = world.faults.on_send(id, &draft.wa_id);
    let late = match &fault {
        Some(fault) if fault.kind == Kind::TimeoutBeforeAccept => return Ok(hang(world, fault).await),
        Some(fault) if fault.kind == Kind::Http5xx => return Ok(server_error(fault)),
        Some(fault) if fault.kind == Kind::ErrorCode => {
            let code = fault.code.unwrap_or(131_000);
            let details = "A fault armed in the simulator.";
            if fault.status.is_none() {
                return Err(Error::new(code, details).with_status(fault.http_status).with_retry_after(fault.retry_after));
            }
            Some(webhook::Error { code, details: details.into() })
        }
        _ => None,
    };
    let answer = accept(world, &number, draft, late)?;
    match fault {
        Some(fault) if fault.kind == Kind::TimeoutAfterAccept => Ok(hang(world, &fault).await),
        _ => Ok(Json(answer).into_response()),
    }
}

/// Takes the message, or says what Meta says when it cannot be taken; `late` lets it fail after it was taken.
fn accept(world: &World, number: &Arc<Number>, draft: Draft, late: Option<webhook::Error>) -> Result<Value, Error> {
    if wa_id_of(number) == draft.wa_id {
        return Err(Error::new(131_021, "Sender and recipient phone number is the same"));
    }
    let Draft { input, wa_id, opaque, shown, free_form, category, reacts_to } = draft;
    let now = world.now();
    let phones = &world.config.phones;
    let taken = world.phones.change(&wa_id, |phone| {
        let unfit = if !phone.on_whatsapp {
            Some((131_026, "Message undeliverable: the recipient is not a WhatsApp user"))
        } else if free_form && !phone.window_open(&number.phone_number_id, now) {
            Some((131_047, "Message failed to send because more than 24 hours have passed since the customer last replied to this number"))
        } else {
            None
        };
        let late = match unfit {
            Some((code, details)) if !world.config.meta.late_errors => return Err(Error::new(code, details)),
            Some((code, details)) => Some(webhook::Error { code, details: details.into() }),
            None => late,
        };
        if let Some(target) = &reacts_to {
            let target = wamid::locate(target).filter(|(phone, _)| *phone == wa_id).and_then(|(_, sequence)| phone.message(sequence));
            let target = target.ok_or_else(|| Error::new(131_009, "reaction: there is no such message"))?;
            target.reaction = Some(shown.text.clone()).filter(|emoji| !emoji.is_empty());
        }
        let sequence = phone.next_sequence();
        let wire = Arc::new(Wire {
            wamid: wamid::mint(&wa_id, sequence, world.salt, false),
            phone_number_id: number.phone_number_id.clone(),
            wa_id: wa_id.clone(),
            sequence,
            opaque,
            category,
            via: Via::Cloud,
        });
        let arrivals = match &wire.opaque {
            Some(opaque) if late.is_none() => phone.count_arrival(opaque, phones.ids_kept),
            _ => 1,
        };
        phone.add(Message::accepted(Arc::clone(&wire), shown, now), phones.messages_kept);
        Ok((wire, arrivals, late))
    });
    let full = || Error::new(131_016, "the simulator holds as many phones as it is allowed to");
    let (wire, arrivals, late) = taken.ok_or_else(full)??;
    world.stats.accepted.up();
    if arrivals > 1 {
        world.stats.duplicates.up()
    } else {
        world.stats.distinct.up()
    }
    let mut told = json!({"id": wire.wamid});
    if !free_form {
        told["message_status"] = json!("accepted");
    }
    match late {
        Some(error) => flow::schedule_failure(world, wire, Arc::clone(number), error),
        None => flow::schedule(world, wire, Line::Cloud(Arc::clone(number)), Step::Sent),
    }
    Ok(json!({"messaging_product": "whatsapp", "contacts": [{"input": input, "wa_id": wa_id}], "messages": [told]}))
}

fn wa_id_of(number: &Number) -> String {
    number.display_phone_number.chars().filter(char::is_ascii_digit).collect()
}

/// The business read a message and those before it.
fn mark_read(world: &World, number: &Number, body: &Value) -> Result<Response, Error> {
    let id = super::content::required(body, "message_id")?;
    let now = world.now();
    let (wa_id, sequence) = wamid::locate(id).ok_or_else(|| Error::parameter("Invalid parameter"))?;
    let known = world.phones.change(&wa_id, |phone| {
        let known = phone.message(sequence).is_some_and(|message| message.from_phone && message.wire.wamid == id);
        let earlier = phone.messages.iter_mut().filter(|message| {
            message.from_phone && message.wire.sequence <= sequence && message.wire.phone_number_id == number.phone_number_id
        });
        for message in earlier.filter(|_| known) {
            message.read_at.get_or_insert(now);
        }
        known
    });
    if known == Some(true) { Ok(Json(json!({"success": true})).into_response()) } else { Err(Error::parameter("Invalid parameter")) }
}

/// Waits, but not past the end of the simulator.
async fn pause(world: &World, delay: Duration) {
    tokio::select! {
        () = world.shutdown.cancelled() => {}
        () = tokio::time::sleep(delay) => {}
    }
}

/// Keeps the caller waiting; whoever is still there then gets a gateway's 504.
async fn hang(world: &World, fault: &Armed) -> Response {
    pause(world, fault.delay(TIMEOUT)).await;
    (StatusCode::GATEWAY_TIMEOUT, "upstream request timeout").into_response()
}

/// An answer that a proxy on the way might give: without Meta's error body.
fn server_error(fault: &Armed) -> Response {
    let status = fault.http_status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = (status, "<html><body>Sorry, something went wrong.</body></html>").into_response();
    if let Some(seconds) = fault.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// What the sending number may use.
struct Known<'a> {
    world: &'a World,
    number: &'a Number,
}

impl Account for Known<'_> {
    fn template(&self, name: &str, language: &str) -> Option<Arc<Template>> {
        self.world.templates.get(&self.number.waba_id, name, language)
    }

    fn has_media(&self, id: &str) -> bool {
        self.world.media.get(id).is_some()
    }
}
