//! Linking a number as a companion device: bounded, and with an end that says why.
//!
//! Nothing is stored before the phone said yes, so an attempt that fails leaves the login that was there. Then the server closes the
//! stream, the new device comes back and logs in for the first time, and closes again: the caller connects it when it wants to.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::sync::{mpsc, watch};
use whatsapp_rust::{
    Client,
    pair_code::{CompanionWebClientType, PairCodeOptions},
    passkey::Assertion,
};

use super::{
    Cells, Closed, Event, Options, Shared, Sink,
    client::{self, Live},
    fate::Fate,
    inbox::Inbox,
    store::Store,
};

/// How many codes a phone may be shown before the attempt ends.
const CODES: u32 = 3;

/// Answers of the person who links; there is one at a time.
const ANSWERS: usize = 4;

/// How a number is linked.
#[derive(Clone)]
pub enum Method {
    /// The phone scans a code.
    Qr,
    /// A code of eight characters is typed into the phone of this number (E.164 with `+`).
    Code { phone: String },
}

/// What happens while a number is linked, in order. Codes are secrets: whoever sees one can take over the link.
#[derive(Clone, PartialEq)]
pub enum Step {
    /// Show this as a QR code. Another follows when it expires.
    Code { text: String, expires_in: Duration },
    /// Show this for typing.
    PairingCode { code: String, expires_in: Duration },
    /// The phone's owner must prove themselves with a passkey: pass these options to WebAuthn and the result to [`Pairing::answer_passkey`].
    Passkey { options_json: String },
    /// Show this code; when the owner says that it is the same on the phone, call [`Pairing::confirm_passkey`] if it is needed.
    PasskeyCode { code: String, needs_confirmation: bool },
    /// Something of the first login, which happens before the end.
    Event(Event),
    /// Linked, logged in once, and closed. The credentials are in the store. Nothing follows.
    Paired {
        jid: String,
        /// E.164 with `+`.
        phone: String,
        /// Digits.
        lid: Option<String>,
        device: u32,
        /// What the phone says it is, such as `android` or `smba`.
        platform: String,
        push_name: Option<String>,
    },
    /// Not linked. Nothing follows.
    Failed { reason: PairingEnd },
    /// Never told: the shown code is void and another must be asked for.
    #[doc(hidden)]
    Again,
}

/// Why a number was not linked. Its text is a sentence for whoever tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingEnd {
    #[error("Nobody scanned or typed the code in time.")]
    Expired,
    #[error("It was cancelled.")]
    Cancelled,
    #[error("WhatsApp on the phone is too old to link devices.")]
    NoMultiDevice,
    #[error("WhatsApp wants fewer attempts; wait a while before the next.")]
    TooManyAttempts { retry_after: Option<Duration> },
    #[error("WhatsApp refused to link the number: {detail}")]
    Refused { detail: String },
    #[error("The passkey was not accepted: {detail}")]
    PasskeyRefused { detail: String },
    #[error("{0}")]
    Closed(Closed),
}

impl PairingEnd {
    /// A stable code in snake case.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::NoMultiDevice => "phone_too_old",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Refused { .. } => "refused",
            Self::PasskeyRefused { .. } => "passkey_refused",
            Self::Closed(reason) => reason.reason(),
        }
    }
}

enum Answer {
    Passkey(String),
    Confirm,
}

/// An attempt to link a number. Dropping it cancels it.
pub struct Pairing {
    told: Arc<Inbox<Step>>,
    answers: mpsc::Sender<Answer>,
    cancel: watch::Sender<bool>,
}

impl Pairing {
    /// The next step; ends with [`Step::Paired`] or [`Step::Failed`], then `None`. Safe to drop.
    pub async fn next(&self) -> Option<Step> {
        self.told.next().await
    }

    /// The WebAuthn assertion as JSON: `{id, rawId, type, response: {clientDataJSON, authenticatorData, signature, userHandle}}`, all base64url.
    pub async fn answer_passkey(&self, assertion_json: String) {
        let _ = self.answers.send(Answer::Passkey(assertion_json)).await;
    }

    /// The owner saw the same code on the phone.
    pub async fn confirm_passkey(&self) {
        let _ = self.answers.send(Answer::Confirm).await;
    }
}

impl Drop for Pairing {
    fn drop(&mut self) {
        self.cancel.send_replace(true);
    }
}

pub(super) fn start(shared: Arc<Shared>, cells: Arc<dyn Cells>, sink: Arc<dyn Sink>, method: Method, options: Options) -> Pairing {
    let told = Arc::new(Inbox::new(shared.settings.event_queue));
    let (answers, asked) = mpsc::channel(ANSWERS);
    let (cancel, cancelled) = watch::channel(false);
    let inbox = told.clone();
    tokio::spawn(async move {
        let end = attempt(&shared, cells, sink, &method, &options, asked, cancelled, &inbox).await;
        inbox.end(end.unwrap_or_else(|reason| Step::Failed { reason }));
    });
    Pairing { told, answers, cancel }
}

/// One attempt, with everything that it started ended when it returns.
#[expect(clippy::too_many_arguments, reason = "what a caller gives to `start`, and the ends of its channels")]
async fn attempt(
    shared: &Shared,
    cells: Arc<dyn Cells>,
    sink: Arc<dyn Sink>,
    method: &Method,
    options: &Options,
    answers: mpsc::Receiver<Answer>,
    mut cancelled: watch::Receiver<bool>,
    told: &Arc<Inbox<Step>>,
) -> Result<Step, PairingEnd> {
    let fate = Arc::new(Fate::default());
    let store = Store::fresh(cells, fate.clone());
    let inner = Arc::new(Inbox::new(shared.settings.event_queue));
    let live = client::build(shared, store, fate, inner, sink, options).await.map_err(PairingEnd::Closed)?;
    let mut run = live.run();
    let end = tokio::select! {
        biased;
        _ = cancelled.wait_for(|cancelled| *cancelled) => Err(PairingEnd::Cancelled),
        end = tokio::time::timeout(shared.settings.pairing_timeout, link(shared, &live, method, answers, told)) => {
            end.unwrap_or(Err(PairingEnd::Expired))
        }
        reason = live.fate.ended() => Err(PairingEnd::Closed(reason)),
        _ = &mut run => Err(PairingEnd::Closed(unlinked(&live))),
    };
    let end = match end {
        Ok(paired) => match live.store.release().await {
            Ok(()) => Ok(paired),
            Err(_) => Err(PairingEnd::Closed(live.fate.reason().unwrap_or(Closed::Store { detail: "the login was not stored".into() }))),
        },
        Err(end) => Err(end),
    };
    // The phone waits for the new device to come back, and the library knows now that it may.
    if end.is_ok() {
        first_login(shared, &live, told).await;
    }
    live.veil.lift().await;
    live.fate.end(Closed::Asked);
    live.close(run).await;
    end
}

/// Shows codes until the phone has said yes, and makes the login ready to be stored.
async fn link(
    shared: &Shared,
    live: &Live,
    method: &Method,
    mut answers: mpsc::Receiver<Answer>,
    told: &Arc<Inbox<Step>>,
) -> Result<Step, PairingEnd> {
    let mut codes = 0;
    if let Method::Code { phone } = method {
        let up = live.client.wait_for_socket(shared.settings.connect_timeout + shared.settings.login_timeout).await;
        up.map_err(|error| PairingEnd::Closed(Closed::Network { detail: error.to_string() }))?;
        ask(live, phone, &mut codes).await?;
    }
    loop {
        let step = tokio::select! {
            biased;
            Some(answer) = answers.recv() => {
                reply(&live.client, answer).await?;
                continue;
            }
            step = live.inbox.next() => step.ok_or(PairingEnd::Cancelled)?,
        };
        match step {
            // The server offers both ways; only the one that was asked for is shown.
            Step::Code { .. } if matches!(method, Method::Code { .. }) => {}
            Step::Failed { reason: PairingEnd::Expired } if matches!(method, Method::Code { .. }) => {}
            Step::Failed { reason } => return Err(reason),
            Step::Again => {
                if let Method::Code { phone } = method {
                    ask(live, phone, &mut codes).await?;
                }
            }
            Step::PasskeyCode { needs_confirmation: false, code } => {
                told.push(Step::PasskeyCode { needs_confirmation: false, code });
                reply(&live.client, Answer::Confirm).await?;
            }
            paired @ Step::Paired { .. } => {
                let saved = live.client.persistence_manager().flush().await;
                saved.map_err(|error| PairingEnd::Closed(Closed::Store { detail: error.to_string() }))?;
                return Ok(paired);
            }
            step => told.push(step),
        }
    }
}

/// Asks for a code to type. The code itself is told by an event.
async fn ask(live: &Live, phone: &str, codes: &mut u32) -> Result<(), PairingEnd> {
    *codes += 1;
    if *codes > CODES {
        return Err(PairingEnd::Expired);
    }
    let options = PairCodeOptions {
        phone_number: phone.to_owned(),
        platform_id: Some(CompanionWebClientType::Electron),
        ..PairCodeOptions::default()
    };
    // Why it failed is told by an event as well, with more in it, unless it never got that far.
    match live.client.pair_with_code(options).await {
        Err(error) if error.rejection().is_none() => Err(PairingEnd::Refused { detail: error.to_string() }),
        _ => Ok(()),
    }
}

async fn reply(client: &Client, answer: Answer) -> Result<(), PairingEnd> {
    let replied = match answer {
        Answer::Passkey(json) => client.send_passkey_response(assertion(json)?).await,
        Answer::Confirm => client.send_passkey_confirmation().await,
    };
    replied.map_err(|error| PairingEnd::PasskeyRefused { detail: error.to_string() })
}

fn assertion(json: String) -> Result<Assertion, PairingEnd> {
    let malformed = || PairingEnd::PasskeyRefused { detail: "the answer is no WebAuthn assertion".into() };
    let parsed: serde_json::Value = serde_json::from_str(&json).map_err(|_| malformed())?;
    let id = parsed["rawId"].as_str().ok_or_else(malformed)?;
    let credential_id = URL_SAFE_NO_PAD.decode(id.trim_end_matches('=')).map_err(|_| malformed())?;
    Ok(Assertion { assertion_json: json.into_bytes(), credential_id })
}

/// Waits for the first login; when it does not come in time, the next connection is the first.
async fn first_login(shared: &Shared, live: &Live, told: &Arc<Inbox<Step>>) {
    let mut ready = live.handler.ready();
    let forward = async {
        while let Some(step) = live.inbox.next().await {
            if matches!(step, Step::Event(_)) {
                told.push(step);
            }
        }
    };
    tokio::select! {
        _ = ready.wait_for(|ready| *ready) => {}
        _ = live.fate.ended() => {}
        () = forward => {}
        () = tokio::time::sleep(shared.settings.login_timeout) => tracing::debug!("the first login was not over in time"),
    }
    for step in live.inbox.drain() {
        if matches!(step, Step::Event(_)) {
            told.push(step);
        }
    }
}

fn unlinked(live: &Live) -> Closed {
    live.fate.reason().unwrap_or_else(|| {
        let detail = live.pulse.ended().unwrap_or_else(|| "the connection ended before the number was linked".into());
        Closed::Network { detail }
    })
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code { .. } => f.write_str("Code"),
            Self::PairingCode { .. } => f.write_str("PairingCode"),
            Self::Passkey { .. } => f.write_str("Passkey"),
            Self::PasskeyCode { .. } => f.write_str("PasskeyCode"),
            Self::Event(event) => write!(f, "Event({event:?})"),
            Self::Paired { device, platform, .. } => write!(f, "Paired(device {device} of {platform})"),
            Self::Failed { reason } => write!(f, "Failed({})", reason.reason()),
            Self::Again => f.write_str("Again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_names_its_credential() {
        let parsed = assertion(r#"{"id": "AQID", "rawId": "AQID", "type": "public-key", "response": {}}"#.into()).unwrap();
        assert_eq!(parsed.credential_id, [1, 2, 3]);
        for json in ["", "{}", r#"{"rawId": "*"}"#] {
            assert!(matches!(assertion(json.into()), Err(PairingEnd::PasskeyRefused { .. })), "{json}");
        }
    }
}
