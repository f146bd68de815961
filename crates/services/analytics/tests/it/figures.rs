//! Figures by the tenants' own clocks.

use anyhow::Result;
use barid_domain::TenantId;
use barid_proto::{
    analytics::v1::{Granularity, ListCountsRequest, Totals},
    timestamp,
};
use barid_testkit::eventually;

use crate::house::{House, PATIENCE, Told, at};

fn accepted(tenant: TenantId, when: &str) -> Told {
    happened(tenant, "queued", when, "invoice")
}

fn happened(tenant: TenantId, kind: &'static str, when: &str, template: &'static str) -> Told {
    Told { tenant, kind, at: at(when), accepted: at(when), attempt: 0, template }
}

impl House {
    /// `(day, hour, messages)` of accepted messages.
    async fn hours(&self, tenant: TenantId, first: &str, last: &str) -> Result<Vec<(String, u32, u64)>> {
        let request = ListCountsRequest {
            granularity: Granularity::Hour.into(),
            first_day: first.into(),
            last_day: last.into(),
            ..Default::default()
        };
        let counts = self.counts(tenant, request).await?.counts;
        Ok(counts.into_iter().map(|count| (count.day, count.hour, count.messages)).collect())
    }

    /// Messages accepted on each day.
    async fn days(&self, tenant: TenantId, first: &str, last: &str) -> Result<Vec<(String, u64)>> {
        let days = self.dashboard(tenant, first, last).await?.days;
        Ok(days.into_iter().map(|figures| (figures.day, figures.totals.unwrap_or_default().accepted)).collect())
    }
}

fn hours<const N: usize>(rows: [(&str, u32, u64); N]) -> Vec<(String, u32, u64)> {
    rows.map(|(day, hour, messages)| (day.to_owned(), hour, messages)).into()
}

fn days<const N: usize>(rows: [(&str, u64); N]) -> Vec<(String, u64)> {
    rows.map(|(day, messages)| (day.to_owned(), messages)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_shows_what_happened() -> Result<()> {
    let house = House::start("2026-03-11T20:00:00Z").await?;
    let (tenant, other) = (house.tenant("Asia/Kolkata"), house.tenant("Asia/Kolkata"));
    let empty = house.dashboard(tenant, "", "").await?;
    // Past midnight in Kolkata.
    assert_eq!((empty.first_day.as_str(), empty.last_day.as_str(), empty.days.len()), ("2026-03-06", "2026-03-12", 7));
    assert_eq!((empty.totals, empty.as_of, empty.accepted_by_hour.len()), (Some(Totals::default()), None, 24));
    assert_eq!((empty.delivery_rate, empty.read_rate, empty.failure_rate), (0.0, 0.0, 0.0));

    let event = |kind, when: &str, template| happened(tenant, kind, when, template);
    let mut told = vec![accepted(other, "2026-03-10T06:30:00Z"), event("sent", "2026-03-05T18:29:59Z", "the day before")];
    // 12:00, 12:44 and 13:00 in Kolkata.
    told.extend(["2026-03-10T06:30:00Z", "2026-03-10T07:14:00Z", "2026-03-10T07:30:00Z"].map(|when| event("queued", when, "invoice")));
    told.extend(["2026-03-10T06:31:00Z"; 4].map(|when| event("sent", when, "invoice")));
    told.extend(["2026-03-10T06:32:00Z"; 3].map(|when| event("delivered", when, "invoice")));
    told.extend(["2026-03-11T06:33:00Z"; 1].map(|when| event("read", when, "invoice")));
    told.extend(["2026-03-11T07:00:00Z"; 5].map(|when| event("scheduled", when, "")));
    told.extend(["2026-03-11T07:01:00Z"; 2].map(|when| event("failed", when, "")));
    told.extend([event("cancelled", "2026-03-11T07:02:00Z", ""), event("expired", "2026-03-11T07:03:00Z", "")]);
    house.tell(&told).await?;
    house.caught_up().await?;

    let shown = house.dashboard(tenant, "2026-03-06", "2026-03-12").await?;
    let totals = Totals { accepted: 8, sent: 4, delivered: 3, read: 1, failed: 2, cancelled: 1, expired: 1 };
    assert_eq!(shown.totals, Some(totals));
    assert_eq!((shown.delivery_rate, shown.read_rate, shown.failure_rate), (0.75, 1.0 / 3.0, 0.25));
    let by_day: Vec<_> = shown.days.iter().map(|day| (day.day.as_str(), day.totals.unwrap_or_default())).collect();
    assert_eq!(by_day[4], ("2026-03-10", Totals { accepted: 3, sent: 4, delivered: 3, ..Default::default() }));
    assert_eq!(by_day[5], ("2026-03-11", Totals { accepted: 5, read: 1, failed: 2, cancelled: 1, expired: 1, ..Default::default() }));
    assert!(by_day.iter().enumerate().all(|(day, (_, totals))| day == 4 || day == 5 || *totals == Totals::default()));
    // The scheduled ones at 12:30.
    let busy: Vec<_> = shown.accepted_by_hour.iter().enumerate().filter(|(_, count)| **count > 0).collect();
    assert_eq!(busy, [(12, &7), (13, &1)]);
    assert_eq!(shown.accepted_by_hour.len(), 24);
    let templates: Vec<_> =
        shown.templates.iter().map(|template| (template.template.as_str(), template.totals.unwrap_or_default().accepted)).collect();
    assert_eq!(templates, [("", 5), ("invoice", 3)], "the most used one first");
    assert_eq!(shown.as_of, Some(timestamp(at("2026-03-11T07:03:00Z"))));

    // Receipts of what was sent before: a rate is never more than 1.
    let receipts = house.dashboard(tenant, "2026-03-11", "2026-03-11").await?;
    assert_eq!((receipts.delivery_rate, receipts.read_rate, receipts.failure_rate), (0.0, 0.0, 0.4));
    house.tell(&[event("delivered", "2026-03-11T08:00:00Z", "late"); 2]).await?;
    house.tell(&[event("sent", "2026-03-11T08:00:00Z", "late")]).await?;
    house.caught_up().await?;
    assert_eq!(house.dashboard(tenant, "2026-03-11", "2026-03-11").await?.delivery_rate, 1.0);

    let theirs = house.dashboard(other, "2026-03-06", "2026-03-12").await?;
    assert_eq!(theirs.totals, Some(Totals { accepted: 1, ..Default::default() }), "what is another tenant's is not shown");
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_come_by_day_or_hour_in_order() -> Result<()> {
    let house = House::start("2026-03-11T20:00:00Z").await?;
    let tenant = house.tenant("Africa/Cairo");
    let event = |kind, when: &str, template| happened(tenant, kind, when, template);
    house
        .tell(&[
            event("sent", "2026-03-10T22:30:00Z", "ready"),
            event("sent", "2026-03-10T21:59:59Z", "ready"),
            event("sent", "2026-03-10T20:00:00Z", "invoice"),
            event("sent", "2026-03-10T20:10:00Z", "invoice"),
            event("sent", "2026-03-10T08:00:00Z", "invoice"),
            event("queued", "2026-03-10T08:00:00Z", "ready"),
            event("queued", "2026-03-10T08:00:00Z", ""),
        ])
        .await?;
    house.caught_up().await?;
    let list = async |granularity: Granularity| {
        let request = ListCountsRequest { granularity: granularity.into(), last_day: "2026-03-11".into(), ..Default::default() };
        let counts = house.counts(tenant, request).await?.counts;
        anyhow::Ok(
            counts
                .into_iter()
                .map(|count| format!("{} {} {} {:?} {}", count.day, count.hour, count.state, count.template, count.messages))
                .collect::<Vec<_>>(),
        )
    };
    let by_day = [
        "2026-03-10 0 accepted \"\" 1",
        "2026-03-10 0 accepted \"ready\" 1",
        "2026-03-10 0 sent \"invoice\" 3",
        "2026-03-10 0 sent \"ready\" 1",
        "2026-03-11 0 sent \"ready\" 1",
    ];
    assert_eq!(list(Granularity::Day).await?, by_day);
    assert_eq!(list(Granularity::Unspecified).await?, by_day);
    let by_hour = [
        "2026-03-10 10 accepted \"\" 1",
        "2026-03-10 10 accepted \"ready\" 1",
        "2026-03-10 10 sent \"invoice\" 1",
        "2026-03-10 22 sent \"invoice\" 2",
        "2026-03-10 23 sent \"ready\" 1",
        "2026-03-11 0 sent \"ready\" 1",
    ];
    assert_eq!(list(Granularity::Hour).await?, by_hour);
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_and_days_are_the_tenants_own() -> Result<()> {
    let house = House::start("2026-12-01T00:00:00Z").await?;
    let zones = [
        "UTC",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "Africa/Cairo",
        "America/New_York",
        "America/Havana",
        "Australia/Lord_Howe",
    ];
    let [utc, kolkata, kathmandu, kiritimati, pago, cairo, new_york, havana, lord_howe] = zones.map(|zone| house.tenant(zone));
    let mut told = Vec::new();
    let mut accept = |tenant, whens: &[&str]| told.extend(whens.iter().map(|when| accepted(tenant, when)));
    for tenant in [utc, kolkata, kathmandu, kiritimati, pago] {
        accept(tenant, &["2026-03-10T18:14:59Z", "2026-03-10T18:15:00Z", "2026-03-10T18:29:59Z", "2026-03-10T18:30:00Z"]);
    }
    // Cairo goes from 23:59 on the 23rd to 1:00 on the 24th.
    accept(cairo, &["2026-04-23T21:59:59Z", "2026-04-23T22:00:00Z", "2026-04-24T20:59:59Z", "2026-04-24T21:00:00Z"]);
    // ... and from 23:59 on the 29th back to 23:00.
    accept(cairo, &["2026-10-29T20:30:00Z", "2026-10-29T21:30:00Z", "2026-10-29T22:00:00Z"]);
    // New York has 1:30 twice, and a day of 25 hours.
    accept(
        new_york,
        &["2026-11-01T03:59:59Z", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T04:59:59Z", "2026-11-02T05:00:00Z"],
    );
    // Havana has midnight twice.
    accept(havana, &["2026-11-01T03:59:59Z", "2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z"]);
    // Lord Howe goes back by half an hour, from 2:00 to 1:30.
    accept(lord_howe, &["2026-04-04T14:30:00Z", "2026-04-04T14:59:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"]);
    house.tell(&told).await?;
    house.caught_up().await?;

    let march = ("2026-03-10", "2026-03-11");
    assert_eq!(house.hours(utc, march.0, march.1).await?, hours([("2026-03-10", 18, 4)]));
    assert_eq!(house.hours(kolkata, march.0, march.1).await?, hours([("2026-03-10", 23, 3), ("2026-03-11", 0, 1)]));
    assert_eq!(house.days(kolkata, march.0, march.1).await?, days([("2026-03-10", 3), ("2026-03-11", 1)]));
    assert_eq!(house.hours(kathmandu, march.0, march.1).await?, hours([("2026-03-10", 23, 1), ("2026-03-11", 0, 3)]));
    assert_eq!(house.hours(kiritimati, march.0, march.1).await?, hours([("2026-03-11", 8, 4)]));
    assert_eq!(house.hours(pago, march.0, march.1).await?, hours([("2026-03-10", 7, 4)]));
    assert_eq!(house.days(kiritimati, "2026-03-11", "2026-03-11").await?, days([("2026-03-11", 4)]));

    assert_eq!(house.hours(cairo, "2026-04-24", "2026-04-24").await?, hours([("2026-04-24", 1, 1), ("2026-04-24", 23, 1)]));
    assert_eq!(house.days(cairo, "2026-04-23", "2026-04-25").await?, days([("2026-04-23", 1), ("2026-04-24", 2), ("2026-04-25", 1)]));
    assert_eq!(house.hours(cairo, "2026-10-29", "2026-10-30").await?, hours([("2026-10-29", 23, 2), ("2026-10-30", 0, 1)]));

    let new_years = hours([("2026-11-01", 1, 2), ("2026-11-01", 23, 1)]);
    assert_eq!(house.hours(new_york, "2026-11-01", "2026-11-01").await?, new_years);
    assert_eq!(house.dashboard(new_york, "2026-11-01", "2026-11-01").await?.accepted_by_hour[1], 2);
    assert_eq!(house.days(havana, "2026-10-31", "2026-11-01").await?, days([("2026-10-31", 1), ("2026-11-01", 2)]));
    assert_eq!(house.hours(havana, "2026-11-01", "2026-11-01").await?, hours([("2026-11-01", 0, 2)]));
    assert_eq!(house.hours(lord_howe, "2026-04-05", "2026-04-05").await?, hours([("2026-04-05", 1, 3), ("2026-04-05", 2, 1)]));
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_moves_sees_its_new_days() -> Result<()> {
    let house = House::start("2026-03-11T20:00:00Z").await?;
    let tenant = house.tenant("UTC");
    house.tell(&[accepted(tenant, "2026-03-10T18:30:00Z")]).await?;
    house.caught_up().await?;
    let both = ("2026-03-10", "2026-03-11");
    assert_eq!(house.hours(tenant, both.0, both.1).await?, hours([("2026-03-10", 18, 1)]));
    house.change_zone(tenant, "Asia/Kolkata").await;
    eventually(PATIENCE, || async {
        let shown = house.hours(tenant, both.0, both.1).await?;
        anyhow::ensure!(shown == hours([("2026-03-11", 0, 1)]), "{shown:?}");
        Ok(())
    })
    .await?;
    house.stop().await;
    Ok(())
}
