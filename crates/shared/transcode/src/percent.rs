//! Percent-decoding that refuses what it cannot decode; the usual libraries pass it through.

use std::borrow::Cow;

/// Decodes `%41` in a path segment. Errors are phrases that read on after the name of the field.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    decode_with(text, false, false)
}

/// Decodes a value that spans segments: `%2F` stays as it is, or it would read as a slash that parts segments.
pub(crate) fn decode_segments(text: &str) -> Result<Cow<'_, str>, &'static str> {
    decode_with(text, false, true)
}

/// Decodes a name or value of a query, where `+` is a space.
pub(crate) fn decode_query(text: &str) -> Result<Cow<'_, str>, &'static str> {
    decode_with(text, true, false)
}

fn decode_with(text: &str, plus: bool, keep_slash: bool) -> Result<Cow<'_, str>, &'static str> {
    if !text.bytes().any(|byte| byte == b'%' || (plus && byte == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' if plus => decoded.push(b' '),
            b'%' => {
                let pair = bytes.next().zip(bytes.next());
                let (Some((high, low)), Some(value)) = (pair, pair.and_then(hex)) else {
                    return Err("has a `%` that two hexadecimal digits do not follow");
                };
                if keep_slash && value == b'/' {
                    decoded.extend([b'%', high, low]);
                } else {
                    decoded.push(value);
                }
            }
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| "is not UTF-8 when decoded")
}

fn hex((high, low): (u8, u8)) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
