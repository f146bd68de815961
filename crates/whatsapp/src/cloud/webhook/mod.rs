//! Webhooks of the Cloud API: what they tell.

mod content;
mod parse;

use std::fmt;

use chrono::{DateTime, Utc};

pub use parse::{Error, parse};

use crate::Failure;

/// News of one number, or of the business account as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub business_account_id: String,
    /// Empty for news of the account.
    pub phone_number_id: String,
    pub statuses: Vec<Status>,
    pub inbound: Vec<Inbound>,
    /// News under a field other than `messages`, untouched.
    pub other: Option<Other>,
}

/// News of a field that has no type here, such as `message_template_status_update`.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    pub field: String,
    pub value: serde_json::Value,
}

/// What became of a message. Debug output does not name the recipient.
#[derive(Clone, PartialEq)]
pub struct Status {
    /// Meta's id of the message.
    pub provider_id: String,
    /// Our own id, as sent along in `biz_opaque_callback_data`.
    pub message_id: Option<String>,
    pub kind: StatusKind,
    /// E.164 with `+`, or Meta's user id where the number is hidden.
    pub recipient: String,
    pub timestamp: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StatusKind {
    Sent,
    Delivered,
    Read,
    Failed(Failure),
    /// A status not known here, such as `played`.
    Other(String),
}

/// A message that a customer wrote. Debug output tells neither who wrote nor what.
#[derive(Clone, PartialEq)]
pub struct Inbound {
    /// Meta's id of the message.
    pub id: String,
    /// E.164 with `+`; empty where the number is hidden.
    pub from: String,
    pub profile_name: Option<String>,
    /// Meta's business-scoped id of the customer, the same whether or not the number is hidden.
    pub user_id: Option<String>,
    pub timestamp: DateTime<Utc>,
    pub content: Content,
    /// Meta's id of the message it answers.
    pub replies_to: Option<String>,
}

/// What was said. Debug output says only what kind it is.
#[derive(Clone, PartialEq)]
pub enum Content {
    Text {
        body: String,
    },
    File(File),
    Location {
        latitude: f64,
        longitude: f64,
        name: Option<String>,
        address: Option<String>,
    },
    Contacts {
        cards: Vec<Card>,
    },
    Reaction {
        /// Meta's id of the message.
        target_id: String,
        /// `None` takes an earlier one back.
        emoji: Option<String>,
    },
    /// A button or a row of a list was chosen, or a quick reply of a template.
    Choice {
        id: String,
        title: String,
    },
    Order {
        catalog_id: String,
        note: Option<String>,
        /// Different products.
        items: u32,
    },
    /// A kind not known here, or one that cannot be read. Its name is Meta's.
    Unsupported {
        name: String,
    },
}

/// A file, which [`Client::media`](crate::cloud::Client::media) brings for some weeks.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    pub kind: FileKind,
    /// Meta's id of it.
    pub id: String,
    pub mime: String,
    pub caption: Option<String>,
    pub filename: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Image,
    Video,
    Audio,
    /// Spoken into WhatsApp, not a file.
    Voice,
    Document,
    Sticker,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    pub name: String,
    pub phones: Vec<String>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text",
            Self::File(_) => "File",
            Self::Location { .. } => "Location",
            Self::Contacts { .. } => "Contacts",
            Self::Reaction { .. } => "Reaction",
            Self::Choice { .. } => "Choice",
            Self::Order { .. } => "Order",
            Self::Unsupported { name } => return write!(f, "Unsupported({name})"),
        })
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Status");
        // Meta's id has the phone number inside.
        shown.field("message_id", &self.message_id).field("kind", &self.kind);
        shown.field("timestamp", &self.timestamp).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").field("content", &self.content).field("timestamp", &self.timestamp).finish_non_exhaustive()
    }
}
