//! The hidden identity (LID) of a number: a permutation of the numbers, so that neither side needs a table.

use sha2::{Digest, Sha256};

/// Numbers have at most 15 digits, and so have LIDs.
const NUMBERS: u64 = 1_000_000_000_000_000;
const HALF_BITS: u32 = 25;
const HALF_MASK: u64 = (1 << HALF_BITS) - 1;
const ROUNDS: u8 = 4;

/// The LID of a number, if that is one.
pub(crate) fn of(number: &str) -> Option<String> {
    let number = parse(number)?;
    Some(walk(number, true).to_string())
}

/// The number behind a LID.
pub(crate) fn number(lid: &str) -> Option<String> {
    let lid = parse(lid)?;
    Some(walk(lid, false).to_string())
}

fn parse(digits: &str) -> Option<u64> {
    let number = digits.parse::<u64>().ok()?;
    (number < NUMBERS && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// Encrypts until the outcome is in range again, which keeps the permutation one.
fn walk(mut value: u64, forward: bool) -> u64 {
    loop {
        value = feistel(value, forward);
        if value < NUMBERS {
            return value;
        }
    }
}

fn feistel(value: u64, forward: bool) -> u64 {
    let (mut left, mut right) = (value >> HALF_BITS, value & HALF_MASK);
    for step in 0..ROUNDS {
        if forward {
            (left, right) = (right, left ^ mix(right, step));
        } else {
            (left, right) = (right ^ mix(left, ROUNDS - 1 - step), left);
        }
    }
    left << HALF_BITS | right
}

fn mix(half: u64, round: u8) -> u64 {
    let digest = Sha256::new().chain_update([round]).chain_update(half.to_be_bytes()).finalize();
    digest[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) & HALF_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lid_leads_back_to_its_number() {
        for sample in ["201001234567", "15550001111", "999999999999999", "1234567"] {
            let lid = of(sample).unwrap();
            assert_ne!(lid, sample);
            assert_eq!(number(&lid).as_deref(), Some(sample));
        }
    }

    #[test]
    fn what_is_no_number_has_none() {
        for wrong in ["", "0123", "12a", "1234567890123456"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
