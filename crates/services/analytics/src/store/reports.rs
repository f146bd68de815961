//! Reads the counts of a tenant by the days and hours of its own clock. Row level security shows no rows but the tenant's.
//!
//! A local hour that happens twice when clocks go back is one hour of the report, and one that is skipped when they go forward is not in it.

use barid_db::Tx;
use barid_domain::TenantId;
use barid_proto::analytics::v1::Count;
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use sea_orm::{DbErr, QueryResult, Value};

use super::Store;
use crate::{
    Error,
    days::Range,
    figures::{self, Counted},
};

/// How wide the counts of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Day,
    Hour,
}

/// The counts of a range with their local time. No clock is a whole day away from UTC: that bounds the rows that are read, and the days are
/// then compared as days, since a local midnight may come twice or not at all.
const LOCAL: &str = "
    SELECT local::date AS day, extract(hour FROM local)::int AS hour, state, template, messages
    FROM (SELECT quarter AT TIME ZONE $1 AS local, state, template, messages FROM analytics.counts WHERE quarter >= $2 AND quarter < $3) AS c
    WHERE local::date BETWEEN $4 AND $5";

fn values(range: Range) -> [Value; 5] {
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    [
        range.zone.name().into(),
        (midnight(range.first) - TimeDelta::days(1)).into(),
        (midnight(range.last) + TimeDelta::days(2)).into(),
        range.first.into(),
        range.last.into(),
    ]
}

impl Store {
    /// The counts of a range for its dashboard.
    pub(crate) async fn counted(&self, tenant: TenantId, range: Range) -> Result<Counted, Error> {
        let read = move |tx: Tx| async move {
            // First, so that it never promises more than was counted.
            let fresh = tx.row("SELECT as_of FROM analytics.freshness", []).await?;
            let mut counted = Counted { as_of: fresh.map(|row| row.try_get_by_index(0)).transpose()?, ..Counted::default() };
            // One statement, and so one moment, for all three.
            let sql = format!(
                "SELECT state, day, hour, template, sum(messages)::bigint FROM ({LOCAL}) AS l
                 GROUP BY GROUPING SETS ((state, day), (state, hour), (state, template))"
            );
            for row in tx.rows(sql, values(range)).await? {
                sort(&row, &mut counted)?;
            }
            Ok::<_, DbErr>(counted)
        };
        Ok(self.db.tenant.transaction(tenant, read).await?)
    }

    /// The counts of a range, sorted by day, hour, state and template.
    pub(crate) async fn counts(&self, tenant: TenantId, range: Range, width: Width) -> Result<Vec<Count>, Error> {
        let hour = if width == Width::Hour { "hour" } else { "0" };
        let sql = format!(
            "SELECT day, {hour} AS hour, state, template, sum(messages)::bigint FROM ({LOCAL}) AS l
             GROUP BY 1, 2, state, template ORDER BY 1, 2, state COLLATE \"C\", template COLLATE \"C\""
        );
        let read = move |tx: Tx| async move { tx.rows(sql, values(range)).await?.iter().map(count).collect::<Result<_, DbErr>>() };
        Ok(self.db.tenant.transaction(tenant, read).await?)
    }
}

/// Puts a row of the grouping sets where it belongs: the columns that it is not grouped by are null.
fn sort(row: &QueryResult, counted: &mut Counted) -> Result<(), DbErr> {
    let state: String = row.try_get_by_index(0)?;
    let messages = row.try_get_by_index::<i64>(4)?.cast_unsigned();
    if let Some(day) = row.try_get_by_index::<Option<NaiveDate>>(1)? {
        figures::add(counted.days.entry(day).or_default(), &state, messages);
    } else if let Some(hour) = row.try_get_by_index::<Option<i32>>(2)? {
        let hour = usize::try_from(hour).ok().and_then(|hour| counted.hours.get_mut(hour));
        if let Some(hour) = hour.filter(|_| state == "accepted") {
            *hour += messages;
        }
    } else {
        let template: String = row.try_get_by_index(3)?;
        figures::add(counted.templates.entry(template).or_default(), &state, messages);
    }
    Ok(())
}

fn count(row: &QueryResult) -> Result<Count, DbErr> {
    Ok(Count {
        day: row.try_get_by_index::<NaiveDate>(0)?.to_string(),
        hour: row.try_get_by_index::<i32>(1)?.cast_unsigned(),
        state: row.try_get_by_index(2)?,
        template: row.try_get_by_index(3)?,
        messages: row.try_get_by_index::<i64>(4)?.cast_unsigned(),
    })
}
