//! What is sent, fixed at acceptance and kept sealed.

use barid_domain::TenantId;
use barid_proto::{queue::v1::MediaKind, template::v1::MetaTemplateCall};
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
