//! Webhooks of the Cloud API: what they tell.

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
    pub kind: InboundKind,
    /// The text, caption, emoji, or title of the button pressed.
    pub text: Option<String>,
    /// Meta's id of the file that came with it.
    pub media_id: Option<String>,
    /// Meta's id of the message it answers or reacts to.
    pub replies_to: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboundKind {
    Text,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Location,
    Contacts,
    Reaction,
    /// A quick-reply button of a template.
    Button,
    /// A button or list row of an interactive message.
    Interactive,
    /// A kind not known here, such as `order`.
    Other(String),
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
        f.debug_struct("Inbound").field("kind", &self.kind).field("timestamp", &self.timestamp).finish_non_exhaustive()
    }
}
