//! Faults that are armed over the control API, and which of them strikes.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Faults remembered; the oldest spent ones give way first.
const KEPT: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The send is never answered and never accepted.
    TimeoutBeforeAccept,
    /// The send is accepted and never answered.
    TimeoutAfterAccept,
    /// The send is answered with a server error that is not one of Meta's own.
    #[serde(rename = "http_5xx")]
    Http5xx,
    /// The send is answered with one of Meta's errors or, with `status: failed`, accepted and failed later.
    ErrorCode,
    DropWebhook,
    DuplicateWebhook,
    /// The webhook is held back while later ones pass.
    ReorderWebhooks,
    /// The answer to the send comes late or, with a `status`, that webhook does.
    Delay,
    /// A message is taken and shown, and never acknowledged.
    WebNoAck,
    /// A message is refused with a code, such as 463.
    WebNack,
    /// The acknowledgement comes late or, with a `status`, the receipt or inbound message does.
    WebDelay,
    /// The receipt or inbound message is lost on its way.
    WebDrop,
    /// Stanzas that wait are sent in the opposite order.
    WebReorder,
    /// The connection ends without a word.
    WebClose,
    /// A frame that no key opens.
    WebGarbage,
    /// Another connection took the device's place.
    WebReplaced,
    /// The phone has unlinked the device.
    WebRemoved,
    /// The stream ends with a code, such as 429, 503 or 515.
    WebStreamError,
    /// A login is refused with a temporary ban.
    WebBan,
    /// A login is refused with a code.
    WebRefused,
}

impl Kind {
    /// Whether it is of the Web protocol.
    pub(crate) fn is_web(self) -> bool {
        self >= Self::WebNoAck
    }

    /// Whether it ends or disturbs a connection as such.
    pub(crate) fn of_connections(self) -> bool {
        self >= Self::WebClose
    }
}

/// When a fault of a Web connection strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Moment {
    /// As it is armed, at who is connected then.
    Now,
    Login,
    /// When a message comes, which is then not taken.
    Message,
    /// When a message was taken and shown, which is then not acknowledged.
    Accepted,
}

/// What a webhook tells, for faults that strike only some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    Sent,
    Delivered,
    Read,
    Failed,
    Inbound,
}

/// A fault as it is armed; what is left out strikes regardless of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Armed {
    pub(crate) kind: Kind,
    /// How often it strikes; none: until it is cleared.
    #[serde(default)]
    pub(crate) count: Option<u64>,
    /// Meta's error code, for `error_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_status: Option<u16>,
    /// Seconds, sent as the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay_ms: Option<u64>,
    /// Only sends from, or webhooks of, this phone number id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<String>,
    /// Only messages of this phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recipient: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Subject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Moment>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fault {
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) armed: Armed,
    pub(crate) fired: u64,
}

#[derive(Default)]
pub(crate) struct Faults {
    /// Lets the common case, nothing armed, pass without the lock.
    live: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    last: u64,
    fired: BTreeMap<Kind, u64>,
}

impl Armed {
    pub(crate) fn delay(&self, otherwise: Duration) -> Duration {
        self.delay_ms.map_or(otherwise, Duration::from_millis)
    }

    /// When it strikes a connection.
    #[cfg(feature = "web")]
    pub(crate) fn moment(&self) -> Moment {
        let refusal = matches!(self.kind, Kind::WebBan | Kind::WebRefused);
        self.at.unwrap_or(if refusal { Moment::Login } else { Moment::Now })
    }

    fn strikes_send(&self, number: &str, recipient: &str) -> bool {
        let late = self.kind == Kind::ErrorCode && self.status == Some(Subject::Failed);
        (self.status.is_none() || late) && self.strikes(number, recipient)
    }

    fn strikes_webhook(&self, subject: Subject, number: &str, recipient: &str) -> bool {
        self.status.is_none_or(|status| status == subject) && self.strikes(number, recipient)
    }

    fn strikes(&self, number: &str, recipient: &str) -> bool {
        self.number.as_deref().is_none_or(|only| only == number)
            && self.recipient.as_deref().is_none_or(|only| only.trim_start_matches('+') == recipient)
    }
}

impl Fault {
    fn live(&self) -> bool {
        self.armed.count.is_none_or(|count| self.fired < count)
    }
}

impl Faults {
    pub(crate) fn arm(&self, armed: Armed) -> Fault {
        let mut state = self.state.lock();
        state.last += 1;
        let fault = Fault { id: state.last, armed, fired: 0 };
        if state.faults.len() >= KEPT {
            let spent = state.faults.iter().position(|fault| !fault.live()).unwrap_or(0);
            state.faults.remove(spent);
        }
        state.faults.push(fault.clone());
        self.count(&state);
        fault
    }

    /// The delay a send's answer suffers; stands beside any other fault of the send.
    pub(crate) fn send_delay(&self, number: &str, recipient: &str) -> Option<Armed> {
        self.take(|fault| fault.kind == Kind::Delay && fault.strikes_send(number, recipient))
    }

    pub(crate) fn on_send(&self, number: &str, recipient: &str) -> Option<Armed> {
        let kinds = [Kind::TimeoutBeforeAccept, Kind::TimeoutAfterAccept, Kind::Http5xx, Kind::ErrorCode];
        self.take(|fault| kinds.contains(&fault.kind) && fault.strikes_send(number, recipient))
    }

    pub(crate) fn on_webhook(&self, subject: Subject, number: &str, recipient: &str) -> Option<Armed> {
        self.take(|fault| {
            let of_webhooks = match fault.kind {
                Kind::DropWebhook | Kind::DuplicateWebhook | Kind::ReorderWebhooks => true,
                Kind::Delay => fault.status.is_some(),
                _ => false,
            };
            of_webhooks && fault.strikes_webhook(subject, number, recipient)
        })
    }

    /// What befalls a message of a Web number before it is taken.
    #[cfg(feature = "web")]
    pub(crate) fn on_web_message(&self, number: &str, recipient: &str) -> Option<Armed> {
        self.take(|fault| {
            let fits = match fault.kind {
                Kind::WebNoAck | Kind::WebNack => true,
                Kind::WebDelay => fault.status.is_none_or(|status| status == Subject::Sent),
                kind => kind.of_connections() && matches!(fault.moment(), Moment::Message | Moment::Accepted),
            };
            fits && fault.strikes(number, recipient)
        })
    }

    /// What befalls a receipt or an inbound message on its way to a Web number.
    #[cfg(feature = "web")]
    pub(crate) fn on_web_news(&self, subject: Subject, number: &str, recipient: &str) -> Option<Armed> {
        self.take(|fault| {
            matches!(fault.kind, Kind::WebDrop | Kind::WebDelay) && fault.status == Some(subject) && fault.strikes(number, recipient)
        })
    }

    /// What befalls a Web number as it logs in.
    #[cfg(feature = "web")]
    pub(crate) fn on_web_login(&self, number: &str) -> Option<Armed> {
        self.take(|fault| {
            let of_number = fault.number.as_deref().is_none_or(|only| only == number);
            fault.kind.of_connections() && fault.moment() == Moment::Login && of_number
        })
    }

    /// Whether what waits for a Web number is to be sent in the opposite order.
    #[cfg(feature = "web")]
    pub(crate) fn on_web_portion(&self, number: &str) -> bool {
        let fits = |fault: &Armed| fault.kind == Kind::WebReorder && fault.number.as_deref().is_none_or(|only| only == number);
        self.take(fits).is_some()
    }

    /// Remembers a fault that struck as it was armed.
    #[cfg(feature = "web")]
    pub(crate) fn spent(&self, armed: Armed, fired: u64) -> Fault {
        let fault = self.arm(armed);
        let mut state = self.state.lock();
        *state.fired.entry(fault.armed.kind).or_default() += fired;
        let kept = state.faults.iter_mut().find(|kept| kept.id == fault.id);
        let spent = kept.map(|kept| {
            kept.fired = fired;
            kept.armed.count = Some(fired);
            kept.clone()
        });
        self.count(&state);
        spent.unwrap_or(fault)
    }

    fn take(&self, strikes: impl Fn(&Armed) -> bool) -> Option<Armed> {
        if self.live.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut state = self.state.lock();
        let fault = state.faults.iter_mut().find(|fault| fault.live() && strikes(&fault.armed))?;
        fault.fired += 1;
        let armed = fault.armed.clone();
        *state.fired.entry(armed.kind).or_default() += 1;
        self.count(&state);
        Some(armed)
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.state.lock().faults.clone()
    }

    pub(crate) fn fired(&self) -> BTreeMap<Kind, u64> {
        self.state.lock().fired.clone()
    }

    /// Disarms all faults, or the one with this id, and tells how many there were.
    pub(crate) fn clear(&self, id: Option<u64>) -> usize {
        let mut state = self.state.lock();
        let before = state.faults.len();
        state.faults.retain(|fault| id.is_some_and(|id| id != fault.id));
        self.count(&state);
        before - state.faults.len()
    }

    pub(crate) fn reset(&self) {
        self.clear(None);
        self.state.lock().fired.clear();
    }

    fn count(&self, state: &State) {
        self.live.store(state.faults.iter().filter(|fault| fault.live()).count(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn armed(value: serde_json::Value) -> Armed {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_was_armed_for() {
        let faults = Faults::default();
        faults.arm(armed(json!({"kind": "http_5xx", "count": 2, "number": "1"})));
        assert!(faults.on_send("2", "20100").is_none());
        assert!(faults.on_send("1", "20100").is_some());
        assert!(faults.on_send("1", "20100").is_some());
        assert!(faults.on_send("1", "20100").is_none());
        assert_eq!(faults.list()[0].fired, 2);
        assert_eq!(faults.fired()[&Kind::Http5xx], 2);
    }

    #[test]
    fn without_a_count_it_strikes_until_cleared() {
        let faults = Faults::default();
        let id = faults.arm(armed(json!({"kind": "drop_webhook", "status": "read"}))).id;
        for _ in 0..5 {
            assert!(faults.on_webhook(Subject::Read, "1", "2").is_some());
        }
        assert!(faults.on_webhook(Subject::Sent, "1", "2").is_none());
        assert_eq!(faults.clear(Some(id)), 1);
        assert!(faults.on_webhook(Subject::Read, "1", "2").is_none());
    }

    #[test]
    fn a_delay_with_a_status_is_of_the_webhook() {
        let faults = Faults::default();
        faults.arm(armed(json!({"kind": "delay", "status": "delivered", "delay_ms": 5})));
        assert!(faults.send_delay("1", "2").is_none());
        assert!(faults.on_webhook(Subject::Delivered, "1", "2").is_some());
    }
}
