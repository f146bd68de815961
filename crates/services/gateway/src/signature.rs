//! Whether a post was signed with the app's secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Compares the header `X-Hub-Signature-256` with the body's signature, in time that does not depend on the content.
///
/// `body` must be the bytes as they came: Meta signs its own escaping of the JSON.
pub(crate) fn verify_signature(app_secret: &str, header: &str, body: &[u8]) -> bool {
    // Everybody can sign with an empty secret.
    if app_secret.is_empty() {
        return false;
    }
    let Some(claimed) = header.trim().strip_prefix("sha256=").and_then(|digits| hex::decode(digits).ok()) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()) else { return false };
    mac.update(body);
    mac.verify_slice(&claimed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::verify_signature;

    /// RFC 4231, test case 2.
    const SIGNATURE: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const BODY: &[u8] = b"what do ya want for nothing?";

    #[test]
    fn the_published_vector_passes() {
        assert!(verify_signature("Jefe", &format!("sha256={SIGNATURE}"), BODY));
        assert!(verify_signature("Jefe", &format!("sha256={}", SIGNATURE.to_uppercase()), BODY));
    }

    #[test]
    fn anything_else_does_not() {
        let good = format!("sha256={SIGNATURE}");
        assert!(!verify_signature("jefe", &good, BODY));
        assert!(!verify_signature("", &good, BODY));
        assert!(!verify_signature("Jefe", &good, b"what do ya want for nothing!"));
        for header in ["", "sha256=", SIGNATURE, "sha1=00", "sha256=zz", &good[..good.len() - 2]] {
            assert!(!verify_signature("Jefe", header, BODY), "{header}");
        }
    }
}
