//! Message ids as WhatsApp writes them, with the phone and the message's number inside, so that an id finds its
//! message without an index.

use base64::{Engine as _, engine::general_purpose::STANDARD};

const PREFIX: &str = "wamid.";
const SALT_AND_SEQUENCE: usize = 18;

/// Mints the id of message `sequence` of the phone `wa_id`; `salt` tells runs of the simulator apart.
pub(crate) fn mint(wa_id: &str, sequence: u64, salt: u32, from_phone: bool) -> String {
    let mut bytes = vec![0x1c, 0x18, wa_id.len() as u8];
    bytes.extend_from_slice(wa_id.as_bytes());
    bytes.extend_from_slice(&[0x15, if from_phone { 0x00 } else { 0x02 }, 0x00, 0x11, 0x18, SALT_AND_SEQUENCE as u8]);
    bytes.extend_from_slice(format!("{salt:08X}{sequence:010X}").as_bytes());
    bytes.push(0);
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

/// The phone and the message's number, if this is an id that [`mint`] may have made.
pub(crate) fn locate(wamid: &str) -> Option<(String, u64)> {
    let bytes = STANDARD.decode(wamid.strip_prefix(PREFIX)?).ok()?;
    let length = usize::from(*bytes.get(2)?);
    let phone = std::str::from_utf8(bytes.get(3..3 + length)?).ok()?;
    let tail = bytes.get(3 + length + 6..3 + length + 6 + SALT_AND_SEQUENCE)?;
    let sequence = u64::from_str_radix(std::str::from_utf8(tail.get(8..)?).ok()?, 16).ok()?;
    Some((phone.to_owned(), sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_message() {
        let id = mint("201001234567", 42, 7, false);
        assert_eq!(locate(&id), Some(("201001234567".into(), 42)));
    }

    #[test]
    fn foreign_ids_lead_nowhere() {
        for id in ["", "wamid.", "wamid.AAAA", "wamid.####", "wamid.HBgLMTY0NjcwNDM1OTUVAgAR"] {
            assert_eq!(locate(id), None, "{id}");
        }
    }
}
