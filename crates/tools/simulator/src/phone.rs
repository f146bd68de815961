//! A phone: what it shows, and what it remembers. Pure; the time is passed in.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long after the customer's last message free-form messages are allowed.
pub(crate) const WINDOW_HOURS: i64 = 24;

/// A message as the phone shows it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Shown {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The text or caption as it appears, a template's with its parameters in place.
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) footer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) buttons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media: Option<Media>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<TemplateRef>,
    /// A location or contact cards, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<serde_json::Value>,
    /// The message this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Media {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mime: String,
    /// Of the bytes that the phone fetched and opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct TemplateRef {
    pub(crate) name: String,
    pub(crate) language: String,
}

/// The way by which a message came, and its receipts go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Via {
    #[default]
    Cloud,
    /// The Web protocol; `lid`: the phone was addressed by its LID.
    Web { lid: bool },
}

/// What webhooks tell of a message; outlives the message on the phone when that is forgotten.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Wire {
    pub(crate) wamid: String,
    pub(crate) phone_number_id: String,
    pub(crate) wa_id: String,
    pub(crate) sequence: u64,
    /// `biz_opaque_callback_data`
    pub(crate) opaque: Option<String>,
    /// `service`, `utility`, `marketing` or `authentication`
    pub(crate) category: String,
    pub(crate) via: Via,
}

impl Wire {
    /// By what a second arrival of the same message is known: on Web its id, on Cloud what the business gave it.
    pub(crate) fn arrival(&self) -> Option<String> {
        match self.via {
            Via::Cloud => self.opaque.clone(),
            Via::Web { .. } => Some(format!("{}/{}", self.phone_number_id, self.wamid)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Sent,
    Delivered,
    Read,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Failed {
    pub(crate) code: u32,
    pub(crate) title: Cow<'static, str>,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Message {
    pub(crate) wire: Arc<Wire>,
    pub(crate) from_phone: bool,
    pub(crate) shown: Shown,
    pub(crate) accepted_at: DateTime<Utc>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    pub(crate) delivered_at: Option<DateTime<Utc>>,
    pub(crate) read_at: Option<DateTime<Utc>>,
    pub(crate) failed: Option<Failed>,
    /// The emoji the other side put on it.
    pub(crate) reaction: Option<String>,
    /// Its sender changed its text later.
    pub(crate) edited: bool,
    /// Its sender took it back.
    pub(crate) deleted: bool,
}

impl Message {
    /// A message that the business's side has accepted.
    pub(crate) fn accepted(wire: Arc<Wire>, shown: Shown, at: DateTime<Utc>) -> Self {
        Self {
            wire,
            from_phone: false,
            shown,
            accepted_at: at,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            failed: None,
            reaction: None,
            edited: false,
            deleted: false,
        }
    }

    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self { failed: Some(_), .. } => "failed",
            Self { read_at: Some(_), .. } => "read",
            Self { delivered_at: Some(_), .. } => "delivered",
            Self { sent_at: Some(_), .. } => "sent",
            _ => "accepted",
        }
    }
}

/// What of a phone is kept beside its messages.
#[cfg(feature = "web")]
#[derive(Deserialize, Serialize)]
pub(crate) struct Settings {
    name: String,
    on_whatsapp: bool,
    auto_read: Option<bool>,
    offline: bool,
    last_wrote: HashMap<String, DateTime<Utc>>,
    next: u64,
}

#[derive(Debug)]
pub(crate) struct Phone {
    pub(crate) name: String,
    pub(crate) on_whatsapp: bool,
    /// None: as configured.
    pub(crate) auto_read: Option<bool>,
    pub(crate) offline: bool,
    /// When the customer last wrote to a number, by phone number id.
    pub(crate) last_wrote: HashMap<String, DateTime<Utc>>,
    pub(crate) messages: VecDeque<Message>,
    /// Messages no longer kept.
    pub(crate) truncated: u64,
    /// Grows with every change anywhere, so that lists sort by what is new.
    pub(crate) changed: u64,
    next: u64,
    received: HashMap<u64, u32>,
    received_order: VecDeque<u64>,
}

impl Phone {
    pub(crate) fn new(wa_id: &str) -> Self {
        Self {
            name: format!("Customer {}", &wa_id[wa_id.len().saturating_sub(4)..]),
            on_whatsapp: true,
            auto_read: None,
            offline: false,
            last_wrote: HashMap::new(),
            messages: VecDeque::new(),
            truncated: 0,
            changed: 0,
            next: 0,
            received: HashMap::new(),
            received_order: VecDeque::new(),
        }
    }

    #[cfg(feature = "web")]
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            name: self.name.clone(),
            on_whatsapp: self.on_whatsapp,
            auto_read: self.auto_read,
            offline: self.offline,
            last_wrote: self.last_wrote.clone(),
            next: self.next,
        }
    }

    /// Becomes the phone it was, with what is left of its messages.
    #[cfg(feature = "web")]
    pub(crate) fn restore(&mut self, settings: Settings, messages: Vec<Message>) {
        self.name = settings.name;
        self.on_whatsapp = settings.on_whatsapp;
        self.auto_read = settings.auto_read;
        self.offline = settings.offline;
        self.last_wrote = settings.last_wrote;
        self.next = settings.next;
        self.truncated = settings.next.saturating_sub(messages.len() as u64);
        for message in &messages {
            if let Some(arrival) = message.wire.arrival() {
                self.count_arrival(&arrival, usize::MAX);
            }
        }
        self.messages = messages.into();
    }

    pub(crate) fn window_until(&self, phone_number_id: &str) -> Option<DateTime<Utc>> {
        self.last_wrote.get(phone_number_id).map(|at| *at + TimeDelta::hours(WINDOW_HOURS))
    }

    pub(crate) fn window_open(&self, phone_number_id: &str, now: DateTime<Utc>) -> bool {
        self.window_until(phone_number_id).is_some_and(|until| now < until)
    }

    /// The number of the next message added.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Adds a message whose wire id was made from [`Self::next_sequence`], and forgets the oldest past `keep`.
    pub(crate) fn add(&mut self, message: Message, keep: usize) {
        self.messages.push_back(message);
        self.next += 1;
        while self.messages.len() > keep {
            self.messages.pop_front();
            self.truncated += 1;
        }
    }

    /// Counts an arrival of `opaque` and tells how many there are by now.
    pub(crate) fn count_arrival(&mut self, opaque: &str, keep: usize) -> u32 {
        let key = digest(opaque);
        let count = self.received.entry(key).or_insert(0);
        *count += 1;
        let count = *count;
        if count == 1 {
            self.received_order.push_back(key);
            if self.received_order.len() > keep
                && let Some(oldest) = self.received_order.pop_front()
            {
                self.received.remove(&oldest);
            }
        }
        count
    }

    /// How often what `message` carries arrived; 1 for a Cloud message without `biz_opaque_callback_data`.
    pub(crate) fn arrivals(&self, message: &Message) -> u32 {
        message.wire.arrival().and_then(|arrival| self.received.get(&digest(&arrival)).copied()).unwrap_or(1)
    }

    /// Messages shown beyond the first of their kind, among those kept.
    pub(crate) fn duplicates(&self) -> usize {
        let mut seen = HashSet::new();
        let opaque = self.messages.iter().filter_map(|message| message.wire.opaque.as_deref());
        opaque.filter(|opaque| !seen.insert(*opaque)).count()
    }

    pub(crate) fn message(&mut self, sequence: u64) -> Option<&mut Message> {
        let index = sequence.checked_sub(self.truncated)?;
        self.messages.get_mut(usize::try_from(index).ok()?)
    }
}

fn digest(opaque: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    opaque.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sequence: u64, opaque: &str) -> Message {
        let wire = Wire {
            wamid: format!("wamid.{sequence}"),
            phone_number_id: "1".into(),
            wa_id: "20100".into(),
            sequence,
            opaque: Some(opaque.into()),
            category: "service".into(),
            via: Via::Cloud,
        };
        Message::accepted(Arc::new(wire), Shown::default(), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_window_closes_after_a_day() {
        let mut phone = Phone::new("201001234567");
        let wrote = DateTime::UNIX_EPOCH;
        assert!(!phone.window_open("1", wrote));
        phone.last_wrote.insert("1".into(), wrote);
        assert!(phone.window_open("1", wrote + TimeDelta::hours(24) - TimeDelta::seconds(1)));
        assert!(!phone.window_open("1", wrote + TimeDelta::hours(24)));
        assert!(!phone.window_open("2", wrote));
    }

    #[test]
    fn messages_are_found_by_number_after_older_ones_are_forgotten() {
        let mut phone = Phone::new("20100");
        for sequence in 0..5 {
            phone.add(message(sequence, "same"), 3);
        }
        assert_eq!(phone.truncated, 2);
        assert!(phone.message(1).is_none());
        assert_eq!(phone.message(4).unwrap().wire.wamid, "wamid.4");
        assert_eq!(phone.duplicates(), 2);
    }

    #[test]
    fn arrivals_are_counted_beyond_the_messages_kept() {
        let mut phone = Phone::new("20100");
        assert_eq!(phone.count_arrival("a", 2), 1);
        assert_eq!(phone.count_arrival("a", 2), 2);
        phone.count_arrival("b", 2);
        phone.count_arrival("c", 2);
        assert_eq!(phone.count_arrival("a", 2), 1, "past its limit the oldest id is forgotten");
    }
}
