//! What stands beside `@type` when a google.protobuf.Any is written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Map, Value};

use super::MessageJson;
use crate::well_known::WellKnown;

/// How many messages of type Any inside of each other are expanded. Each is decoded afresh, so that protobuf's own limit
/// does not hold them.
pub(crate) const MAX_DEPTH: usize = 8;

/// The fields of the message inside, or its JSON form as `value` when its type has one of its own.
///
/// The bytes themselves as `value`, in base64, when the type is unknown or the bytes are not sound: a detail that this process
/// does not know must not cost the reader the whole answer.
pub(crate) fn members(pool: &DescriptorPool, type_url: &str, bytes: &[u8], depth: usize) -> Map<String, Value> {
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    expand(pool, name, bytes, depth).unwrap_or_else(|| Map::from_iter([("value".to_owned(), STANDARD.encode(bytes).into())]))
}

fn expand(pool: &DescriptorPool, name: &str, bytes: &[u8], depth: usize) -> Option<Map<String, Value>> {
    let any = depth.checked_sub(1)?;
    let descriptor = pool.get_message_by_name(name)?;
    let has_own_form = WellKnown::of(&descriptor).is_some();
    let message = DynamicMessage::decode(descriptor, bytes).ok()?;
    match serde_json::to_value(MessageJson { message: &message, any }).ok()? {
        Value::Object(members) if !has_own_form => Some(members),
        json => Some(Map::from_iter([("value".to_owned(), json)])),
    }
}
