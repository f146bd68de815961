//! What WhatsApp's refusals mean.

use std::time::Duration;

use crate::{Action, Failure};

/// How long a session rests that sends too fast, when WhatsApp does not say.
const REST: Duration = Duration::from_secs(60);

/// A message that the server did not take, by the code in its ack.
pub(super) fn refused(code: &str) -> Failure {
    let (action, reason, detail) = match code {
        "400" | "479" | "487" | "488" | "489" | "490" | "491" => (Action::DeadLetter, "malformed", "WhatsApp could not read the message"),
        "401" => (Action::StopSession, "not_authorized", "WhatsApp does not accept messages from this login"),
        "402" | "475" => {
            (Action::PauseNumberAndAlert, "new_chats_capped", "this number wrote to as many new people as WhatsApp lets it for now")
        }
        "403" => (Action::DeadLetter, "forbidden", "this number may not write to the recipient"),
        "404" => (Action::DeadLetter, "recipient_not_found", "the recipient is not on WhatsApp"),
        "405" | "406" => (Action::DeadLetter, "not_accepted", "WhatsApp does not accept this message"),
        "408" | "500" | "501" | "502" | "503" | "504" => (Action::Retry, "whatsapp_unavailable", "WhatsApp could not take the message"),
        "419" | "429" => (Action::PauseSession, "rate_limited", "this number sends too fast"),
        "463" => (
            Action::PauseNumberAndAlert,
            "reach_out_locked",
            "WhatsApp does not let this number write first to people who did not write to it; it may lose the number if it goes on",
        ),
        _ => (Action::Retry, "refused", "WhatsApp refused the message"),
    };
    let retry_after = (action == Action::PauseSession).then_some(REST);
    Failure { action, reason, detail: format!("{detail} (code {})", digits(code)), retry_after }
}

/// The code comes from the server: only what looks like one is repeated.
fn digits(code: &str) -> String {
    code.chars().filter(char::is_ascii_digit).take(6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_they_say() {
        let cases = [
            ("463", Action::PauseNumberAndAlert, "reach_out_locked"),
            ("475", Action::PauseNumberAndAlert, "new_chats_capped"),
            ("429", Action::PauseSession, "rate_limited"),
            ("404", Action::DeadLetter, "recipient_not_found"),
            ("479", Action::DeadLetter, "malformed"),
            ("503", Action::Retry, "whatsapp_unavailable"),
            ("999", Action::Retry, "refused"),
        ];
        for (code, action, reason) in cases {
            let failure = refused(code);
            assert_eq!((failure.action, failure.reason), (action, reason), "{code}");
        }
        assert_eq!(refused("429").retry_after, Some(REST));
        assert!(refused("1<x>").detail.ends_with("(code 1)"));
    }
}
