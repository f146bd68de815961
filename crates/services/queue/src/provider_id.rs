//! WhatsApp's ids of messages, as the ledger keeps them. Pure.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Bytes of an id that are kept as they are. WhatsApp's own have 20 to 80; an index of PostgreSQL takes 2,700.
const LONGEST: usize = 256;

/// An id that can be stored: itself, or in place of one that cannot (too long, or with a NUL) its digest, so that the same one is still the
/// same. Ids of what customers send are made by their devices, and one that no table takes must not stop what comes after it.
pub(crate) fn storable(id: String) -> String {
    if id.len() <= LONGEST && !id.contains('\0') {
        return id;
    }
    let mut digest = String::from("sha256:");
    for byte in Sha256::digest(id) {
        // Writing to a string cannot fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_table_takes_is_replaced_and_always_by_the_same() {
        assert_eq!(storable("wamid.HBgL".into()), "wamid.HBgL");
        assert_eq!(storable("x".repeat(LONGEST)).len(), LONGEST);
        for odd in ["x".repeat(LONGEST + 1), "a\0b".to_owned()] {
            let kept = storable(odd.clone());
            assert!(kept.starts_with("sha256:") && kept == storable(odd), "{kept}");
        }
        assert_ne!(storable("a\0b".into()), storable("a\0c".into()));
    }
}
