//! Reads the top level of an encoded message without decoding it: enough to find an id or to cut a list into frames.

use bytes::{Buf, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};

/// One top-level field, with its key.
pub struct Field {
    pub number: u32,
    /// The field as it stands in the message: key and value.
    pub encoded: Bytes,
    /// The value of a length-delimited field.
    pub value: Bytes,
}

/// The bytes are not a protobuf message.
#[derive(Debug, thiserror::Error)]
#[error("the request is not a valid protobuf message: {0}")]
pub struct Error(#[from] prost::DecodeError);

/// The top-level fields in the order of the message.
pub fn fields(message: Bytes) -> impl Iterator<Item = Result<Field, Error>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_err() {
            rest.clear();
        }
        Some(field)
    })
}

/// The last value of a string field, as protobuf has it; empty when missing.
pub fn string(message: &Bytes, number: u32) -> Result<String, Error> {
    let mut found = String::new();
    for field in fields(message.clone()) {
        let field = field?;
        if field.number == number {
            found = String::from_utf8_lossy(&field.value).into_owned();
        }
    }
    Ok(found)
}

/// The last value of a varint field, as protobuf has it; zero when missing.
pub fn varint(message: &Bytes, number: u32) -> Result<u64, Error> {
    let mut found = 0;
    for field in fields(message.clone()) {
        let mut field = field?;
        if field.number == number {
            let (_, kind) = decode_key(&mut field.encoded)?;
            found = if kind == WireType::Varint { decode_varint(&mut field.encoded)? } else { found };
        }
    }
    Ok(found)
}

/// Appends a length-delimited field.
pub fn put_bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    prost::encoding::encode_key(number, WireType::LengthDelimited, out);
    prost::encoding::encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Appends a varint field.
pub fn put_varint(number: u32, value: u64, out: &mut Vec<u8>) {
    prost::encoding::encode_key(number, WireType::Varint, out);
    prost::encoding::encode_varint(value, out);
}

fn next(rest: &mut Bytes) -> Result<Field, Error> {
    let start = rest.clone();
    let (number, kind) = decode_key(rest)?;
    let mut value = Bytes::new();
    match kind {
        WireType::Varint => drop(decode_varint(rest)?),
        WireType::SixtyFourBit => skip(rest, 8)?,
        WireType::ThirtyTwoBit => skip(rest, 4)?,
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(rest)?).unwrap_or(usize::MAX);
            if length > rest.remaining() {
                return Err(truncated());
            }
            value = rest.split_to(length);
        }
        WireType::StartGroup | WireType::EndGroup => return Err(truncated()),
    }
    Ok(Field { number, encoded: start.slice(..start.len() - rest.len()), value })
}

fn skip(rest: &mut Bytes, count: usize) -> Result<(), Error> {
    if rest.remaining() < count {
        return Err(truncated());
    }
    rest.advance(count);
    Ok(())
}

fn truncated() -> Error {
    // prost makes its errors itself: ask it for the one of a cut varint.
    match decode_varint(&mut [0x80u8].as_slice()) {
        Err(error) => Error(error),
        Ok(_) => unreachable!("a varint that goes on past its end"),
    }
}
