//! The rules of a tenant's settings.

use std::ops::RangeInclusive;

use barid_domain::Country;
use barid_proto::{
    Violations,
    tenant::v1::{Digits, Fallback, FallbackChannel, PeakWindow, QuietHours, Tenant},
};
use chrono::NaiveTime;
use prost_types::Duration;
use tonic::Status;

/// Messages a day for tenants created without a quota.
pub(crate) const DEFAULT_QUOTA: u32 = 1000;
/// How long messages are worth sending for tenants created without saying so: 48 hours.
pub(crate) const DEFAULT_TTL: Duration = Duration { seconds: 48 * 3600, nanos: 0 };
/// 1 minute to 90 days.
const TTL_SECONDS: RangeInclusive<i64> = 60..=90 * 24 * 3600;

/// Checks everything that limits alone do not say.
pub(crate) fn check(tenant: &Tenant) -> Result<(), Status> {
    let mut violations = Violations::default();
    if tenant.name.trim().is_empty() {
        violations.add("tenant.name", "required", "is empty; give the business a name");
    }
    if !is_locale(&tenant.locale) {
        violations.add("tenant.locale", "invalid_locale", "is no BCP 47 locale; give one such as `ar-EG`, `en` or `pt-BR`");
    }
    if tenant.country.parse::<Country>().is_err() {
        violations.add("tenant.country", "unknown_country", "is no ISO 3166-1 country; give one such as `EG`");
    }
    if tenant.currency.len() != 3 || !tenant.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        violations.add("tenant.currency", "unknown_currency", "is no ISO 4217 currency; give one such as `EGP`");
    }
    if tenant.time_zone.parse::<chrono_tz::Tz>().is_err() {
        violations.add("tenant.timeZone", "unknown_time_zone", "is no IANA time zone; give one such as `Africa/Cairo`");
    }
    if Digits::try_from(tenant.digits).is_err() {
        violations.add("tenant.digits", "unknown_value", "give DIGITS_WESTERN or DIGITS_NATIVE");
    }
    if tenant.message_ttl.is_some_and(|ttl| ttl.nanos != 0 || !TTL_SECONDS.contains(&ttl.seconds)) {
        violations.add("tenant.messageTtl", "out_of_range", "is not 1 minute to 90 days in whole seconds; give a time such as `172800s`");
    }
    check_windows(&tenant.peak_windows, &mut violations);
    if let Some(QuietHours { start, end, .. }) = &tenant.quiet_hours {
        let (from, to) = (time_of_day(start), time_of_day(end));
        if from.is_none() || to.is_none() {
            violations.add("tenant.quietHours", "invalid_time", "give start and end as `HH:MM`, such as `21:00` and `08:00`");
        } else if from == to {
            violations.add("tenant.quietHours", "empty_window", "end when they start; give another end, or no quiet hours");
        }
    }
    if let Some(fallback) = &tenant.fallback {
        check_fallback(fallback, &mut violations);
    }
    violations.check()
}

/// What customers do not want goes no other way either.
const UNWANTED: [&str; 2] = ["recipient_opted_out", "recipient_not_allowed"];

fn check_fallback(fallback: &Fallback, violations: &mut Violations) {
    let channels: Vec<_> = fallback.channels().collect();
    if channels.is_empty() || channels.contains(&FallbackChannel::Unspecified) || (channels.len() == 2 && channels[0] == channels[1]) {
        violations.add(
            "tenant.fallback.channels",
            "unknown_value",
            "give FALLBACK_CHANNEL_EMAIL, FALLBACK_CHANNEL_SMS or both, each once; or no fallback",
        );
    }
    for (index, reason) in fallback.reasons.iter().enumerate() {
        let field = format!("tenant.fallback.reasons[{index}]");
        if UNWANTED.contains(&reason.as_str()) {
            violations.add(field, "not_allowed", "is what a customer does not want; leave it out");
        } else if reason.is_empty() || !reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            violations.add(field, "unknown_value", "is no reason; give a code such as `undeliverable`");
        }
    }
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count() == 4;
    NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| digits && text.len() == 5)
}

fn check_windows(windows: &[PeakWindow], violations: &mut Violations) {
    let mut taken: Vec<(NaiveTime, NaiveTime)> = Vec::new();
    for (index, window) in windows.iter().enumerate() {
        let field = format!("tenant.peakWindows[{index}]");
        let (Some(start), Some(end)) = (time_of_day(&window.start), time_of_day(&window.end)) else {
            violations.add(field, "invalid_time", "give start and end as `HH:MM`, such as `08:00` and `10:00`");
            continue;
        };
        if end <= start {
            violations.add(field, "empty_window", "ends before it starts; a window over midnight is two windows");
        } else if taken.iter().any(|(from, to)| start < *to && *from < end) {
            violations.add(field, "overlap", "overlaps another window; make one of them");
        } else {
            taken.push((start, end));
        }
    }
}

fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Puts the fields that `mask` names (without names: those that are set) from `changes` into `tenant`.
pub(crate) fn merge(tenant: &mut Tenant, changes: Tenant, mask: &[String]) -> Result<(), Status> {
    const FIELDS: [&str; 13] = [
        "name",
        "locale",
        "country",
        "currency",
        "time_zone",
        "peak_windows",
        "glossary",
        "branding",
        "digits",
        "daily_quota",
        "message_ttl",
        "quiet_hours",
        "fallback",
    ];
    for path in mask {
        if !FIELDS.contains(&path.as_str()) {
            return Err(Violations::one(
                "updateMask",
                "unknown_field",
                format!("`{path}` cannot be changed; known: {}", FIELDS.join(", ")),
            ));
        }
    }
    let chosen = |field: &str, is_set: bool| if mask.is_empty() { is_set } else { mask.iter().any(|path| path == field) };
    macro_rules! take {
        ($($field:ident if $set:expr;)*) => {$(
            if chosen(stringify!($field), $set) {
                tenant.$field = changes.$field;
            }
        )*};
    }
    take! {
        name if !changes.name.is_empty();
        locale if !changes.locale.is_empty();
        country if !changes.country.is_empty();
        currency if !changes.currency.is_empty();
        time_zone if !changes.time_zone.is_empty();
        peak_windows if !changes.peak_windows.is_empty();
        glossary if !changes.glossary.is_empty();
        branding if changes.branding.is_some();
        digits if changes.digits != 0;
        daily_quota if changes.daily_quota != 0;
        message_ttl if changes.message_ttl.is_some();
        quiet_hours if changes.quiet_hours.is_some();
        fallback if changes.fallback.is_some();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant {
            name: "Blue Nile".into(),
            locale: "ar-EG".into(),
            country: "EG".into(),
            currency: "EGP".into(),
            time_zone: "Africa/Cairo".into(),
            ..Tenant::default()
        }
    }

    fn quiet(start: &str, end: &str) -> QuietHours {
        QuietHours { start: start.into(), end: end.into(), ..QuietHours::default() }
    }

    fn window(start: &str, end: &str) -> PeakWindow {
        PeakWindow { start: start.into(), end: end.into() }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        assert!(check(&tenant()).is_ok());
        let wrong = Tenant {
            locale: "Arabic!".into(),
            country: "XX".into(),
            currency: "pounds".into(),
            time_zone: "Cairo".into(),
            peak_windows: vec![window("10:00", "08:00")],
            message_ttl: Some(Duration { seconds: 59, nanos: 0 }),
            quiet_hours: Some(quiet("21:00", "8:00")),
            ..tenant()
        };
        let message = check(&wrong).expect_err("wrong").message().to_owned();
        for field in [
            "tenant.locale",
            "tenant.country",
            "tenant.currency",
            "tenant.timeZone",
            "tenant.peakWindows[0]",
            "tenant.messageTtl",
            "tenant.quietHours",
        ] {
            assert!(message.contains(field), "{field} in {message}");
        }
    }

    #[test]
    fn windows_do_not_overlap() {
        let apart = Tenant { peak_windows: vec![window("08:00", "10:00"), window("18:00", "20:00")], ..tenant() };
        assert!(check(&apart).is_ok());
        let across = Tenant { peak_windows: vec![window("08:00", "10:00"), window("09:59", "20:00")], ..tenant() };
        assert!(check(&across).is_err());
    }

    #[test]
    fn quiet_hours_may_last_over_midnight_and_not_all_day() {
        let at = |start: &str, end: &str| check(&Tenant { quiet_hours: Some(quiet(start, end)), ..tenant() });
        assert!(at("21:00", "08:00").is_ok() && at("13:00", "14:00").is_ok());
        for (start, end) in [("21:00", "21:00"), ("21:00", "24:00"), ("+1:00", "08:00"), ("", "")] {
            assert!(at(start, end).is_err(), "{start} {end}");
        }
    }

    #[test]
    fn a_fallback_names_each_way_once_and_no_reason_of_the_customers() {
        let with = |channels: &[i32], reasons: &[&str]| {
            let fallback = Fallback { channels: channels.to_vec(), reasons: reasons.iter().map(ToString::to_string).collect() };
            check(&Tenant { fallback: Some(fallback), ..tenant() })
        };
        assert!(with(&[1], &[]).is_ok() && with(&[2, 1], &["undeliverable", "window_closed"]).is_ok());
        for channels in [&[][..], &[0], &[1, 1], &[7]] {
            assert!(with(channels, &[]).is_err(), "{channels:?}");
        }
        for reason in ["recipient_opted_out", "recipient_not_allowed", "", "Undeliverable"] {
            assert!(with(&[1], &[reason]).is_err(), "{reason}");
        }
        let mut changed = tenant();
        let one = Fallback { channels: vec![1], reasons: Vec::new() };
        merge(&mut changed, Tenant { fallback: Some(one.clone()), ..Tenant::default() }, &[]).expect("merged");
        assert_eq!(changed.fallback, Some(one));
        merge(&mut changed, Tenant::default(), &["fallback".into()]).expect("merged");
        assert_eq!(changed.fallback, None);
    }

    #[test]
    fn a_mask_empties_and_its_absence_keeps() {
        let mut changed = tenant();
        merge(&mut changed, Tenant { name: "Red Sea".into(), ..Tenant::default() }, &[]).expect("merged");
        assert_eq!((changed.name.as_str(), changed.country.as_str()), ("Red Sea", "EG"));
        changed.glossary.insert("Pressing".into(), "كي".into());
        merge(&mut changed, Tenant::default(), &["glossary".into()]).expect("merged");
        assert!(changed.glossary.is_empty());
        assert!(merge(&mut changed, Tenant::default(), &["state".into()]).is_err());
    }
}
