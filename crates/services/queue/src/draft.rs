//! From a request to a message that can be committed: every rule that needs no store. Pure.

use barid_domain::{Country, Phone, SessionId};
use barid_proto::{
    Violations, ids,
    queue::v1::{Lane as ProtoLane, MediaKind, SendMessageRequest},
};
use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use prost_types::Timestamp;
use sha2::{Digest, Sha256};
use tonic::Status;

use crate::lanes::Lane;

/// How long after it is due a message is still sent, unless its sender says otherwise.
const DEFAULT_EXPIRY: TimeDelta = TimeDelta::hours(48);
/// How far ahead a message may be scheduled.
const MAX_AHEAD: TimeDelta = TimeDelta::days(90);
/// Most bytes of the variables of a message.
const MAX_VARIABLES: usize = 64 * 1024;
/// A schedule time this little in the past is meant as now: clocks differ.
const GRACE: TimeDelta = TimeDelta::seconds(60);

/// A message that keeps to the rules.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub recipient: Phone,
    pub lane: Lane,
    /// When it is due, if not at once.
    pub schedule: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub media_kind: MediaKind,
    pub session: Option<SessionId>,
    pub request: SendMessageRequest,
}

/// What a caller's key stands for, with the digest of the content it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub key: String,
    pub digest: Vec<u8>,
}

/// The key of a request and the canonical digest of its content: the same content in another spelling of the number has the same digest.
pub(crate) fn key(request: &SendMessageRequest, country: Country) -> Option<Key> {
    if request.idempotency_key.is_empty() {
        return None;
    }
    let mut canonical = request.clone();
    canonical.idempotency_key.clear();
    canonical.tenant_id.clear();
    if let Ok(phone) = Phone::parse(&canonical.recipient, country) {
        canonical.recipient = phone.to_string();
    }
    // Maps are ordered, so equal contents have equal encodings.
    Some(Key { key: request.idempotency_key.clone(), digest: Sha256::digest(canonical.encode_to_vec()).to_vec() })
}

/// Checks a request of a tenant of this country.
pub(crate) fn check(request: SendMessageRequest, country: Country, default_lane: Lane, now: DateTime<Utc>) -> Result<Draft, Status> {
    let mut violations = Violations::default();
    let recipient = Phone::parse(&request.recipient, country)
        .map_err(|error| violations.add("recipient", "invalid_phone_number", error.to_string()))
        .ok();
    check_content(&request, &mut violations);
    let media_kind = media_kind(&request, &mut violations);
    let lane = match request.lane() {
        ProtoLane::Unspecified => default_lane,
        ProtoLane::Immediate => Lane::Immediate,
        ProtoLane::Batch => Lane::Batch,
        ProtoLane::Retry => {
            violations.add("lane", "invalid_lane", "is kept for messages that failed before; give LANE_IMMEDIATE or LANE_BATCH");
            default_lane
        }
    };
    let schedule = schedule(request.schedule_time.as_ref(), now, &mut violations);
    let due = schedule.unwrap_or(now);
    let expires_at = expiry(request.expire_time.as_ref(), due, &mut violations);
    let session = match request.session_id.as_str() {
        "" => None,
        text => {
            ids::resource(text).map_err(|_| violations.add("sessionId", "invalid_id", "is no session; give an id such as `ses_...`")).ok()
        }
    };
    if request.supersede_rank > 0 && request.supersede_key.is_empty() {
        violations.add("supersedeKey", "required", "is needed with a supersedeRank; name the thing whose stages they are");
    }
    violations.check()?;
    let Some(recipient) = recipient else { return Err(Status::internal("a wrong number was let through")) };
    Ok(Draft { recipient, lane, schedule, expires_at, media_kind, session, request })
}

fn check_content(request: &SendMessageRequest, violations: &mut Violations) {
    match (request.template.is_empty(), request.text.is_empty()) {
        (true, true) if request.media_url.is_empty() => {
            violations.add("template", "required", "is missing; give a template, a text or media")
        }
        (false, false) => violations.add("text", "ambiguous", "stands beside a template; give one of the two"),
        _ => {}
    }
    if !request.text.is_empty() && request.text.trim().is_empty() {
        violations.add("text", "empty", "has nothing but white space; give words");
    }
    if request.template.is_empty() && request.variables.is_some() {
        violations.add("variables", "ambiguous", "belong to a template; name it");
    }
    if request.variables.as_ref().is_some_and(|variables| variables.encoded_len() > MAX_VARIABLES) {
        violations.add("variables", "too_long", format!("are larger than {MAX_VARIABLES} bytes; give less"));
    }
}

fn media_kind(request: &SendMessageRequest, violations: &mut Violations) -> MediaKind {
    if request.media_url.is_empty() {
        if request.media_kind() != MediaKind::Unspecified || !request.media_filename.is_empty() {
            violations.add("mediaUrl", "required", "is missing beside mediaKind or mediaFilename; give the address");
        }
        return MediaKind::Unspecified;
    }
    let url = request.media_url.as_str();
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.is_empty() || url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        violations.add("mediaUrl", "invalid_url", "is no https address; give one such as `https://example.com/invoice.pdf`");
    }
    match request.media_kind() {
        MediaKind::Unspecified => {
            let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
            let is_image = [".jpg", ".jpeg", ".png"].iter().any(|ending| path.ends_with(ending));
            if is_image { MediaKind::Image } else { MediaKind::Document }
        }
        kind => kind,
    }
}

fn schedule(time: Option<&Timestamp>, now: DateTime<Utc>, violations: &mut Violations) -> Option<DateTime<Utc>> {
    let time = time?;
    match barid_proto::time(time) {
        Some(at) if at < now - GRACE => {
            violations.add("scheduleTime", "in_the_past", "is in the past; give a time to come, or none to send at once")
        }
        Some(at) if at > now + MAX_AHEAD => violations.add("scheduleTime", "too_far", "is more than 90 days ahead; give an earlier time"),
        Some(at) => return (at > now).then_some(at),
        None => violations.add("scheduleTime", "invalid_time", "is no time; give one such as `2026-01-15T08:00:00Z`"),
    }
    None
}

fn expiry(time: Option<&Timestamp>, due: DateTime<Utc>, violations: &mut Violations) -> DateTime<Utc> {
    let Some(time) = time else { return due + DEFAULT_EXPIRY };
    match barid_proto::time(time) {
        Some(at) if at <= due => {
            violations.add("expireTime", "too_early", "is not after the time at which the message is due; give a later time")
        }
        Some(at) if at > due + MAX_AHEAD => {
            violations.add("expireTime", "too_far", "is more than 90 days after the message is due; give an earlier time")
        }
        Some(at) => return at,
        None => violations.add("expireTime", "invalid_time", "is no time; give one such as `2026-01-15T08:00:00Z`"),
    }
    due + DEFAULT_EXPIRY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn egypt() -> Country {
        "EG".parse().expect("a country")
    }

    fn request() -> SendMessageRequest {
        SendMessageRequest { recipient: "201234567890".into(), template: "invoice".into(), ..SendMessageRequest::default() }
    }

    fn at(offset: i64) -> Option<Timestamp> {
        Some(barid_proto::timestamp(now() + TimeDelta::seconds(offset)))
    }

    fn refused(request: SendMessageRequest) -> String {
        check(request, egypt(), Lane::Immediate, now()).expect_err("refused").message().to_owned()
    }

    #[test]
    fn a_plain_invoice_is_due_at_once_for_two_days() {
        let draft = check(request(), egypt(), Lane::Batch, now()).expect("a draft");
        assert_eq!((draft.lane, draft.schedule, draft.expires_at), (Lane::Batch, None, now() + TimeDelta::hours(48)));
        assert_eq!(draft.recipient.to_string(), "+201234567890");
    }

    #[test]
    fn each_rule_names_its_field_and_the_remedy() {
        assert!(refused(SendMessageRequest { recipient: "12".into(), ..request() }).starts_with("recipient: "));
        assert!(refused(SendMessageRequest { text: "hello".into(), ..request() }).contains("text: stands beside a template"));
        assert!(refused(SendMessageRequest { template: String::new(), ..request() }).contains("template: is missing"));
        assert!(refused(SendMessageRequest { schedule_time: at(-3600), ..request() }).contains("scheduleTime: is in the past"));
        assert!(refused(SendMessageRequest { schedule_time: at(91 * 86400), ..request() }).contains("scheduleTime: is more than 90 days"));
        assert!(refused(SendMessageRequest { expire_time: at(-1), ..request() }).contains("expireTime: is not after"));
        assert!(refused(SendMessageRequest { media_url: "ftp://x/y".into(), ..request() }).contains("mediaUrl: is no https address"));
        assert!(refused(SendMessageRequest { lane: 3, ..request() }).contains("lane: "));
        assert!(refused(SendMessageRequest { supersede_rank: 1, ..request() }).contains("supersedeKey: "));
    }

    #[test]
    fn the_ending_of_the_address_tells_the_kind_of_media() {
        let kind = |url: &str| {
            check(SendMessageRequest { media_url: url.into(), ..request() }, egypt(), Lane::Batch, now()).expect("a draft").media_kind
        };
        assert_eq!(kind("https://a.example/b.PNG?x=1"), MediaKind::Image);
        assert_eq!(kind("https://a.example/b.pdf"), MediaKind::Document);
    }

    #[test]
    fn a_digest_sees_content_and_not_spelling() {
        let keyed = |recipient: &str, text: &str| SendMessageRequest {
            recipient: recipient.into(),
            text: text.into(),
            idempotency_key: "k".into(),
            ..SendMessageRequest::default()
        };
        let digest = |request: &SendMessageRequest| key(request, egypt()).expect("a key").digest;
        assert_eq!(digest(&keyed("201234567890", "a")), digest(&keyed("+20 123 456 7890", "a")));
        assert_ne!(digest(&keyed("201234567890", "a")), digest(&keyed("201234567890", "b")));
        assert_eq!(key(&request(), egypt()), None);
    }
}
