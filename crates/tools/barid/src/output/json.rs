//! Messages as JSON, as REST tells them.

use anyhow::{Context, Result};
use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};

/// A message of the type with this full name, on one line.
pub(crate) fn json<M: Message>(name: &str, message: &M) -> Result<String> {
    let descriptor = barid_proto::descriptor_pool().get_message_by_name(name).with_context(|| format!("the protos have no {name}"))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    let mut text = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut text, &SerializeOptions::new().skip_default_fields(false))?;
    Ok(String::from_utf8(text.into_inner())?)
}
