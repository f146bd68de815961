//! From a request to a message that can be committed: every rule that needs no store. Pure.

mod body;

use barid_domain::{Country, JobId, Phone, SessionId};
use barid_proto::{
    Violations, ids,
    queue::v1::{ContactCard, Lane as ProtoLane, MediaKind, SendMessageRequest, SendWindow},
};
use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use prost_types::{Duration, Timestamp};
use sha2::{Digest, Sha256};
use tonic::Status;

use self::body::Body;
use crate::{
    hours::{Daily, Hours, Plan},
    lanes::Lane,
    outlets,
};

pub(crate) use self::body::Reference;

/// How far ahead a message may be scheduled, and how long it may be worth sending.
const MAX_AHEAD: TimeDelta = TimeDelta::days(90);
/// A schedule time this little in the past is meant as now: clocks differ.
const GRACE: TimeDelta = TimeDelta::seconds(60);

/// What a tenant's messages are judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub country: Country,
    /// How long after it is due a message is still sent, unless it says otherwise.
    pub ttl: TimeDelta,
    pub hours: Hours,
}

/// A message that keeps to the rules.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub recipient: Phone,
    pub lane: Lane,
    /// When it was asked to go out.
    pub asked: DateTime<Utc>,
    pub window: Option<Daily>,
    pub plan: Plan,
    pub job: Option<JobId>,
    pub expires_at: DateTime<Utc>,
    pub media_kind: MediaKind,
    /// With its numbers in E.164.
    pub contact_card: Option<ContactCard>,
    /// What it replies or reacts to. Whether there is such a message is for the store to say.
    pub reference: Option<Reference>,
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

/// Checks a request of a tenant on these terms.
pub(crate) fn check(request: SendMessageRequest, terms: Terms, default_lane: Lane, now: DateTime<Utc>) -> Result<Draft, Status> {
    let mut violations = Violations::default();
    let recipient = Phone::parse(&request.recipient, terms.country)
        .map_err(|error| violations.add("recipient", "invalid_phone_number", error.to_string()))
        .ok();
    let body = body::check(&request, terms.country, &mut violations);
    let lane = match request.lane() {
        ProtoLane::Unspecified => default_lane,
        ProtoLane::Immediate => Lane::Immediate,
        ProtoLane::Batch => Lane::Batch,
        ProtoLane::Retry => {
            violations.add("lane", "invalid_lane", "is kept for messages that failed before; give LANE_IMMEDIATE or LANE_BATCH");
            default_lane
        }
    };
    let asked = schedule(request.schedule_time.as_ref(), now, &mut violations).unwrap_or(now);
    let window = window(&request, lane, asked, terms.hours, &mut violations);
    let plan = terms.hours.plan(lane, window, asked, now);
    let due = match plan {
        Plan::Open { .. } => asked,
        Plan::Wait { until, .. } => until,
    };
    let expires_at = expiry(&request, due, terms.ttl, &mut violations);
    let session = match request.session_id.as_str() {
        "" => None,
        text => {
            ids::resource(text).map_err(|_| violations.add("sessionId", "invalid_id", "is no session; give an id such as `ses_...`")).ok()
        }
    };
    let job = match request.job_id.as_str() {
        "" => None,
        text => ids::resource(text).map_err(|_| violations.add("jobId", "invalid_id", "is no job; give an id such as `job_...`")).ok(),
    };
    if request.supersede_rank > 0 && request.supersede_key.is_empty() {
        violations.add("supersedeKey", "required", "is needed with a supersedeRank; name the thing whose stages they are");
    }
    if !request.fallback_email.is_empty() && !outlets::is_address(&request.fallback_email) {
        violations.add("fallbackEmail", "invalid_email", "is no e-mail address; give one such as `amira@example.com`");
    }
    violations.check()?;
    let Some(recipient) = recipient else { return Err(Status::internal("a wrong number was let through")) };
    let Body { media_kind, contact_card, reference } = body;
    Ok(Draft { recipient, lane, asked, window, plan, job, expires_at, media_kind, contact_card, reference, session, request })
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

fn window(request: &SendMessageRequest, lane: Lane, asked: DateTime<Utc>, hours: Hours, violations: &mut Violations) -> Option<Daily> {
    let SendWindow { start, end } = request.window.as_ref()?;
    if lane == Lane::Immediate {
        violations.add(
            "window",
            "ambiguous",
            "is for LANE_BATCH, and what is immediate does not wait; give the lane, or leave the window out",
        );
        return None;
    }
    let window = Daily::parse(start, end);
    if window.is_none() {
        violations.add("window", "invalid_time", "is no window; give two times of a day as `HH:MM`, such as `08:00` and `10:00`");
    } else if hours.opening(lane, window, asked).is_none() {
        violations.add("window", "never_open", "lies within the tenant's quiet hours and never opens; give another, or change those");
    }
    window
}

fn expiry(request: &SendMessageRequest, due: DateTime<Utc>, usual: TimeDelta, violations: &mut Violations) -> DateTime<Utc> {
    match (&request.expire_time, &request.ttl) {
        (None, None) => {}
        (Some(_), Some(_)) => violations.add("ttl", "ambiguous", "stands beside expireTime; give one of the two"),
        (None, Some(ttl)) => match lifetime(ttl) {
            Some(ttl) => return due + ttl,
            None => violations.add("ttl", "out_of_range", "is not 1 second to 90 days; give a time such as `3600s`"),
        },
        (Some(time), None) => match barid_proto::time(time) {
            Some(at) if at <= due => {
                violations.add("expireTime", "too_early", "is not after the time at which the message is due; give a later time")
            }
            Some(at) if at > due + MAX_AHEAD => {
                violations.add("expireTime", "too_far", "is more than 90 days after the message is due; give an earlier time")
            }
            Some(at) => return at,
            None => violations.add("expireTime", "invalid_time", "is no time; give one such as `2026-01-15T08:00:00Z`"),
        },
    }
    due + usual
}

fn lifetime(ttl: &Duration) -> Option<TimeDelta> {
    let ttl = TimeDelta::new(ttl.seconds, u32::try_from(ttl.nanos).ok()?)?;
    (TimeDelta::seconds(1)..=MAX_AHEAD).contains(&ttl).then_some(ttl)
}

#[cfg(test)]
mod tests;
