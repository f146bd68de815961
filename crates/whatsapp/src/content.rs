//! What a message says, whichever way it is sent.

use std::fmt;

/// What a message says. Debug output tells its kind only.
#[derive(Clone)]
pub enum Content {
    Text {
        body: String,
    },
    /// Meta's template of this name and language, such as `pt_BR`, with the values of `{{1}}`, `{{2}}`, ... On the Cloud API only.
    Template {
        name: String,
        language: String,
        parameters: Vec<String>,
        header_document: Option<Media>,
    },
    Document {
        media: Media,
        caption: Option<String>,
    },
    Image {
        media: Media,
        caption: Option<String>,
    },
    Audio {
        media: Media,
        /// Shown as if spoken into WhatsApp; the file must be Opus in Ogg.
        voice: bool,
    },
    Video {
        media: Media,
        caption: Option<String>,
    },
    Location {
        /// In degrees.
        latitude: f64,
        longitude: f64,
        name: Option<String>,
        address: Option<String>,
    },
    ContactCard {
        name: String,
        /// E.164 with `+`.
        phones: Vec<String>,
    },
    Reaction {
        /// The message that is reacted to.
        provider_id: String,
        /// Whether we sent it.
        from_me: bool,
        /// Empty takes an earlier reaction back.
        emoji: String,
    },
    /// At most 3 on the Cloud API.
    Buttons {
        body: String,
        header: Option<String>,
        footer: Option<String>,
        buttons: Vec<Button>,
    },
    /// At most 10 sections with 10 rows in all on the Cloud API.
    List {
        body: String,
        header: Option<String>,
        footer: Option<String>,
        /// What opens the list.
        button: String,
        sections: Vec<Section>,
    },
}

/// A file that is fetched from its URL when the message is sent.
#[derive(Clone)]
pub struct Media {
    pub url: String,
    /// The name a document is shown under.
    pub filename: Option<String>,
}

#[derive(Clone)]
pub struct Button {
    /// Comes back when it is chosen.
    pub id: String,
    pub title: String,
}

#[derive(Clone)]
pub struct Section {
    /// Needed when there is more than one section.
    pub title: Option<String>,
    pub rows: Vec<Row>,
}

#[derive(Clone)]
pub struct Row {
    /// Comes back when it is chosen.
    pub id: String,
    pub title: String,
    pub description: Option<String>,
}

impl Content {
    /// The kind's name in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Template { .. } => "template",
            Self::Document { .. } => "document",
            Self::Image { .. } => "image",
            Self::Audio { .. } => "audio",
            Self::Video { .. } => "video",
            Self::Location { .. } => "location",
            Self::ContactCard { .. } => "contact_card",
            Self::Reaction { .. } => "reaction",
            Self::Buttons { .. } => "buttons",
            Self::List { .. } => "list",
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
