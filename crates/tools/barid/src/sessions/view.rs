//! How a pairing looks at a terminal.

use anyhow::Result;
use barid_proto::session_pool::v1::{Pairing, PairingState};
use chrono::{DateTime, Utc};

use super::qr;
use crate::output::{plain, until};

/// What is to be done now. It changes only when the pairing does.
pub(super) fn task(pairing: &Pairing, colours: bool) -> Result<String> {
    Ok(match pairing.state() {
        PairingState::Scan => {
            let code = qr::draw(&pairing.qr, colours)?;
            format!("{code}\nScan it with the phone of the number: WhatsApp, Linked devices, Link a device.")
        }
        PairingState::Type => {
            let code = plain(&pairing.code);
            format!(
                "Type this code into the phone of the number: {code}\nWhatsApp, Linked devices, Link a device, Link with phone number instead."
            )
        }
        PairingState::Passkey => "The account has a passkey, which must confirm this.".to_owned(),
        PairingState::Starting | PairingState::Unspecified => "Connecting to WhatsApp.".to_owned(),
        PairingState::Paired | PairingState::Failed => String::new(),
    })
}

/// How much time is left.
pub(super) fn time_left(pairing: &Pairing, now: DateTime<Utc>) -> String {
    let code = until(pairing.code_expire_time.as_ref(), now).map(|left| format!("another code in {left}"));
    let end = until(pairing.end_time.as_ref(), now).map(|left| format!("it ends in {left}"));
    [code, end].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// How it ended, when it did not end well.
pub(super) fn failure(pairing: &Pairing) -> String {
    match (pairing.reason_text.as_str(), pairing.reason.as_str()) {
        ("", "") => "not linked, and nobody says why".to_owned(),
        ("", reason) => format!("not linked ({})", plain(reason)),
        (text, "") => format!("not linked: {}", plain(text)),
        (text, reason) => format!("not linked: {} ({})", plain(text), plain(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_as_far_as_it_is_known() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let mut pairing = Pairing { code_expire_time: at(20), end_time: at(171), ..Pairing::default() };
        assert_eq!(time_left(&pairing, DateTime::UNIX_EPOCH), "another code in 0:20, it ends in 2:51");
        pairing.code_expire_time = None;
        assert_eq!(time_left(&pairing, DateTime::UNIX_EPOCH), "it ends in 2:51");
    }

    #[test]
    fn failures_name_their_reason() {
        let pairing = Pairing { reason: "not_scanned".into(), reason_text: "nobody scanned\x1b it".into(), ..Pairing::default() };
        assert_eq!(failure(&pairing), "not linked: nobody scanned  it (not_scanned)");
    }
}
