//! From the library's events to ours.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;
use wacore::types::{
    events::{ConnectFailureReason, Event as Lib, EventHandler, EventInterest, EventKind, InboundMessage, LoggedOut},
    presence::ReceiptType,
};
use whatsapp_rust::{Client, InboundDurabilityHook, anyhow};

use super::{
    Alias, Chat, Closed, Event, Inbound, InboundKind, Person, Receipt, ReceiptKind, Sink,
    acks::Acks,
    barrier::Barrier,
    fate::Fate,
    inbound,
    inbox::Inbox,
    pairing::{PairingEnd, Step},
};

/// People of whom it was told that number and LID are the same. Told twice is harmless.
const TOLD: usize = 1024;

/// What the library tells of. Everything else costs nothing.
const INTEREST: [EventKind; 25] = [
    EventKind::Connected,
    EventKind::PairSuccess,
    EventKind::PairError,
    EventKind::LoggedOut,
    EventKind::PairingQrCode,
    EventKind::PairingCode,
    EventKind::PairingCodeRefresh,
    EventKind::PairingCodeError,
    EventKind::PairingQrCodesExhausted,
    EventKind::QrScannedWithoutMultidevice,
    EventKind::ClientOutdated,
    EventKind::Messages,
    EventKind::Receipt,
    EventKind::ServerAck,
    EventKind::UndecryptableMessage,
    EventKind::MissedCall,
    EventKind::SelfPushNameUpdated,
    EventKind::IdentityChange,
    EventKind::StreamReplaced,
    EventKind::TemporaryBan,
    EventKind::ConnectFailure,
    EventKind::Disconnected,
    EventKind::PairPasskeyRequest,
    EventKind::PairPasskeyConfirmation,
    EventKind::PairPasskeyError,
];

pub(super) struct Handler {
    client: Weak<Client>,
    fate: Arc<Fate>,
    acks: Arc<Acks>,
    inbox: Arc<Inbox<Step>>,
    barrier: Arc<Barrier>,
    presence: bool,
    /// Whether the login is over and what was kept for us has arrived.
    ready: watch::Sender<bool>,
    told: Mutex<HashSet<String>>,
}

impl Handler {
    pub fn new(
        client: &Arc<Client>,
        fate: Arc<Fate>,
        acks: Arc<Acks>,
        inbox: Arc<Inbox<Step>>,
        barrier: Arc<Barrier>,
        presence: bool,
    ) -> Self {
        let ready = watch::Sender::new(false);
        Self { client: Arc::downgrade(client), fate, acks, inbox, barrier, presence, ready, told: Mutex::default() }
    }

    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    fn tell(&self, event: Event) {
        self.inbox.push(Step::Event(event));
    }

    /// Tells of a person whose number and LID are both known, once.
    pub fn learn(&self, person: &Person) {
        let (Some(phone), Some(lid)) = (&person.phone, &person.lid) else { return };
        {
            let mut told = self.told.lock();
            if told.len() >= TOLD {
                told.clear();
            }
            if !told.insert(format!("{phone}/{lid}")) {
                return;
            }
        }
        self.tell(Event::Alias(Alias { phone: phone.clone(), lid: lid.clone() }));
    }

    fn messages(&self, messages: &[InboundMessage], is_committed: bool) {
        for message in messages {
            self.learn(&inbound::sender(&message.info));
            if !is_committed && let Some(message) = inbound::inbound(message) {
                self.tell(Event::Message(Box::new(message)));
            }
        }
    }

    fn receipt(&self, receipt: &wacore::types::events::Receipt) {
        let kind = match &receipt.r#type {
            ReceiptType::Delivered | ReceiptType::Inactive => ReceiptKind::Delivered,
            ReceiptType::Read => ReceiptKind::Read,
            ReceiptType::Played => ReceiptKind::Played,
            _ => return,
        };
        if receipt.source.is_from_me {
            return;
        }
        let from = inbound::person(&receipt.source.sender, receipt.source.sender_alt.as_ref(), "");
        self.learn(&from);
        let (provider_ids, hold) = (receipt.message_ids.clone(), self.barrier.hold());
        self.tell(Event::Receipt(Receipt { provider_ids, kind, from, time: receipt.timestamp, hold }));
    }

    /// The library announced the account when it learnt its name.
    fn stay_hidden(&self) {
        let Some(client) = self.client.upgrade().filter(|_| !self.presence) else { return };
        tokio::spawn(async move {
            // It does so on a task of its own that was started just after this one.
            tokio::task::yield_now().await;
            if let Err(error) = client.presence().set_unavailable().await {
                tracing::debug!(%error, "presence was not taken back");
            }
        });
    }

    fn fail(&self, end: PairingEnd) {
        self.inbox.push(Step::Failed { reason: end });
    }
}

impl EventHandler for Handler {
    fn interest(&self) -> EventInterest {
        EventInterest::of(&INTEREST)
    }

    fn handle_event(&self, event: Arc<Lib>) {
        match &*event {
            Lib::Connected(_) => {
                self.ready.send_replace(true);
            }
            Lib::Messages(batch) => self.messages(&batch.messages, batch.hook_committed),
            Lib::Receipt(receipt) => self.receipt(receipt),
            Lib::ServerAck(ack) if ack.class.as_deref().is_none_or(|class| class == "message") => {
                self.acks.answered(&ack.id, ack.error.clone().map_or(Ok(()), Err));
            }
            Lib::UndecryptableMessage(failed) => self.tell(Event::Undecryptable {
                provider_id: failed.info.id.clone(),
                sender: inbound::sender(&failed.info),
                time: failed.info.timestamp,
            }),
            Lib::MissedCall(call) => {
                let sender = inbound::person(&call.from, None, "");
                self.tell(Event::Message(Box::new(Inbound {
                    provider_id: call.call_id.clone(),
                    chat: Chat::Person(sender.clone()),
                    sender,
                    from_me: false,
                    time: call.timestamp,
                    quoted_id: None,
                    expires_in: None,
                    kind: InboundKind::MissedCall,
                })));
            }
            Lib::IdentityChange(change) => {
                self.tell(Event::IdentityChanged(inbound::person(&change.user, change.lid_user.as_ref(), "")));
            }
            Lib::SelfPushNameUpdated(name) => {
                self.tell(Event::Named { push_name: name.new_name.clone() });
                self.stay_hidden();
            }
            Lib::StreamReplaced(_) => self.fate.end(Closed::Replaced),
            Lib::LoggedOut(out) => self.fate.end(logged_out(out)),
            Lib::ClientOutdated(_) => self.fate.end(Closed::Outdated),
            Lib::TemporaryBan(ban) => {
                self.fate.end(Closed::TemporaryBan { code: ban.code.code(), lasts: ban.expire.to_std().unwrap_or_default() })
            }
            Lib::ConnectFailure(failure) => self.fate.end(refused(failure.reason)),
            Lib::PairingQrCode(code) => self.inbox.push(Step::Code { text: code.code.clone(), expires_in: code.timeout }),
            Lib::PairingCode(code) => self.inbox.push(Step::PairingCode { code: code.code.clone(), expires_in: code.timeout }),
            Lib::PairingCodeRefresh(_) => self.inbox.push(Step::Again),
            Lib::PairingCodeError(error) => self.fail(match error.rejection {
                Some(rejection) if rejection.is_throttled() => PairingEnd::TooManyAttempts { retry_after: error.backoff },
                _ => PairingEnd::Refused { detail: error.error.clone() },
            }),
            Lib::PairingQrCodesExhausted(_) => self.fail(PairingEnd::Expired),
            Lib::QrScannedWithoutMultidevice(_) => self.fail(PairingEnd::NoMultiDevice),
            Lib::PairError(error) => self.fail(PairingEnd::Refused { detail: error.error.clone() }),
            Lib::PairPasskeyRequest(request) => {
                self.inbox.push(Step::Passkey { options_json: request.request_options_json.clone() });
            }
            Lib::PairPasskeyConfirmation(confirmation) => {
                self.inbox.push(Step::PasskeyCode { code: confirmation.code.clone(), needs_confirmation: !confirmation.skip_handoff_ux })
            }
            Lib::PairPasskeyError(error) => self.fail(PairingEnd::PasskeyRefused { detail: error.error.clone() }),
            // A connection that breaks ends. What the library expects is none of these: after linking the server closes the stream, and the new
            // device comes back, maybe before we hear of the success.
            Lib::Disconnected(_) => {
                if let Some(client) = self.client.upgrade() {
                    client.enable_auto_reconnect.store(false, std::sync::atomic::Ordering::Relaxed);
                }
            }
            Lib::PairSuccess(paired) => {
                self.inbox.push(Step::Paired {
                    jid: paired.id.to_non_ad().to_string(),
                    phone: format!("+{}", paired.id.user),
                    lid: Some(paired.lid.user.to_string()).filter(|lid| !lid.is_empty()),
                    device: u32::from(paired.id.device),
                    platform: paired.platform.clone(),
                    push_name: Some(paired.business_name.clone()).filter(|name| !name.is_empty()),
                });
            }
            _ => {}
        }
    }
}

fn logged_out(out: &LoggedOut) -> Closed {
    match out.reason {
        ConnectFailureReason::AccountLocked => Closed::Locked,
        _ => Closed::LoggedOut,
    }
}

fn refused(reason: ConnectFailureReason) -> Closed {
    match reason {
        ConnectFailureReason::InternalServerError | ConnectFailureReason::ServiceUnavailable => Closed::Restart { code: reason.code() },
        ConnectFailureReason::Unknown(429) => Closed::RateLimited,
        _ => Closed::Refused { code: reason.code() },
    }
}

/// Commits messages before the library acks them.
pub(super) struct Durable {
    pub sink: Arc<dyn Sink>,
    pub fate: Arc<Fate>,
}

#[async_trait]
impl InboundDurabilityHook for Durable {
    async fn on_messages(&self, _client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let batch: Vec<Inbound> = batch.iter().filter_map(inbound::inbound).collect();
        if batch.is_empty() {
            return Ok(());
        }
        self.sink.inbound(batch).await.map_err(|error| {
            self.fate.end(Closed::Store { detail: error.to_string() });
            anyhow::Error::new(error)
        })
    }
}
