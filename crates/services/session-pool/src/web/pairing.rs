//! A pairing from its beginning to its end. How it stands is in the database: the person may look from anywhere.

use std::{sync::Arc, time::Duration};

use barid_domain::{Clock, SessionId, TenantId};
use barid_proto::{
    session_pool::v1::{Pairing, PairingState},
    timestamp,
};
use barid_whatsapp::web::{Event, Method, Options, Step};
use chrono::TimeDelta;
use tokio::time::Instant;

use super::{Devices, connection};
use crate::{Error, store::Opened};

/// A code and a sentence.
type End = (&'static str, String);

const INTERRUPTED: &str = "The pairing was interrupted; start again.";

fn cancelled() -> End {
    ("cancelled", "The pairing was cancelled.".to_owned())
}

/// How often it is looked whether the person wants something.
const LOOK: Duration = Duration::from_millis(500);

/// Pairs, and writes how it ends.
pub(super) async fn run(devices: Arc<Devices>, tenant: TenantId, session: SessionId, opened: Opened, by_code: bool, lasts: Duration) {
    let attempt = opened.attempt;
    let (reason, text) = match tokio::time::timeout(lasts, pair(&devices, tenant, session, &opened, by_code)).await {
        Ok(Ok(None)) => {
            tracing::info!(%session, %tenant, "linked");
            return;
        }
        Ok(Ok(Some(end))) => end,
        Ok(Err(error)) => {
            tracing::warn!(%session, %error, "a pairing was interrupted");
            ("interrupted", INTERRUPTED.to_owned())
        }
        Err(_) => ("expired", "Nobody scanned or typed the code in time; start again when the phone is at hand.".to_owned()),
    };
    tracing::info!(%session, %tenant, reason, "not linked");
    let (reason, state) = (reason.to_owned(), PairingState::Failed.into());
    let ended = Pairing { state, reason, reason_text: text, done: true, ..Pairing::default() };
    if let Err(error) = devices.house.store.set_pairing(tenant, session, attempt, ended).await {
        tracing::warn!(%session, %error, "the end of a pairing is not written; it ends by its time");
    }
}

/// `None` when it is linked, or why it is not.
async fn pair(devices: &Devices, tenant: TenantId, session: SessionId, opened: &Opened, by_code: bool) -> Result<Option<End>, Error> {
    let (store, clock) = (&devices.house.store, &devices.house.clock);
    let cells = devices.cells(session, tenant, opened.epoch).await?;
    let method = if by_code { Method::Code { phone: opened.phone.clone() } } else { Method::Qr };
    let options = Options {
        presence: opened.presence,
        device_name: Some(opened.device_name.clone()).filter(|name| !name.is_empty()),
        history_days: opened.history_days,
    };
    let pairing = devices.web.pair(cells, devices.sink(session, tenant), method, options);
    let (mut answered, mut confirming) = (false, false);
    loop {
        let look = Instant::now() + LOOK;
        let Ok(step) = tokio::time::timeout_at(look, pairing.next()).await else {
            let wishes = store.pairing_wishes(tenant, session, opened.attempt).await?;
            if wishes.cancelled {
                return Ok(Some(cancelled()));
            }
            if let Some(answer) = wishes.passkey_answer.filter(|_| !answered) {
                answered = true;
                if confirming { pairing.confirm_passkey().await } else { pairing.answer_passkey(answer).await }
            }
            continue;
        };
        let shown = match step {
            None => return Ok(Some(("interrupted", INTERRUPTED.to_owned()))),
            Some(Step::Code { text, expires_in }) => {
                Pairing { state: PairingState::Scan.into(), qr: text, code_expire_time: at(&**clock, expires_in), ..Pairing::default() }
            }
            Some(Step::PairingCode { code, expires_in }) => {
                Pairing { state: PairingState::Type.into(), code, code_expire_time: at(&**clock, expires_in), ..Pairing::default() }
            }
            Some(Step::Passkey { options_json }) => {
                Pairing { state: PairingState::Passkey.into(), passkey_options: options_json, ..Pairing::default() }
            }
            Some(Step::Paired { phone, .. }) => {
                if phone != opened.phone {
                    unlink(devices, tenant, session, opened).await;
                    let text = "The phone that linked has another number than the session; use the session's phone, or correct the number.";
                    return Ok(Some(("wrong_number", text.to_owned())));
                }
                store.linked(tenant, session, opened.attempt, devices.house.replica).await?;
                return Ok(None);
            }
            Some(Step::PasskeyCode { code, needs_confirmation }) => {
                // What is answered next is whether the phone shows the same code.
                (confirming, answered) = (needs_confirmation, !needs_confirmation);
                Pairing { state: PairingState::Passkey.into(), code, ..Pairing::default() }
            }
            Some(Step::Event(event)) => {
                connection::tell_of(&devices.receipts, session, tenant, vec![event]).await;
                continue;
            }
            Some(Step::Again) => continue,
            Some(Step::Failed { reason }) => return Ok(Some((reason.reason(), reason.to_string()))),
        };
        if !store.set_pairing(tenant, session, opened.attempt, shown).await? {
            return Ok(Some(cancelled()));
        }
    }
}

fn at(clock: &dyn Clock, after: Duration) -> Option<prost_types::Timestamp> {
    Some(timestamp(clock.now() + TimeDelta::from_std(after).unwrap_or_default()))
}

/// Takes a device off a phone that should not have it.
async fn unlink(devices: &Devices, tenant: TenantId, session: SessionId, opened: &Opened) {
    let Ok(cells) = devices.cells(session, tenant, opened.epoch).await else { return };
    match devices.web.connect(cells, devices.sink(session, tenant), Options::default()).await {
        Ok(connection) => {
            // What is heard meanwhile is nothing of ours, and holds back the last word until somebody lets it go.
            let listen = async {
                while let Some(event) = connection.next_event().await {
                    if let Event::Receipt(receipt) = event {
                        receipt.hold.release();
                    }
                }
            };
            tokio::join!(connection.logout(), listen);
        }
        Err(error) => tracing::warn!(%session, %error, "the device of another number stays on its phone"),
    }
}
