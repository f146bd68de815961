//! What happens on a connection, in the order in which it happened.

use chrono::{DateTime, Utc};

use super::{Closed, Hold};

/// Something that happened on a connection. Debug output names no numbers.
#[derive(Clone, PartialEq)]
pub enum Event {
    /// A message that was sent arrived, or was looked at.
    Receipt(Receipt),
    /// A phone number and a LID turned out to be the same person.
    Alias(Alias),
    /// A contact's identity key changed: a new phone, or WhatsApp installed again.
    IdentityChanged(Person),
    /// A message arrived that could not be decrypted. The sender's device is asked again; it may arrive yet.
    Undecryptable { provider_id: String, sender: Person, time: DateTime<Utc> },
    /// A message arrived that no durability gates: channels, and what the phone handed over again. Commit it as soon as can be.
    Message(Box<super::Inbound>),
    /// WhatsApp knows the account under this name.
    Named { push_name: String },
    /// The connection ended. Always the last event, and always sent.
    Closed(Closed),
}

/// Devices of one contact tell what became of these messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt {
    pub provider_ids: Vec<String>,
    pub kind: ReceiptKind,
    pub from: Person,
    pub time: DateTime<Utc>,
    /// To be released once it is durable: until then the connection confirms and sends nothing more.
    pub hold: Hold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiptKind {
    Delivered,
    Read,
    Played,
}

/// A phone number (E.164 with `+`) and the LID (digits) of the same person.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Alias {
    pub phone: String,
    pub lid: String,
}

/// Somebody on WhatsApp. At least one of `phone` and `lid` is known, except of groups and channels.
#[derive(Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Person {
    /// E.164 with `+`.
    pub phone: Option<String>,
    /// The digits of the LID.
    pub lid: Option<String>,
    /// The name that they gave themselves.
    pub name: Option<String>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Person(phone: {}, lid: {})", self.phone.is_some(), self.lid.is_some())
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Receipt(receipt) => write!(f, "Receipt({:?} of {:?})", receipt.kind, receipt.provider_ids),
            Self::Alias(_) => f.write_str("Alias"),
            Self::IdentityChanged(_) => f.write_str("IdentityChanged"),
            Self::Undecryptable { provider_id, .. } => write!(f, "Undecryptable({provider_id})"),
            Self::Message(message) => write!(f, "Message({})", message.provider_id),
            Self::Named { .. } => f.write_str("Named"),
            Self::Closed(reason) => write!(f, "Closed({reason:?})"),
        }
    }
}
