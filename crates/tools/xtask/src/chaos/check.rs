//! What clients were promised, what the ledger says and what the phones show, held against each other. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// How long a message holds back later ones to the same customer: the queue's limit, beyond which one that is stuck stops nobody.
const HOLDS_BACK_MS: f64 = 30_000.0;

/// The text of the message at `place` in a conversation: by it a message is known everywhere, whatever ids it was given.
pub fn words(conversation: usize, place: usize) -> String {
    format!("chaos {conversation}.{place}")
}

/// A call that was answered with the id of a message.
#[derive(Clone, Debug)]
pub struct Promise {
    pub id: String,
    pub conversation: usize,
    /// Counted from 0 in the order in which the messages of a conversation were accepted.
    pub place: usize,
}

/// A message as the ledger tells it.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub text: String,
    /// Without `MESSAGE_STATE_`.
    pub state: String,
    pub reason: String,
    /// WhatsApp's id of it; empty when the ledger knows none.
    pub wire_id: String,
    /// Milliseconds from its acceptance until WhatsApp had it.
    pub waited_ms: Option<f64>,
    /// When it was accepted, by the clock of the queue.
    pub created: Option<DateTime<Utc>>,
}

/// A message from the business on a phone.
#[derive(Clone, Debug)]
pub struct Shown {
    pub text: String,
    pub wire_id: String,
    /// Barid's id, where the connector lets it travel along.
    pub message_id: Option<String>,
}

/// What a phone shows of one session, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Phone {
    /// Whether the session sends again under the same id when it must, and so need never give up.
    pub repeats: bool,
    pub shown: Vec<Shown>,
}

/// How it ended. Only `accepted`, `delivered`, `given_up`, `overtaken` and `unconfirmed` may be other than 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Messages that a client was told an id of.
    pub accepted: usize,
    /// Of these, on the customer's phone.
    pub delivered: usize,
    /// Of these, not on the phone, and the ledger says so: nobody can know whether the Cloud API took them, and they are never sent twice.
    pub given_up: usize,
    /// Of these, not on the phone, and the ledger says otherwise, gives another reason or does not know them.
    pub lost: usize,
    /// Messages on a phone beyond the first of the same text.
    pub duplicates: usize,
    /// Messages on a phone that stand after a later one of their conversation.
    pub out_of_order: usize,
    /// The same of messages that had waited so long that they hold back no other any more. Not part of the verdict.
    pub overtaken: usize,
    /// Messages that still wait for their end.
    pub unsettled: usize,
    /// Messages on a phone of which the ledger says that they failed, or knows under another id.
    pub mismatched: usize,
    /// Messages on a phone that the ledger takes for sent only: the word that they were delivered and read was lost. Not part of the verdict,
    /// as a linked device confirms such words to WhatsApp when they come in, and a replica may die before the ledger has them.
    pub unconfirmed: usize,
    /// Messages in the ledger or on a phone that no client was told of.
    pub unpromised: usize,
    /// The first of each kind of trouble.
    #[serde(skip)]
    pub examples: Vec<String>,
}

impl Findings {
    /// Whether every promise was kept.
    pub fn are_good(&self) -> bool {
        let troubles = [self.lost, self.duplicates, self.out_of_order, self.unsettled, self.mismatched, self.unpromised];
        self.accepted > 0 && troubles.iter().all(|trouble| *trouble == 0)
    }

    /// Those of other messages added.
    pub fn and(mut self, other: Self) -> Self {
        for (count, more) in [
            (&mut self.accepted, other.accepted),
            (&mut self.delivered, other.delivered),
            (&mut self.given_up, other.given_up),
            (&mut self.lost, other.lost),
            (&mut self.duplicates, other.duplicates),
            (&mut self.out_of_order, other.out_of_order),
            (&mut self.overtaken, other.overtaken),
            (&mut self.unsettled, other.unsettled),
            (&mut self.mismatched, other.mismatched),
            (&mut self.unconfirmed, other.unconfirmed),
            (&mut self.unpromised, other.unpromised),
        ] {
            *count += more;
        }
        self.examples.extend(other.examples);
        self
    }

    fn note(&mut self, count: impl Fn(&mut Self) -> &mut usize, example: impl FnOnce() -> String) {
        let count = count(self);
        *count += 1;
        if *count == 1 {
            self.examples.push(example());
        }
    }
}

/// Holds promises against the ledger (by id) and the phones (by conversation).
pub fn compare(promises: &[Promise], ledger: &HashMap<String, Entry>, phones: &[Phone]) -> Findings {
    let mut findings = Findings { accepted: promises.len(), ..Findings::default() };
    let by_text: Vec<HashMap<&str, Vec<&Shown>>> = phones.iter().map(by_text).collect();
    for promise in promises {
        let text = words(promise.conversation, promise.place);
        let shown = by_text[promise.conversation].get(text.as_str()).map_or(&[][..], Vec::as_slice);
        judge(&mut findings, promise, ledger.get(&promise.id), &text, shown, phones[promise.conversation].repeats);
    }
    let promised: HashSet<&str> = promises.iter().map(|promise| promise.id.as_str()).collect();
    for (id, entry) in ledger.iter().filter(|(id, _)| !promised.contains(id.as_str())) {
        findings.note(|findings| &mut findings.unpromised, || format!("the ledger has {id}, {:?}, which nobody was told of", entry.text));
    }
    look_at_all(&mut findings, promises, ledger, phones);
    findings
}

/// Looks at phones alone, while messages are still on their way to them: nothing of it may be there twice, in disorder or unasked.
pub fn so_far(promises: &[Promise], phones: &[Phone]) -> Findings {
    let delivered = phones.iter().map(|phone| by_text(phone).len()).sum();
    let mut findings = Findings { accepted: promises.len(), delivered, ..Findings::default() };
    look_at_all(&mut findings, promises, &HashMap::new(), phones);
    findings
}

fn by_text(phone: &Phone) -> HashMap<&str, Vec<&Shown>> {
    let mut shown: HashMap<&str, Vec<&Shown>> = HashMap::new();
    phone.shown.iter().for_each(|message| shown.entry(&message.text).or_default().push(message));
    shown
}

fn judge(findings: &mut Findings, promise: &Promise, entry: Option<&Entry>, text: &str, shown: &[&Shown], repeats: bool) {
    let told = entry.map_or_else(|| "unknown".to_owned(), |entry| format!("{} {}", entry.state, entry.reason));
    findings.delivered += usize::from(!shown.is_empty());
    let Some(entry) = entry else {
        return findings.note(|findings| &mut findings.lost, || format!("the ledger does not know {}, {text:?}", promise.id));
    };
    let taken = matches!(entry.state.as_str(), "SENT" | "DELIVERED" | "READ");
    let ended = matches!(entry.state.as_str(), "FAILED" | "EXPIRED" | "CANCELLED");
    if !taken && !ended {
        findings.note(|findings| &mut findings.unsettled, || format!("{}, {text:?}, is {told}", promise.id));
    } else if shown.is_empty() {
        if ended && !repeats && entry.reason == "outcome_unknown" {
            findings.given_up += 1;
        } else {
            findings.note(|findings| &mut findings.lost, || format!("{}, {text:?}, is {told} and not on the phone", promise.id));
        }
    } else {
        findings.unconfirmed += usize::from(matches!(entry.state.as_str(), "SENT" | "DELIVERED"));
        let known = shown.iter().any(|shown| shown.wire_id == entry.wire_id);
        let named = shown.iter().all(|shown| shown.message_id.as_ref().is_none_or(|id| *id == promise.id));
        if ended || !known || !named || entry.text != text {
            let told = format!("{told} as {:?}, {:?}", entry.wire_id, entry.text);
            findings.note(|findings| &mut findings.mismatched, || format!("{} is {told}, and the phone shows {shown:?}", promise.id));
        }
    }
}

fn look_at_all(findings: &mut Findings, promises: &[Promise], ledger: &HashMap<String, Entry>, phones: &[Phone]) {
    let mut places: Vec<HashMap<String, Place>> = vec![HashMap::new(); phones.len()];
    for Promise { id, conversation, place } in promises {
        let waited_ms = ledger.get(id).and_then(|entry| entry.waited_ms).unwrap_or_default();
        places[*conversation].insert(words(*conversation, *place), Place { place: *place, waited_ms });
    }
    phones.iter().zip(&places).for_each(|(phone, places)| look(findings, phone, places));
}

/// Where a message belongs in its conversation, and how long it waited.
#[derive(Clone, Copy, Debug)]
struct Place {
    place: usize,
    waited_ms: f64,
}

fn look(findings: &mut Findings, phone: &Phone, places: &HashMap<String, Place>) {
    let mut seen = HashSet::new();
    let mut furthest = None;
    for shown in &phone.shown {
        let Some(Place { place, waited_ms }) = places.get(&shown.text) else {
            findings.note(|findings| &mut findings.unpromised, || format!("a phone shows {shown:?}, which nobody was told of"));
            continue;
        };
        if !seen.insert(place) {
            findings.note(|findings| &mut findings.duplicates, || format!("a phone shows {:?} twice", shown.text));
            continue;
        }
        if furthest.is_some_and(|furthest| place < furthest) {
            if *waited_ms > HOLDS_BACK_MS {
                findings.overtaken += 1;
            } else {
                let example = || format!("a phone shows {:?}, which waited {waited_ms} ms, after a later one", shown.text);
                findings.note(|findings| &mut findings.out_of_order, example);
            }
        }
        furthest = furthest.max(Some(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 4;

    /// Two conversations, the first on the Cloud API and the second on Web, with everything as it should be.
    fn good() -> (Vec<Promise>, HashMap<String, Entry>, Vec<Phone>) {
        let id = |conversation: usize, place: usize| format!("msg_{conversation}{place}");
        let wire = |conversation: usize, place: usize| format!("wire{conversation}{place}");
        let all = || (0..2).flat_map(|conversation| (0..PLACES).map(move |place| (conversation, place)));
        let promises = all().map(|(conversation, place)| Promise { id: id(conversation, place), conversation, place }).collect();
        let entry = |(conversation, place): (usize, usize)| {
            let text = words(conversation, place);
            (
                id(conversation, place),
                Entry { text, state: "READ".into(), reason: String::new(), wire_id: wire(conversation, place), ..Entry::default() },
            )
        };
        let shown = |conversation: usize, place: usize| Shown {
            text: words(conversation, place),
            wire_id: wire(conversation, place),
            message_id: (conversation == 0).then(|| id(conversation, place)),
        };
        let phone =
            |conversation| Phone { repeats: conversation == 1, shown: (0..PLACES).map(|place| shown(conversation, place)).collect() };
        (promises, all().map(entry).collect(), (0..2).map(phone).collect())
    }

    fn set(ledger: &mut HashMap<String, Entry>, id: &str, state: &str, reason: &str) {
        let entry = ledger.get_mut(id).unwrap();
        (entry.state, entry.reason) = (state.to_owned(), reason.to_owned());
    }

    #[test]
    fn nothing_is_wrong_when_nothing_is() {
        let (promises, ledger, phones) = good();
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!(findings, Findings { accepted: 2 * PLACES, delivered: 2 * PLACES, ..Findings::default() });
        assert!(findings.are_good());
    }

    #[test]
    fn who_waited_too_long_is_overtaken() {
        let (promises, mut ledger, mut phones) = good();
        phones[0].shown.swap(0, 1);
        ledger.get_mut("msg_00").unwrap().waited_ms = Some(29_999.0);
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.out_of_order, findings.overtaken, findings.are_good()), (1, 0, false));
        ledger.get_mut("msg_00").unwrap().waited_ms = Some(30_001.0);
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.out_of_order, findings.overtaken, findings.are_good()), (0, 1, true));
    }

    #[test]
    fn what_is_still_on_its_way_is_looked_at_on_the_phones_alone() {
        let (promises, _, mut phones) = good();
        phones[0].shown.truncate(1);
        let findings = so_far(&promises, &phones);
        assert_eq!(findings, Findings { accepted: 2 * PLACES, delivered: PLACES + 1, ..Findings::default() });
        phones[1].shown.swap(0, 1);
        let twice = phones[0].shown[0].clone();
        phones[0].shown.push(twice);
        let worse = so_far(&promises, &phones).and(findings);
        assert_eq!((worse.accepted, worse.delivered, worse.duplicates, worse.out_of_order), (4 * PLACES, 2 * (PLACES + 1), 1, 1));
    }

    #[test]
    fn nothing_accepted_proves_nothing() {
        assert!(!compare(&[], &HashMap::new(), &[]).are_good());
    }

    #[test]
    fn a_message_that_is_on_no_phone_is_lost_whatever_the_ledger_claims() {
        for (state, reason) in [("READ", ""), ("SENT", ""), ("FAILED", "undeliverable"), ("EXPIRED", "expired"), ("CANCELLED", "")] {
            let (promises, mut ledger, mut phones) = good();
            phones[0].shown.remove(1);
            set(&mut ledger, "msg_01", state, reason);
            let findings = compare(&promises, &ledger, &phones);
            assert_eq!((findings.lost, findings.delivered, findings.are_good()), (1, 2 * PLACES - 1, false), "{state}");
        }
    }

    #[test]
    fn a_message_that_the_ledger_forgot_is_lost() {
        let (promises, mut ledger, mut phones) = good();
        ledger.remove("msg_12");
        phones[1].shown.remove(2);
        assert_eq!(compare(&promises, &ledger, &phones).lost, 1);
    }

    #[test]
    fn only_the_cloud_api_may_leave_an_outcome_unknown() {
        let (promises, mut ledger, mut phones) = good();
        phones[0].shown.pop();
        set(&mut ledger, "msg_03", "FAILED", "outcome_unknown");
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.given_up, findings.lost, findings.are_good()), (1, 0, true));
        phones[1].shown.pop();
        set(&mut ledger, "msg_13", "FAILED", "outcome_unknown");
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.given_up, findings.lost, findings.are_good()), (1, 1, false));
    }

    #[test]
    fn a_message_that_is_shown_twice_is_found() {
        let (promises, ledger, mut phones) = good();
        let again = phones[0].shown[1].clone();
        phones[0].shown.push(again);
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.duplicates, findings.out_of_order, findings.are_good()), (1, 0, false));
    }

    #[test]
    fn the_same_text_under_two_ids_is_a_duplicate_and_one_that_nobody_was_told_of() {
        let (promises, mut ledger, mut phones) = good();
        let again = Entry { wire_id: "other".into(), ..ledger["msg_11"].clone() };
        ledger.insert("msg_other".into(), again);
        let shown = Shown { wire_id: "other".into(), ..phones[1].shown[1].clone() };
        phones[1].shown.push(shown);
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.duplicates, findings.unpromised, findings.are_good()), (1, 1, false));
    }

    #[test]
    fn a_message_that_overtakes_is_found() {
        let (promises, ledger, mut phones) = good();
        phones[1].shown.swap(1, 2);
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.out_of_order, findings.lost, findings.duplicates, findings.are_good()), (1, 0, 0, false));
    }

    #[test]
    fn a_failure_of_what_the_phone_shows_is_found() {
        let (promises, mut ledger, phones) = good();
        set(&mut ledger, "msg_00", "FAILED", "outcome_unknown");
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.mismatched, findings.given_up, findings.are_good()), (1, 0, false));
    }

    #[test]
    fn a_word_that_was_lost_is_told_and_no_breach() {
        let (promises, mut ledger, phones) = good();
        set(&mut ledger, "msg_10", "SENT", "");
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.unconfirmed, findings.delivered, findings.are_good()), (1, 2 * PLACES, true));
    }

    #[test]
    fn another_id_on_the_wire_than_in_the_ledger_is_found() {
        let (promises, ledger, mut phones) = good();
        phones[1].shown[0].wire_id = "other".into();
        phones[0].shown[0].message_id = Some("msg_other".into());
        assert_eq!(compare(&promises, &ledger, &phones).mismatched, 2);
    }

    #[test]
    fn a_message_on_its_way_is_not_settled() {
        for state in ["SCHEDULED", "QUEUED", "SENDING", "UNCERTAIN"] {
            let (promises, mut ledger, phones) = good();
            set(&mut ledger, "msg_02", state, "");
            let findings = compare(&promises, &ledger, &phones);
            assert_eq!((findings.unsettled, findings.are_good()), (1, false), "{state}");
        }
    }

    #[test]
    fn what_a_phone_shows_and_nobody_handed_over_is_found() {
        let (promises, ledger, mut phones) = good();
        phones[0].shown.push(Shown { text: words(0, 99), wire_id: "w".into(), message_id: None });
        let findings = compare(&promises, &ledger, &phones);
        assert_eq!((findings.unpromised, findings.are_good()), (1, false));
        assert_eq!(findings.examples.len(), 1);
    }
}
