//! Meta's error codes, and what each means for the message and its session.

use serde::Deserialize;

use crate::{
    Action::{
        self, DeadLetter, DelayRecipient, NeedsTemplate, PauseNumberAndAlert, PauseSession, PauseTemplate, Retry, ReturnAndBackOff,
        StopSession,
    },
    Failure,
};

/// An error as Meta words it, in the answer to a send or in a `failed` status.
#[derive(Debug, Default, Deserialize)]
pub(super) struct MetaError {
    pub(super) code: i64,
    #[serde(default)]
    pub(super) error_subcode: Option<i64>,
    #[serde(default)]
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) is_transient: bool,
    #[serde(default)]
    pub(super) error_data: Option<ErrorData>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorData {
    #[serde(default)]
    pub(super) details: Option<String>,
}

/// Codes from the first to the second, both included.
struct Rule(i64, i64, Action, &'static str);

/// After Meta's page of error codes; the first rule that holds a code decides.
const RULES: &[Rule] = &[
    Rule(0, 0, StopSession, "token_invalid"),
    Rule(1, 2, ReturnAndBackOff, "meta_unavailable"),
    Rule(3, 3, StopSession, "permission_denied"),
    Rule(4, 4, PauseSession, "rate_limited"),
    Rule(10, 10, StopSession, "permission_denied"),
    Rule(33, 33, StopSession, "number_unknown"),
    Rule(100, 100, DeadLetter, "invalid_request"),
    Rule(190, 190, StopSession, "token_invalid"),
    Rule(200, 299, StopSession, "permission_denied"),
    Rule(368, 368, PauseNumberAndAlert, "policy_violation"),
    Rule(80_007, 80_007, PauseSession, "rate_limited"),
    Rule(130_429, 130_429, PauseSession, "rate_limited"),
    Rule(130_472, 130_472, DeadLetter, "withheld_by_meta"),
    Rule(130_497, 130_497, DeadLetter, "country_restricted"),
    Rule(131_000, 131_000, ReturnAndBackOff, "meta_unavailable"),
    Rule(131_005, 131_005, StopSession, "permission_denied"),
    Rule(131_008, 131_009, DeadLetter, "invalid_request"),
    Rule(131_016, 131_016, ReturnAndBackOff, "meta_unavailable"),
    Rule(131_021, 131_021, DeadLetter, "recipient_is_sender"),
    Rule(131_026, 131_026, DeadLetter, "undeliverable"),
    Rule(131_030, 131_030, DeadLetter, "recipient_not_allowed"),
    Rule(131_031, 131_031, StopSession, "account_locked"),
    Rule(131_037, 131_037, StopSession, "display_name_unapproved"),
    Rule(131_042, 131_042, StopSession, "billing"),
    Rule(131_045, 131_045, StopSession, "number_unregistered"),
    Rule(131_047, 131_047, NeedsTemplate, "window_closed"),
    Rule(131_048, 131_048, PauseNumberAndAlert, "spam_limited"),
    Rule(131_049, 131_049, DeadLetter, "withheld_by_meta"),
    Rule(131_050, 131_050, DeadLetter, "opted_out"),
    Rule(131_051, 131_051, DeadLetter, "invalid_request"),
    Rule(131_052, 131_053, DeadLetter, "media_rejected"),
    Rule(131_056, 131_056, DelayRecipient, "recipient_rate_limited"),
    Rule(131_057, 131_057, ReturnAndBackOff, "meta_unavailable"),
    Rule(132_000, 132_001, DeadLetter, "template_mismatch"),
    Rule(132_005, 132_005, DeadLetter, "template_mismatch"),
    Rule(132_007, 132_007, DeadLetter, "template_mismatch"),
    Rule(132_012, 132_012, DeadLetter, "template_mismatch"),
    Rule(132_018, 132_018, DeadLetter, "template_mismatch"),
    Rule(132_015, 132_015, PauseTemplate, "template_paused"),
    Rule(132_016, 132_016, PauseTemplate, "template_disabled"),
    Rule(133_004, 133_004, ReturnAndBackOff, "meta_unavailable"),
    Rule(133_010, 133_010, StopSession, "number_unregistered"),
    Rule(135_000, 135_000, DeadLetter, "invalid_request"),
];

/// Code 100 with this subcode is not about the request: the number is gone, or this token may not see it.
const NO_SUCH_OBJECT: i64 = 33;

/// Longest detail handed on, in characters.
const LONGEST: usize = 500;

/// Judges an error of Meta's; `server_side` tells that it came with a 5xx.
pub(super) fn judge(error: &MetaError, server_side: bool) -> Failure {
    let rule = RULES.iter().find(|rule| (rule.0..=rule.1).contains(&error.code));
    let (action, reason) = match rule {
        _ if error.code == 100 && error.error_subcode == Some(NO_SUCH_OBJECT) => (StopSession, "number_unknown"),
        Some(rule) => (rule.2, rule.3),
        None if error.is_transient || server_side => (ReturnAndBackOff, "meta_unavailable"),
        // Not known to be anybody's fault: a few attempts, then the dead letters.
        None => (Retry, "rejected"),
    };
    let details = error.error_data.as_ref().and_then(|data| data.details.as_deref());
    let title = error.title.as_deref().or(error.message.as_deref());
    let words: Vec<&str> = [title, details].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    Failure { action, reason, detail: mask(&format!("{} {}", error.code, words.join(": "))), retry_after: None }
}

/// Cuts a text from outside to size and masks what may be a phone number or a token in it.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::new();
    let mut word = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            word.push(c);
        } else {
            push_masked(&mut masked, &word);
            word.clear();
            masked.push(c);
        }
    }
    push_masked(&mut masked, &word);
    masked
}

fn push_masked(masked: &mut String, word: &str) {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let number = digits >= 7;
    let token = word.len() >= 24 && digits > 0 && letters > 0;
    masked.push_str(if number || token { "***" } else { word });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: i64) -> (Action, &'static str) {
        let failure = judge(&MetaError { code, ..MetaError::default() }, false);
        (failure.action, failure.reason)
    }

    #[test]
    fn each_code_has_its_meaning() {
        let expected: &[(&[i64], Action, &str)] = &[
            (&[0, 190], StopSession, "token_invalid"),
            (&[3, 10, 200, 230, 299, 131_005], StopSession, "permission_denied"),
            (&[33], StopSession, "number_unknown"),
            (&[100, 131_008, 131_009, 131_051, 135_000], DeadLetter, "invalid_request"),
            (&[132_000, 132_001, 132_005, 132_007, 132_012, 132_018], DeadLetter, "template_mismatch"),
            (&[4, 80_007, 130_429], PauseSession, "rate_limited"),
            (&[131_056], DelayRecipient, "recipient_rate_limited"),
            (&[131_048], PauseNumberAndAlert, "spam_limited"),
            (&[368], PauseNumberAndAlert, "policy_violation"),
            (&[131_049, 130_472], DeadLetter, "withheld_by_meta"),
            (&[131_047], NeedsTemplate, "window_closed"),
            (&[131_026], DeadLetter, "undeliverable"),
            (&[131_030], DeadLetter, "recipient_not_allowed"),
            (&[131_021], DeadLetter, "recipient_is_sender"),
            (&[131_050], DeadLetter, "opted_out"),
            (&[130_497], DeadLetter, "country_restricted"),
            (&[131_052, 131_053], DeadLetter, "media_rejected"),
            (&[131_042], StopSession, "billing"),
            (&[131_031], StopSession, "account_locked"),
            (&[131_037], StopSession, "display_name_unapproved"),
            (&[132_015], PauseTemplate, "template_paused"),
            (&[132_016], PauseTemplate, "template_disabled"),
            (&[133_010, 131_045], StopSession, "number_unregistered"),
            (&[1, 2, 131_000, 131_016, 131_057, 133_004], ReturnAndBackOff, "meta_unavailable"),
        ];
        for (codes, action, reason) in expected {
            for code in *codes {
                assert_eq!(judged(*code), (*action, *reason), "{code}");
            }
        }
        let tested = |code| expected.iter().any(|(codes, ..)| codes.contains(&code));
        for rule in RULES {
            assert!(tested(rule.0) && tested(rule.1), "{} to {} stands in no test", rule.0, rule.1);
        }
    }

    #[test]
    fn a_number_that_is_gone_stops_the_session() {
        let error = MetaError { code: 100, error_subcode: Some(33), ..MetaError::default() };
        assert_eq!(judge(&error, false).action, StopSession);
    }

    #[test]
    fn unknown_codes_are_tried_again_but_not_for_ever() {
        let unknown = |is_transient| MetaError { code: 999_999, is_transient, ..MetaError::default() };
        assert_eq!(judge(&unknown(false), false).action, Retry);
        assert_eq!(judge(&unknown(true), false).action, ReturnAndBackOff);
        assert_eq!(judge(&unknown(false), true).action, ReturnAndBackOff);
    }

    #[test]
    fn details_name_nobody() {
        let masked = mask(
            "131026 Message to +201001234567 undeliverable, token EAAGm0PX4ZCpsBAKx1y2z3w4v5u6t7s8 of invoice_reminder_for_the_laundry",
        );
        assert_eq!(masked, "131026 Message to +*** undeliverable, token *** of invoice_reminder_for_the_laundry");
        assert_eq!(mask(&"é".repeat(600)).chars().count(), 500);
    }
}
