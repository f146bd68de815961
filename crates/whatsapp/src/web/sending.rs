//! What a connection does for its caller: send, ask, download.

use std::time::Duration;

use bytes::Bytes;
use wacore::download::MediaType;
use wacore_binary::Jid;
use whatsapp_rust::{NodeFilter, SendError, SendOptions, download::DownloadParams};

use super::{
    Closed, Connection, MediaKind, MediaPointer, NumberCheck, Person, compose,
    connection::{gone, not_sent},
    inbound, nack,
};
use crate::{Action, Failure, Outgoing, Sent};

/// How long the library may go on after the ack came.
const AFTERMATH: Duration = Duration::from_secs(1);

pub(super) async fn send(connection: &Connection, out: Outgoing) -> Result<Sent, Failure> {
    let live = &connection.live;
    let Some(id) = out.wire_id.clone().filter(|id| !id.is_empty()) else {
        return Err(dead("no_wire_id", "a message on WhatsApp Web needs its id from the start"));
    };
    let phone = out.recipient.strip_prefix('+').filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(phone) = phone else { return Err(dead("invalid_recipient", "the recipient is no number with + and country code")) };
    if !connection.is_open() {
        return Err(gone());
    }
    let to = Jid::pn(phone);
    let message = compose::message(connection, &to, &out).await?;
    let Some(mut ack) = live.acks.expect(&id) else {
        return Err(Failure { action: Action::Uncertain, ..not_sent("already_sending", "this message is on its way") });
    };
    let mut left = live.client.wait_for_sent_node(NodeFilter::tag("message").attr("id", id.clone()));
    let write = async {
        if connection.ready().await.is_err() {
            return Err(gone());
        }
        let unread = |error: &dyn std::fmt::Display| not_sent("store_unavailable", &error.to_string());
        live.store.meet(phone).await.map_err(|error| unread(&error))?;
        // Signal sessions stand under the LID. The library looks in its memory only, so it is put there first.
        live.client.get_lid_pn_entry(&to).await.map_err(|error| unread(&error))?;
        let options = SendOptions::default().with_message_id(id.clone());
        live.client.send_message_with_options(to.clone(), message, options).await.map_err(|error| unsent(&error))?;
        Ok(())
    };
    let sending = async {
        let mut write = std::pin::pin!(write);
        tokio::select! {
            biased;
            answer = ack.answer() => {
                // The ack overtook what the library still does after it wrote, such as keeping the message's secret.
                let _ = tokio::time::timeout(AFTERMATH, write).await;
                return answer.ok_or_else(gone);
            }
            written = &mut write => written?,
        }
        ack.answer().await.ok_or_else(gone)
    };
    let answer = tokio::select! {
        biased;
        answer = tokio::time::timeout(connection.shared.settings.ack_timeout, sending) => {
            answer.unwrap_or_else(|_| Err(not_sent("no_ack", "WhatsApp did not say in time that it took the message")))
        }
        _ = live.fate.ended() => Err(gone()),
    };
    match answer {
        Ok(Ok(())) => {
            // What a retry receipt needs is stored before anybody is told that the message was sent.
            if let Err(error) = live.store.flush().await {
                tracing::warn!(%error, wire_id = id, "a sent message was not stored for retries");
            }
            learn(connection, &to).await;
            Ok(Sent::Acknowledged { provider_id: id.clone() })
        }
        Ok(Err(code)) => Err(nack::refused(&code)),
        Err(failure) if matches!(left.try_recv(), Ok(Some(_))) => Err(Failure { action: Action::Uncertain, ..failure }),
        Err(failure) => Err(failure),
    }
}

async fn learn(connection: &Connection, to: &Jid) {
    if let Ok(Some(entry)) = connection.live.client.get_lid_pn_entry(to).await {
        let person = Person { phone: Some(format!("+{}", entry.phone_number)), lid: Some(entry.lid.to_string()), name: None };
        connection.live.handler.learn(&person);
    }
}

/// The library gave up before or while writing.
fn unsent(error: &SendError) -> Failure {
    match error {
        SendError::InvalidRequest(_) => dead("malformed", "the message cannot be sent to this recipient"),
        SendError::NotLoggedIn => gone(),
        // Its text may name people.
        _ => not_sent("not_sent", "the message could not be prepared or written"),
    }
}

pub(super) fn dead(reason: &'static str, detail: &str) -> Failure {
    Failure { action: Action::DeadLetter, ..not_sent(reason, detail) }
}

/// WhatsApp takes about this many numbers in one question.
const ASKED_AT_ONCE: usize = 50;

pub(super) async fn check_numbers(connection: &Connection, numbers: &[String]) -> Result<Vec<NumberCheck>, Failure> {
    let client = &connection.live.client;
    let mut checks = Vec::with_capacity(numbers.len());
    for numbers in numbers.chunks(ASKED_AT_ONCE) {
        let digits = |number: &String| number.chars().filter(char::is_ascii_digit).collect::<String>();
        let asked: Vec<Jid> = numbers.iter().map(|number| Jid::pn(digits(number))).collect();
        let ask = async { client.contacts().is_on_whatsapp(&asked).await };
        let answers = connection.within(connection.shared.settings.ack_timeout, ask).await?;
        let answers = answers.map_err(|error| not_sent("not_checked", &code_of(&error.to_string())))?;
        for (number, jid) in numbers.iter().zip(&asked) {
            let answer =
                answers.iter().find(|answer| answer.jid.user == jid.user || answer.pn_jid.as_ref().is_some_and(|pn| pn.user == jid.user));
            let exists = answer.is_some_and(|answer| answer.is_registered);
            let lid = answer.and_then(|answer| answer.lid.as_ref().or(Some(&answer.jid).filter(|jid| inbound::is_lid(jid))));
            let check = NumberCheck {
                number: number.clone(),
                exists,
                lid: lid.filter(|_| exists).map(|lid| lid.user.to_string()),
                jid: answer.filter(|_| exists).map(|answer| answer.jid.to_string()),
                is_business: answer.is_some_and(|answer| answer.is_business),
            };
            connection.live.handler.learn(&Person { phone: Some(number.clone()), lid: check.lid.clone(), name: None });
            checks.push(check);
        }
    }
    Ok(checks)
}

/// The library's words may hold numbers; digits longer than a code are left out.
fn code_of(text: &str) -> String {
    let words = text.split_inclusive(|letter: char| !letter.is_ascii_digit());
    words.map(|word| if word.chars().filter(char::is_ascii_digit).count() > 5 { "… ".into() } else { word.to_owned() }).collect()
}

pub(super) async fn download(connection: &Connection, media: &MediaPointer, limit: u64) -> Result<Bytes, Failure> {
    let limit = limit.min(connection.shared.settings.media_limit);
    if media.length > limit {
        return Err(dead("media_too_large", &format!("the file has {} bytes, and {limit} are allowed", media.length)));
    }
    let _room = connection.shared.room(media.length).await;
    let params = DownloadParams::encrypted(
        media.direct_path.clone(),
        &media.media_key,
        &media.file_sha256,
        &media.file_enc_sha256,
        media.length,
        kind(media.kind),
    );
    // The library tries several hosts, and each may take its time.
    let time: Duration = connection.shared.settings.media_timeout;
    let file = connection.within(time, connection.live.client.download_from_params(&params)).await?;
    match file {
        Ok(file) if file.len() as u64 > limit => Err(dead("media_too_large", "the file is larger than its sender said")),
        Ok(file) => Ok(file.into()),
        Err(_) if connection.live.fate.reason().is_some_and(|reason| reason != Closed::Asked) => Err(gone()),
        Err(error) => {
            let text = error.to_string();
            let is_gone = ["404", "410", "403"].iter().any(|code| text.contains(code));
            Err(if is_gone {
                dead("media_gone", "WhatsApp no longer keeps the file")
            } else {
                not_sent("media_unavailable", "the file could not be fetched or is not what it should be")
            })
        }
    }
}

pub(super) const fn kind(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Image => MediaType::Image,
        MediaKind::Video => MediaType::Video,
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Document => MediaType::Document,
        MediaKind::Sticker => MediaType::Sticker,
    }
}
