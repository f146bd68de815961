//! What customers write, as one type.

mod map;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use super::event::Person;
pub(super) use map::{address, inbound, is_lid, person, sender};

/// A message of a customer, or something that they did to one. Debug output says only what kind it is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Inbound {
    /// Unique within (chat, sender) only.
    pub provider_id: String,
    pub chat: Chat,
    pub sender: Person,
    /// By the account's own phone, or another of its devices. What this connection itself sends does not come back.
    pub from_me: bool,
    pub time: DateTime<Utc>,
    /// The message that this one answers.
    pub quoted_id: Option<String>,
    /// Seconds after which it disappears from the chat.
    pub expires_in: Option<u32>,
    pub kind: InboundKind,
}

/// Where a message was written.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Chat {
    /// With this person alone.
    Person(Person),
    /// The group's address.
    Group(String),
    /// Somebody's status, shown for a day.
    Status,
    /// A channel's address.
    Channel(String),
    /// A broadcast list, or anything else; its address.
    Other(String),
}

/// What a message is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InboundKind {
    Text {
        body: String,
    },
    Image {
        media: MediaPointer,
        caption: Option<String>,
    },
    Video {
        media: MediaPointer,
        caption: Option<String>,
        /// Plays in a loop without sound.
        gif: bool,
    },
    Audio {
        media: MediaPointer,
        /// Spoken into WhatsApp, not a file.
        voice: bool,
        seconds: Option<u32>,
    },
    Document {
        media: MediaPointer,
        caption: Option<String>,
    },
    Sticker {
        media: MediaPointer,
        animated: bool,
    },
    Location {
        latitude: f64,
        longitude: f64,
        name: Option<String>,
        address: Option<String>,
        /// Follows the sender; this is where they were when it was sent.
        live: bool,
    },
    Contacts {
        cards: Vec<Card>,
    },
    Reaction {
        target_id: String,
        /// `None` takes an earlier one back.
        emoji: Option<String>,
    },
    Edit {
        target_id: String,
        body: String,
    },
    Deletion {
        target_id: String,
    },
    /// A button or a row of a list was chosen.
    Reply {
        id: String,
        title: String,
        /// The message with the buttons.
        target_id: Option<String>,
    },
    Poll {
        question: String,
        options: Vec<String>,
        /// How many options may be chosen; 0 for any number.
        choices: u32,
    },
    /// Encrypted with a secret of the poll, so what was chosen is not known here.
    PollVote {
        target_id: String,
    },
    Order {
        order_id: String,
        items: u32,
        note: Option<String>,
        /// In thousandths of the currency's unit.
        total_1000: Option<i64>,
        currency: Option<String>,
    },
    Product {
        product_id: Option<String>,
        title: Option<String>,
        retailer_id: Option<String>,
    },
    MissedCall,
    /// Something that is not carried over. Its name is the protocol's.
    Unsupported {
        name: String,
    },
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub name: String,
    pub vcard: String,
}

/// Where a file is and how to decrypt it. It stays fetchable for weeks, not for ever. The key in it opens the file: keep it encrypted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaPointer {
    pub kind: MediaKind,
    pub direct_path: String,
    #[serde(with = "super::encoded")]
    pub media_key: Vec<u8>,
    /// Of the file.
    #[serde(with = "super::encoded")]
    pub file_sha256: Vec<u8>,
    /// Of what is stored at WhatsApp.
    #[serde(with = "super::encoded")]
    pub file_enc_sha256: Vec<u8>,
    /// As the sender claims it, in bytes.
    pub length: u64,
    pub mime: String,
    pub filename: Option<String>,
}

/// Files are encrypted under a key that depends on what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Video,
    Audio,
    Document,
    Sticker,
}

impl InboundKind {
    /// The kind's name in snake case, as it is serialised.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Image { .. } => "image",
            Self::Video { .. } => "video",
            Self::Audio { .. } => "audio",
            Self::Document { .. } => "document",
            Self::Sticker { .. } => "sticker",
            Self::Location { .. } => "location",
            Self::Contacts { .. } => "contacts",
            Self::Reaction { .. } => "reaction",
            Self::Edit { .. } => "edit",
            Self::Deletion { .. } => "deletion",
            Self::Reply { .. } => "reply",
            Self::Poll { .. } => "poll",
            Self::PollVote { .. } => "poll_vote",
            Self::Order { .. } => "order",
            Self::Product { .. } => "product",
            Self::MissedCall => "missed_call",
            Self::Unsupported { .. } => "unsupported",
        }
    }
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").field("provider_id", &self.provider_id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for InboundKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Debug for MediaPointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MediaPointer({:?}, {} bytes)", self.kind, self.length)
    }
}
