//! What an answer to a send means.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;

use super::errors::{self, MetaError};
use crate::{Action, Failure, Sent};

/// Far more than any answer of Meta's; the rest of a longer one is not read.
const LONGEST: usize = 64 * 1024;

#[derive(Deserialize)]
struct Accepted {
    messages: Vec<AcceptedMessage>,
}

#[derive(Deserialize)]
struct AcceptedMessage {
    id: String,
}

#[derive(Deserialize)]
struct Refused {
    error: MetaError,
}

/// Reads an answer to its end and judges it.
pub(super) async fn read(mut answer: Response) -> Result<Sent, Failure> {
    let status = answer.status();
    let retry_after = retry_after(&answer);
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST => body.extend_from_slice(&chunk),
            Ok(_) => break,
            // What arrived may still be whole enough to tell.
            Err(error) => {
                tracing::debug!(error = %error.without_url(), "the answer to a send broke off");
                break;
            }
        }
    }
    judge(status, retry_after, &body)
}

/// Seconds only: Meta does not use dates.
fn retry_after(answer: &Response) -> Option<Duration> {
    answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn judge(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Result<Sent, Failure> {
    if status.is_success()
        && let Ok(Accepted { messages }) = serde_json::from_slice(body)
        && let Some(message) = messages.into_iter().next()
    {
        return Ok(Sent::Acknowledged { provider_id: message.id });
    }
    if let Ok(Refused { error }) = serde_json::from_slice(body) {
        return Err(Failure { retry_after, ..errors::judge(&error, status.is_server_error()) });
    }
    let (action, reason) = match status.as_u16() {
        429 => (Action::PauseSession, "rate_limited"),
        413 => (Action::DeadLetter, "too_large"),
        // Something on the way gave up on a request that may have gone further.
        408 | 499 => (Action::Uncertain, "no_answer"),
        // Refused before it was acted on, though not by Meta: a proxy, or a wrong address.
        400..=498 => (Action::ReturnAndBackOff, "unexpected_answer"),
        // A redirect, a 200 without an id, a 5xx without Meta's error: each may stand behind a message that was sent.
        _ => (Action::Uncertain, "unexpected_answer"),
    };
    Err(Failure { action, reason, detail: format!("HTTP {} without a body of Meta's", status.as_u16()), retry_after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<Sent, (Action, &'static str)> {
        judge(StatusCode::from_u16(status).unwrap(), None, body.as_bytes()).map_err(|failure| (failure.action, failure.reason))
    }

    #[test]
    fn an_id_is_an_acknowledgement() {
        let sent = judged(200, r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.1","message_status":"accepted"}],"new":1}"#);
        assert_eq!(sent, Ok(Sent::Acknowledged { provider_id: "wamid.1".into() }));
    }

    #[test]
    fn without_metas_own_words_only_a_refusal_is_safe_to_repeat() {
        let safe = (Action::ReturnAndBackOff, "unexpected_answer");
        let uncertain = (Action::Uncertain, "unexpected_answer");
        for status in [400, 401, 403, 404, 407] {
            assert_eq!(judged(status, "<html>"), Err(safe), "{status}");
        }
        for (status, body) in [
            (200, ""),
            (200, r#"{"messages":[]}"#),
            (200, "{\"messages\":[{\"i"),
            (302, ""),
            (500, ""),
            (502, "<html>"),
            (503, "{}"),
            (504, "x"),
        ] {
            assert_eq!(judged(status, body), Err(uncertain), "{status} {body}");
        }
        assert_eq!(judged(429, ""), Err((Action::PauseSession, "rate_limited")));
        assert_eq!(judged(413, ""), Err((Action::DeadLetter, "too_large")));
        assert_eq!(judged(408, ""), Err((Action::Uncertain, "no_answer")));
    }

    #[test]
    fn metas_own_words_count_whatever_the_status() {
        let body = r#"{"error":{"message":"(#131047) Re-engagement message","type":"OAuthException","code":131047}}"#;
        for status in [200, 400, 500] {
            assert_eq!(judged(status, body), Err((Action::NeedsTemplate, "window_closed")), "{status}");
        }
    }
}
