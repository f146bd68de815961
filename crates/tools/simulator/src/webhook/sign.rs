//! The signature of a post, the escaping Meta applies before it, and the verification handshake.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use crate::config;

/// The value of `X-Hub-Signature-256` for these bytes.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// Writes JSON in ASCII as Meta does: `\uXXXX` in UTF-16 units, and `\/`.
///
/// Outside of strings JSON has neither, so the text can be rewritten without parsing it.
pub(crate) fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() * 2);
    for c in json.chars() {
        match c {
            '/' => escaped.push_str("\\/"),
            c if c.is_ascii() => escaped.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").expect("a String takes any text");
                }
            }
        }
    }
    escaped
}

/// What came of asking a callback to prove that it knows the verify token.
#[derive(Debug, Serialize)]
pub(crate) struct Handshake {
    pub(crate) verified: bool,
    /// The status of the callback's answer, if there was one.
    pub(crate) http_status: Option<u16>,
    /// Why it is not verified.
    pub(crate) problem: Option<String>,
}

/// Performs the `hub.challenge` handshake: verified when the answer is 200 with the challenge as its whole body.
pub(crate) async fn handshake(http: &reqwest::Client, app: &config::App) -> Handshake {
    let challenge = rand::random_range(1_000_000_000_u64..10_000_000_000).to_string();
    let query = [("hub.mode", "subscribe"), ("hub.verify_token", app.verify_token.expose()), ("hub.challenge", &challenge)];
    let failed = |status, problem| Handshake { verified: false, http_status: status, problem: Some(problem) };
    if app.callback_url.is_empty() {
        return failed(None, "the app has no callback_url".into());
    }
    let answer = match http.get(&app.callback_url).query(&query).send().await {
        Ok(answer) => answer,
        Err(error) => return failed(None, format!("no answer: {}", error.without_url())),
    };
    let status = answer.status().as_u16();
    match answer.text().await {
        Err(error) => failed(Some(status), format!("the answer broke off: {error}")),
        Ok(_) if status != 200 => failed(Some(status), "the answer is not 200".into()),
        Ok(body) if body != challenge => failed(Some(status), "the body is not the challenge".into()),
        Ok(_) => Handshake { verified: true, http_status: Some(status), problem: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_matches_a_published_vector() {
        // RFC 4231, test case 2.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn escaped_json_means_the_same() {
        let json = serde_json::json!({"text": "أهلاً 🧺 https://x/y \"q\""});
        let escaped = escape(&json.to_string());
        assert!(escaped.is_ascii());
        assert!(escaped.contains("\\ud83e\\uddfa") && escaped.contains("https:\\/\\/x"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), json);
    }
}
