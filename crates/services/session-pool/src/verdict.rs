//! What WhatsApp's answer to a send means for the message and for its session. Pure.

use std::time::Duration;

use barid_proto::{
    queue::v1::{Acknowledged, Failure as WireFailure, outcome::Outcome},
    timestamp,
};
use barid_whatsapp::{Action, Failure, Sent};
use chrono::{DateTime, TimeDelta, Utc};

/// What it means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// WhatsApp took the message.
    Taken,
    /// WhatsApp answers; whatever it said was about the message.
    Fine,
    /// The session may not write first to people who do not know it.
    ReachOut,
    /// Nothing.
    None,
    /// WhatsApp cannot take messages at the moment.
    BackOff,
    /// The session rests: for as long as WhatsApp asked, or at least for `shortest`.
    Pause { asked: Option<Duration>, shortest: Duration, reason: &'static str },
    /// The session cannot send until someone sees to it.
    Stop { reason: &'static str },
}

/// A session that was too fast rests so long, and twice as long the next time.
const REST: Duration = Duration::from_secs(30);
/// A number that WhatsApp threatens.
const LONG_REST: Duration = Duration::from_secs(3600);
/// WhatsApp takes one message in six seconds for one recipient in the long run.
const RECIPIENT_REST: Duration = Duration::from_secs(6);
/// What comes back uncounted is not tried in the same breath again.
const BREATH: Duration = Duration::from_secs(1);

/// WhatsApp's code for a number that may not write first.
const REACH_OUT: &str = "reach_out_locked";
/// Why a session rests that reaches not even customers who know it.
pub(crate) const LOCKED_OUT: &str = "WhatsApp refuses what this number writes, even to customers who know it, because it wrote first to too many people; sending goes on later \
     by itself. Write to customers who wrote first, or who expect it.";

/// Judges a send that ended at `now`.
pub(crate) fn judge(sent: Result<Sent, Failure>, now: DateTime<Utc>) -> (Outcome, Effect) {
    let failure = match sent {
        Ok(Sent::Acknowledged { provider_id }) => return (Outcome::Acknowledged(Acknowledged { provider_id }), Effect::Taken),
        Err(failure) => failure,
    };
    let wire = |wait: Option<Duration>| WireFailure {
        reason: failure.reason.to_owned(),
        not_before: wait.map(|wait| timestamp(now + TimeDelta::from_std(wait).unwrap_or_default())),
    };
    let returned = |usual: Duration| Outcome::Returned(wire(Some(failure.retry_after.unwrap_or(usual))));
    let outcome = match failure.action {
        Action::Retry => Outcome::Retry(wire(failure.retry_after)),
        Action::ReturnAndBackOff | Action::StopSession => returned(BREATH),
        Action::PauseSession => returned(REST),
        Action::PauseNumberAndAlert => returned(LONG_REST),
        Action::DelayRecipient => returned(RECIPIENT_REST),
        Action::NeedsTemplate | Action::PauseTemplate | Action::DeadLetter => Outcome::Dead(wire(None)),
        Action::Uncertain => Outcome::Uncertain(wire(None)),
    };
    (outcome, effect(&failure))
}

/// What a failure means for the session, be it the answer to a send or told later.
pub(crate) fn effect(failure: &Failure) -> Effect {
    let asked = failure.retry_after;
    match failure.action {
        Action::ReturnAndBackOff | Action::Uncertain => Effect::BackOff,
        Action::PauseSession => Effect::Pause { asked, shortest: REST, reason: sentence(failure.reason) },
        Action::PauseNumberAndAlert if failure.reason == REACH_OUT => Effect::ReachOut,
        Action::PauseNumberAndAlert => Effect::Pause { asked, shortest: LONG_REST, reason: sentence(failure.reason) },
        Action::StopSession => Effect::Stop { reason: sentence(failure.reason) },
        Action::Retry => Effect::None,
        Action::DelayRecipient | Action::NeedsTemplate | Action::PauseTemplate | Action::DeadLetter => Effect::Fine,
    }
}

/// Whether a message that WhatsApp took and then failed is worth another attempt.
pub(crate) fn is_passing(action: Action) -> bool {
    match action {
        Action::Retry
        | Action::ReturnAndBackOff
        | Action::PauseSession
        | Action::PauseNumberAndAlert
        | Action::DelayRecipient
        | Action::StopSession => true,
        Action::NeedsTemplate | Action::PauseTemplate | Action::DeadLetter | Action::Uncertain => false,
    }
}

/// How long a pause lasts, given how many came before it without a success between.
pub(crate) fn rest(asked: Option<Duration>, shortest: Duration, strikes: u32) -> Duration {
    let longest = shortest * 64;
    asked.unwrap_or_else(|| shortest * (1 << strikes.min(6))).min(longest)
}

/// Why a session rests, for its tenant.
fn sentence(reason: &str) -> &'static str {
    match reason {
        "rate_limited" => "WhatsApp asked to send more slowly; sending goes on by itself.",
        "spam_limited" => {
            "WhatsApp limits this number because customers blocked or reported it; sending goes on later by itself. Send less, and only what \
             customers expect."
        }
        "new_chats_capped" => {
            "This number wrote to as many new people as WhatsApp lets it for now; sending goes on later by itself. Write to fewer new customers a day."
        }
        "not_authorized" => "WhatsApp does not accept messages from this device; log the session out and link it again.",
        "policy_violation" => {
            "WhatsApp restricts this account for a violation of its policies; see the account's quality in Meta's Business Manager."
        }
        "token_invalid" => "Meta refuses the access token of this session; give a new one, then activate the session.",
        "credentials_malformed" => "The access token of this session is malformed; give a new one, then activate the session.",
        "permission_denied" => {
            "The access token may not send from this number; give it the permission whatsapp_business_messaging, then activate the session."
        }
        "number_unknown" => "Meta does not know this phone number id, or not for this access token; correct it, then activate the session.",
        "number_unregistered" => "The number is not registered at Meta's Cloud API; register it there, then activate the session.",
        "display_name_unapproved" => "Meta has not approved the display name of the number; see to it there, then activate the session.",
        "account_locked" => {
            "Meta has locked the WhatsApp business account; see to it in Meta's Business Manager, then activate the session."
        }
        "billing" => "Meta cannot charge the WhatsApp business account; see to its payment method there, then activate the session.",
        _ => "WhatsApp does not take messages from this session; see to it in Meta's Business Manager, then activate the session.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIONS: [Action; 10] = [
        Action::Retry,
        Action::ReturnAndBackOff,
        Action::PauseSession,
        Action::DelayRecipient,
        Action::StopSession,
        Action::PauseNumberAndAlert,
        Action::NeedsTemplate,
        Action::PauseTemplate,
        Action::DeadLetter,
        Action::Uncertain,
    ];

    fn failure(action: Action, retry_after: Option<Duration>) -> Failure {
        Failure { action, reason: "rate_limited", detail: String::new(), retry_after }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    #[test]
    fn only_a_failure_of_the_message_counts_against_it() {
        for action in ACTIONS {
            let (outcome, _) = judge(Err(failure(action, None)), now());
            let expected = match action {
                Action::Retry => "retry",
                Action::NeedsTemplate | Action::PauseTemplate | Action::DeadLetter => "dead",
                Action::Uncertain => "uncertain",
                _ => "returned",
            };
            let found = match outcome {
                Outcome::Acknowledged(_) => "acknowledged",
                Outcome::Retry(_) => "retry",
                Outcome::Dead(_) => "dead",
                Outcome::Returned(_) => "returned",
                Outcome::Uncertain(_) => "uncertain",
            };
            assert_eq!(found, expected, "{action:?}");
        }
    }

    #[test]
    fn what_whatsapp_asks_for_is_how_long_the_message_waits() {
        let wait = |action, asked| match judge(Err(failure(action, asked)), now()).0 {
            Outcome::Returned(failure) => failure.not_before.map(|time| time.seconds - now().timestamp()),
            _ => None,
        };
        assert_eq!(wait(Action::PauseSession, Some(Duration::from_secs(17))), Some(17));
        assert_eq!(wait(Action::PauseSession, None), Some(30));
        assert_eq!(wait(Action::DelayRecipient, None), Some(6));
        assert_eq!(wait(Action::ReturnAndBackOff, None), Some(1));
    }

    #[test]
    fn a_number_that_may_not_write_first_is_not_paused_for_it() {
        let refused = Failure { reason: REACH_OUT, ..failure(Action::PauseNumberAndAlert, None) };
        assert_eq!(effect(&refused), Effect::ReachOut);
        assert!(matches!(effect(&failure(Action::PauseNumberAndAlert, None)), Effect::Pause { .. }));
    }

    #[test]
    fn pauses_grow_to_a_limit_unless_whatsapp_says_how_long() {
        let seconds = |asked, strikes| rest(asked, REST, strikes).as_secs();
        assert_eq!((seconds(None, 0), seconds(None, 1), seconds(None, 2), seconds(None, 40)), (30, 60, 120, 1920));
        assert_eq!(seconds(Some(Duration::from_secs(5)), 9), 5);
    }
}
