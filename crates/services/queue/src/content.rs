//! What is sent, fixed at acceptance and kept sealed.

use barid_domain::TenantId;
use barid_proto::{
    queue::v1::{Choices, ContactCard, Location, MediaKind},
    template::v1::MetaTemplateCall,
};
use barid_vault::{Place, TenantKey};
use prost::Message;
use uuid::Uuid;

/// The content of a message. An encoding of the ledger's own: fields are only ever added.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Content {
    /// E.164.
    #[prost(string, tag = "1")]
    pub recipient: String,
    /// The free text; empty when there is only media.
    #[prost(string, tag = "2")]
    pub text: String,
    /// How it is sent outside the 24-hour window.
    #[prost(message, optional, tag = "3")]
    pub meta: Option<MetaTemplateCall>,
    #[prost(string, tag = "4")]
    pub media_url: String,
    #[prost(enumeration = "MediaKind", tag = "5")]
    pub media_kind: i32,
    #[prost(string, tag = "6")]
    pub media_filename: String,
    /// The variables as they came: an encoded `google.protobuf.Struct`.
    #[prost(bytes = "vec", tag = "7")]
    pub variables: Vec<u8>,
    #[prost(message, optional, tag = "8")]
    pub choices: Option<Choices>,
    #[prost(message, optional, tag = "9")]
    pub location: Option<Location>,
    /// With its numbers in E.164.
    #[prost(message, optional, tag = "10")]
    pub contact_card: Option<ContactCard>,
    /// The emoji of a reaction; empty when one is taken back.
    #[prost(string, tag = "11")]
    pub reaction: String,
    #[prost(bool, tag = "12")]
    pub is_reaction: bool,
    /// `msg_...` or `inb_...`: what it replies or reacts to.
    #[prost(string, tag = "13")]
    pub target: String,
    /// How that began.
    #[prost(string, tag = "14")]
    pub target_text: String,
    /// Where it goes if WhatsApp does not reach the customer.
    #[prost(string, tag = "15")]
    pub fallback_email: String,
}

impl Content {
    pub(crate) fn seal(&self, key: &TenantKey, tenant: TenantId, message: Uuid) -> Vec<u8> {
        key.seal(place(tenant, message), &self.encode_to_vec())
    }

    pub(crate) fn open(key: &TenantKey, tenant: TenantId, message: Uuid, sealed: &[u8]) -> Result<Self, barid_vault::Error> {
        Self::decode(key.open(place(tenant, message), sealed)?.as_slice()).map_err(|_| barid_vault::Error::Sealed)
    }
}

fn place(tenant: TenantId, row: Uuid) -> Place {
    Place { tenant: tenant.uuid(), column: "queue.messages.content", row }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_before_choices_and_reactions_is_read_as_it_was() {
        #[derive(Clone, PartialEq, Message)]
        struct First {
            #[prost(string, tag = "1")]
            recipient: String,
            #[prost(string, tag = "2")]
            text: String,
            #[prost(string, tag = "4")]
            media_url: String,
            #[prost(enumeration = "MediaKind", tag = "5")]
            media_kind: i32,
        }
        let old = First { recipient: "+201234567890".into(), text: "hello".into(), media_url: "https://a.example/b".into(), media_kind: 1 };
        let read = Content::decode(old.encode_to_vec().as_slice()).expect("a content");
        let expected = Content {
            recipient: old.recipient,
            text: old.text,
            media_url: old.media_url,
            media_kind: MediaKind::Document.into(),
            ..Content::default()
        };
        assert_eq!(read, expected);
    }
}
