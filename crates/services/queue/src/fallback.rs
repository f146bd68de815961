//! Which other way a message takes that failed for good. Pure.

use crate::channel::Channel;

/// What counts where a tenant names no reasons: WhatsApp does not reach the customer.
const USUAL: [&str; 2] = ["undeliverable", "window_closed"];
/// What the customer does not want is sent in no way.
const NEVER: [&str; 2] = ["recipient_opted_out", "recipient_not_allowed"];
/// The reason of a fallback that failed: the next one may be taken.
pub(crate) const FAILED: &str = "fallback_failed";

/// What a tenant chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fallback {
    /// In this order.
    pub channels: Vec<Channel>,
    /// Codes; the usual ones when empty.
    pub reasons: Vec<String>,
}

impl Fallback {
    /// The way after one that failed for this reason, among those that reach the customer.
    pub(crate) fn next(&self, failed: Channel, reason: &str, reaches: impl Fn(Channel) -> bool) -> Option<Channel> {
        let rest = match self.channels.iter().position(|channel| *channel == failed) {
            _ if NEVER.contains(&reason) => return None,
            None if failed == Channel::Whatsapp && self.qualifies(reason) => &self.channels[..],
            Some(index) if reason == FAILED => &self.channels[index + 1..],
            _ => return None,
        };
        rest.iter().copied().find(|channel| reaches(*channel))
    }

    fn qualifies(&self, reason: &str) -> bool {
        if self.reasons.is_empty() { USUAL.contains(&reason) } else { self.reasons.iter().any(|known| known == reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(reasons: &[&str]) -> Fallback {
        Fallback { channels: vec![Channel::Email, Channel::Sms], reasons: reasons.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn the_first_way_that_reaches_the_customer_is_taken() {
        let any = |_| true;
        assert_eq!(both(&[]).next(Channel::Whatsapp, "undeliverable", any), Some(Channel::Email));
        assert_eq!(both(&[]).next(Channel::Whatsapp, "window_closed", |channel| channel == Channel::Sms), Some(Channel::Sms));
        assert_eq!(both(&[]).next(Channel::Whatsapp, "undeliverable", |_| false), None);
        assert_eq!(both(&[]).next(Channel::Email, FAILED, any), Some(Channel::Sms));
        assert_eq!(both(&[]).next(Channel::Sms, FAILED, any), None);
        assert_eq!(Fallback::default().next(Channel::Whatsapp, "undeliverable", any), None);
        // It may have arrived.
        assert_eq!(both(&[]).next(Channel::Email, "outcome_unknown", any), None);
        assert_eq!(both(&[]).next(Channel::Whatsapp, "outcome_unknown", any), None);
    }

    #[test]
    fn a_tenant_says_which_failures_qualify_and_never_what_a_customer_does_not_want() {
        let any = |_| true;
        assert_eq!(both(&["rejected"]).next(Channel::Whatsapp, "rejected", any), Some(Channel::Email));
        assert_eq!(both(&["rejected"]).next(Channel::Whatsapp, "undeliverable", any), None);
        for never in NEVER {
            assert_eq!(both(&[never]).next(Channel::Whatsapp, never, any), None);
        }
    }
}
