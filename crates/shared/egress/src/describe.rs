//! What an answer says of itself, made safe to keep.

use percent_encoding::percent_decode_str;
use url::Url;

const UNKNOWN: &str = "application/octet-stream";
/// Enough for any name that people give, and below what file systems and WhatsApp take.
const LONGEST_NAME: usize = 120;
const LONGEST_EXTENSION: usize = 10;

/// The media type without parameters, in lower case.
pub(crate) fn mime(content_type: Option<&str>) -> String {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte));
    match essence.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => essence,
        _ => UNKNOWN.to_owned(),
    }
}

/// The name that the answer gives, or else the last part of the URL's path.
pub(crate) fn filename(disposition: Option<&str>, url: &Url) -> Option<String> {
    let last = || percent_decode_str(url.path_segments()?.next_back()?).decode_utf8().ok().and_then(|name| safe(&name));
    disposition.and_then(named).or_else(last)
}

/// `filename*` goes before `filename`, as RFC 6266 has it.
fn named(disposition: &str) -> Option<String> {
    let mut plain = None;
    for (key, value) in parameters(disposition) {
        match key.as_str() {
            "filename*" => {
                if let Some(name) = extended(&value).and_then(|name| safe(&name)) {
                    return Some(name);
                }
            }
            "filename" if plain.is_none() => plain = safe(&value),
            _ => {}
        }
    }
    plain
}

/// The parameters of a header's value, quotes and escapes taken off.
fn parameters(header: &str) -> Vec<(String, String)> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for letter in header.chars() {
        match letter {
            _ if escaped => {
                part.push(letter);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => parts.push(std::mem::take(&mut part)),
            _ => part.push(letter),
        }
    }
    parts.push(part);
    let pair = |part: &String| part.split_once('=').map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().to_owned()));
    parts.iter().filter_map(pair).collect()
}

/// `UTF-8''na%C3%AFve.pdf`
fn extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let bytes: Vec<u8> = percent_decode_str(rest.split_once('\'')?.1).collect();
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// A name that stays one name wherever it is written.
fn safe(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|&letter| !letter.is_control() && !turns_text(letter)).map(plain).collect();
    let kept = kept.trim_matches(|letter: char| letter == '.' || letter.is_whitespace());
    (!kept.is_empty()).then(|| shortened(kept))
}

/// Marks that make `gpj.exe` look like `exe.jpg`.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{61c}' | '\u{feff}')
}

fn plain(letter: char) -> char {
    if "<>:\"|?*".contains(letter) { '_' } else { letter }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    let extension =
        name.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| extension.chars().count() <= LONGEST_EXTENSION);
    let end = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
    name.chars().take(LONGEST_NAME - end.chars().count()).chain(end.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(disposition: &str) -> Option<String> {
        filename((!disposition.is_empty()).then_some(disposition), &Url::parse("https://shop.example/").expect("a URL"))
    }

    fn from_url(url: &str) -> Option<String> {
        filename(None, &Url::parse(url).expect("a URL"))
    }

    #[test]
    fn media_types_are_reduced_to_what_they_are() {
        assert_eq!(mime(Some("Application/PDF; charset=binary")), "application/pdf");
        assert_eq!(mime(Some("image/svg+xml")), "image/svg+xml");
        for wrong in [None, Some(""), Some("pdf"), Some("a/b/c"), Some("text/\"x\""), Some("/"), Some("text/html\r\nX: y")] {
            assert_eq!(mime(wrong), UNKNOWN, "{wrong:?}");
        }
    }

    #[test]
    fn names_come_from_the_header_or_else_from_the_url() {
        assert_eq!(name("attachment; filename=\"in; voice \\\"7\\\".pdf\"").as_deref(), Some("in; voice _7_.pdf"));
        assert_eq!(
            name("attachment; filename=a.pdf; filename*=UTF-8''%D9%81%D8%A7%D8%AA%D9%88%D8%B1%D8%A9.pdf").as_deref(),
            Some("فاتورة.pdf")
        );
        assert_eq!(name("inline; FILENAME*=iso-8859-1'en'na%EFve.txt").as_deref(), Some("naïve.txt"));
        assert_eq!(name("attachment; filename*=koi8-r''%C1; filename=b.pdf").as_deref(), Some("b.pdf"));
        assert_eq!(name("attachment"), None);
        assert_eq!(from_url("https://shop.example/a/in%20voice.pdf?sig=x").as_deref(), Some("in voice.pdf"));
        assert_eq!(from_url("https://shop.example/a/"), None);
    }

    #[test]
    fn names_cannot_leave_their_folder_or_pose_as_others() {
        assert_eq!(name("attachment; filename=\"../../etc/passwd\"").as_deref(), Some("passwd"));
        assert_eq!(name("attachment; filename*=UTF-8''..%5C..%5Cboot.ini").as_deref(), Some("boot.ini"));
        assert_eq!(from_url("https://shop.example/a%2F..%2F.ssh").as_deref(), Some("ssh"));
        assert_eq!(name("attachment; filename=..").as_deref(), None);
        assert_eq!(name("attachment; filename*=UTF-8''a%00%0D%0A%E2%80%AEb.pdf").as_deref(), Some("ab.pdf"));
        assert_eq!(name("attachment; filename=\"C:a|b?.pdf. \"").as_deref(), Some("C_a_b_.pdf"));
    }

    #[test]
    fn long_names_keep_their_extension() {
        let long = name(&format!("attachment; filename={}.pdf", "ن".repeat(500))).expect("a name");
        assert_eq!((long.chars().count(), long.ends_with("ن.pdf")), (LONGEST_NAME, true));
        let bare = name(&format!("attachment; filename=a.{}", "b".repeat(500))).expect("a name");
        assert_eq!(bare.chars().count(), LONGEST_NAME);
    }
}
