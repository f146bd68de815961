//! What cannot be answered is said with the field, the rule and the remedy.

use anyhow::Result;
use barid_domain::{Id, TenantId};
use barid_proto::{
    analytics::v1::{Granularity, ListCountsRequest},
    status::reason,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::house::House;

/// Field and description of every violation.
fn violations(status: &Status) -> Vec<(String, String)> {
    assert_eq!((status.code(), reason(status).as_deref()), (Code::InvalidArgument, Some("INVALID_ARGUMENT")), "{status:?}");
    let details = status.get_details_bad_request().expect("details");
    details.field_violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_days_are_refused() -> Result<()> {
    let house = House::start("2026-03-11T12:00:00Z").await?;
    let tenant = house.tenant("UTC");
    let refused = async |first: &str, last: &str| violations(&house.dashboard(tenant, first, last).await.expect_err("refused"));
    let no_day = "is no day of the calendar; give one as `YYYY-MM-DD`, such as `2026-03-10` (invalid_day)";
    assert_eq!(refused("2026-02-30", "today").await, [("lastDay".into(), no_day.into()), ("firstDay".into(), no_day.into())]);
    let out_of_order = "is after the last day, 2026-03-01; give that day or an earlier one (out_of_order)";
    assert_eq!(refused("2026-03-02", "2026-03-01").await, [("firstDay".into(), out_of_order.into())]);
    let too_many = "is 367 days before the end of 2026-03-11; ask for at most 366 days (out_of_range)";
    assert_eq!(refused("2025-03-10", "").await, [("firstDay".into(), too_many.into())]);
    assert_eq!(refused("2026-03-01 and more", "").await[0].1, "has 19 characters; give at most 10 (too_long)");
    assert!(house.dashboard(tenant, "2025-03-11", "").await?.days.len() == 366);

    let list = async |granularity: Granularity, first: &str| {
        let request = ListCountsRequest { granularity: granularity.into(), first_day: first.into(), ..Default::default() };
        house.counts(tenant, request).await
    };
    assert!(list(Granularity::Hour, "2026-02-09").await.is_ok());
    let error = list(Granularity::Hour, "2026-02-08").await.expect_err("too many by the hour");
    assert!(violations(&error)[0].1.contains("ask for at most 31 days"), "{error:?}");
    assert!(list(Granularity::Day, "2026-02-08").await.is_ok());
    let unknown = ListCountsRequest { granularity: 7, ..Default::default() };
    assert_eq!(violations(&house.counts(tenant, unknown).await.expect_err("unknown"))[0].0, "granularity");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_known_to_the_directory() -> Result<()> {
    let house = House::start("2026-03-11T12:00:00Z").await?;
    let nobody: TenantId = Id::from_uuid(uuid::Uuid::from_u128(7));
    assert_eq!(house.dashboard(nobody, "", "").await.expect_err("nobody").code(), Code::NotFound);
    let nowhere = house.tenant("Cairo");
    assert_eq!(house.dashboard(nowhere, "", "").await.expect_err("nowhere").code(), Code::Internal);
    house.stop().await;
    Ok(())
}
