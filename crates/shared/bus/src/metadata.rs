//! gRPC metadata and statuses as NATS headers, and back.

use async_nats::HeaderMap as NatsHeaders;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// Headers that belong to HTTP/2, not to the call.
const HOP: [&str; 6] = ["te", "content-type", "user-agent", "host", "connection", "content-length"];

pub(crate) fn to_nats(headers: &HeaderMap) -> NatsHeaders {
    let mut nats = NatsHeaders::new();
    for (name, value) in headers {
        // gRPC metadata is ASCII by its specification; binary values are base64.
        if let Ok(text) = value.to_str()
            && !HOP.contains(&name.as_str())
        {
            nats.append(name.as_str(), text);
        }
    }
    nats
}

pub(crate) fn from_nats(nats: &NatsHeaders) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in nats.iter() {
        let Ok(name) = HeaderName::from_bytes(AsRef::<[u8]>::as_ref(name)) else { continue };
        for value in values {
            if let Ok(value) = HeaderValue::from_str(value.as_str()) {
                headers.append(name.clone(), value);
            }
        }
    }
    headers
}

/// The deadline that gRPC's `grpc-timeout` states: up to eight digits and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// A deadline as `grpc-timeout`, in the finest unit whose count still has eight digits.
pub(crate) fn timeout_value(deadline: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let units = [(deadline.as_micros(), "u"), (deadline.as_millis(), "m"), (u128::from(deadline.as_secs()), "S")];
    let (count, unit) = units.into_iter().find(|(count, _)| *count <= MOST).unwrap_or((MOST, "S"));
    HeaderValue::from_str(&format!("{count}{unit}")).unwrap_or(HeaderValue::from_static("0u"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_reads_in_every_unit() {
        let read = |text: &'static str| {
            timeout(&HeaderMap::from_iter([(HeaderName::from_static("grpc-timeout"), HeaderValue::from_static(text))]))
        };
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        for wrong in ["", "S", "123456789S", "2s", "-1S", "é"] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_bytes(wrong.as_bytes()).expect("a header"));
            assert_eq!(timeout(&headers), None, "{wrong}");
        }
    }

    #[test]
    fn a_deadline_is_written_as_finely_as_fits() {
        assert_eq!(timeout_value(Duration::from_millis(1500)), "1500000u");
        assert_eq!(timeout_value(Duration::from_secs(500)), "500000m");
        assert_eq!(timeout_value(Duration::from_secs(500_000)), "500000S");
        assert_eq!(timeout_value(Duration::MAX), "99999999S");
    }
}
