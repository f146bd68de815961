use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike};
use icu::{
    calendar::{Date, Gregorian},
    datetime::{FixedCalendarDateTimeFormatter, NoCalendarFormatter, fieldsets, options::YearStyle},
    time::Time,
};
use minijinja::{Error, State, Value};

use super::{misuse, no_data, unfit};
use crate::render::context::{Scope, Tenant};

const NO_DATE: &str = "is not a date; give it as 2024-01-15, or with the time as 2024-01-15T18:30:00Z";
const NO_TIME: &str = "is not a time; give it as 18:30, or with the date as 2024-01-15T18:30:00Z";

/// Dates are shown by the Gregorian calendar whatever the locale's own, because the dates of invoices are agreed in it.
pub(super) fn date(state: &State<'_, '_>, value: Value, style: Option<&str>) -> Result<String, Error> {
    let scope = Scope::of(state)?;
    let date = value.as_str().and_then(|text| date_of(text, &scope.tenant)).ok_or_else(|| unfit(state, &value, NO_DATE))?;
    let date = u8::try_from(date.month())
        .and_then(|month| Ok((month, u8::try_from(date.day())?)))
        .ok()
        .and_then(|(month, day)| Date::try_new_gregorian(date.year(), month, day).ok())
        .ok_or_else(|| unfit(state, &value, NO_DATE))?;
    let fields = match style {
        None | Some("long") => fieldsets::YMD::long(),
        Some("medium") => fieldsets::YMD::medium(),
        Some("short") => fieldsets::YMD::short(),
        Some(_) => return Err(misuse("date takes \"long\", \"medium\" or \"short\"")),
    };
    let fields = fields.with_year_style(YearStyle::Full);
    let formatter = FixedCalendarDateTimeFormatter::<Gregorian, _>::try_new((&scope.formats()).into(), fields).map_err(no_data)?;
    Ok(formatter.format(&date).to_string())
}

/// Hours and minutes.
pub(super) fn time(state: &State<'_, '_>, value: Value) -> Result<String, Error> {
    let scope = Scope::of(state)?;
    let time = value.as_str().and_then(|text| time_of(text, &scope.tenant)).ok_or_else(|| unfit(state, &value, NO_TIME))?;
    let time = u8::try_from(time.hour())
        .and_then(|hour| Ok((hour, u8::try_from(time.minute())?)))
        .ok()
        .and_then(|(hour, minute)| Time::try_new(hour, minute, 0, 0).ok())
        .ok_or_else(|| unfit(state, &value, NO_TIME))?;
    let formatter = NoCalendarFormatter::try_new((&scope.formats()).into(), fieldsets::T::hm()).map_err(no_data)?;
    Ok(formatter.format(&time).to_string())
}

fn date_of(text: &str, tenant: &Tenant) -> Option<NaiveDate> {
    let text = text.trim();
    // chrono also reads years of other lengths, which are slips here.
    if text.len() == "2024-01-15".len() {
        return text.parse().ok();
    }
    Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&tenant.time_zone).date_naive())
}

fn time_of(text: &str, tenant: &Tenant) -> Option<NaiveTime> {
    let text = text.trim();
    let local = NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"));
    local.ok().or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&tenant.time_zone).time()))
}
