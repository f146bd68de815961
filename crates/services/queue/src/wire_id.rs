//! The id under which a message goes over WhatsApp Web. Pure.

use std::fmt::Write;

use barid_domain::MessageId;
use sha2::{Digest, Sha256};

/// What WhatsApp Web's own clients begin their ids with.
const PREFIX: &str = "3EB0";
/// Bytes of the digest that follow: with the prefix 22 characters, as WhatsApp Web's own ids have.
const BYTES: usize = 9;

/// The id of a message on the wire: `3EB0` and the first 18 hexadecimal digits, in capitals, of SHA-256 over the 16 bytes of its UUID.
///
/// It is minted with the message, at acceptance, and needs no place of its own: every attempt, on whatever replica, goes out under the same
/// id, so that a phone shows the message once. 72 bits are enough for ids that are unique within one session, and the digest keeps
/// from the customer when the message was handed over, which the UUID would tell.
pub(crate) fn of(message: MessageId) -> String {
    let digest = Sha256::digest(message.uuid().as_bytes());
    let mut id = String::from(PREFIX);
    for byte in &digest[..BYTES] {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02X}");
    }
    id
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn it_never_changes() {
        // sha256 of 16 zero bytes begins with 374708fff7719dd597.
        assert_eq!(of(MessageId::from_uuid(Uuid::nil())), "3EB0374708FFF7719DD597");
        assert_ne!(of(MessageId::from_uuid(Uuid::max())), of(MessageId::from_uuid(Uuid::nil())));
    }
}
