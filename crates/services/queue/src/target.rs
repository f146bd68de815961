//! The message that another one is about: what a reaction is put on, or a reply quotes.

use std::fmt;

use barid_domain::{InboundId, MessageId};
use barid_proto::Violations;
use tonic::Status;

/// One of ours or one of the customer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Message(MessageId),
    Inbound(InboundId),
}

impl Target {
    /// Reads `msg_...` or `inb_...`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self::Message).or_else(|_| text.parse().map(Self::Inbound)).ok()
    }

    /// The one answer for what is no id, for what does not exist, and for what belongs to somebody else.
    pub(crate) fn unknown(field: &str) -> Status {
        Violations::one(field, UNKNOWN.0, UNKNOWN.1)
    }
}

/// Rule and remedy of a target that is not there.
pub(crate) const UNKNOWN: (&str, &str) =
    ("not_found", "names no message exchanged with this customer; give the id of one, such as `msg_...` or `inb_...`");

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(id) => id.fmt(f),
            Self::Inbound(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_as_they_are_written() {
        for text in ["msg_01h455vb4pex5vsknk084sn02q", "inb_01h455vb4pex5vsknk084sn02q"] {
            assert_eq!(Target::parse(text).map(|target| target.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Target::parse("con_01h455vb4pex5vsknk084sn02q"), None);
        assert_eq!(Target::parse("wamid.1"), None);
    }
}
