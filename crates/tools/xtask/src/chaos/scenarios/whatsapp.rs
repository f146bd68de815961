//! What WhatsApp itself gets wrong.

use crate::chaos::trial::{Outcome, Trial};
use crate::chaos::witness::tenants;
use anyhow::{Result, ensure};
use serde_json::json;
use std::cell::Cell;
use std::time::Duration;

/// Most messages of each kind of loss: every one holds its session up for seconds.
const MOST_LOST: usize = 40;

pub async fn lost_replies(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let count = (trial.messages / 50).clamp(1, MOST_LOST);
    let fault = async |_: &Cell<bool>| {
        // The time-outs are two seconds.
        for fault in [
            json!({"kind": "timeout_after_accept", "count": count}),
            json!({"kind": "timeout_after_accept", "delay_ms": 3_000, "count": count}),
            json!({"kind": "timeout_before_accept", "count": 1}),
            json!({"kind": "web_no_ack", "count": count}),
            json!({"kind": "web_delay", "delay_ms": 3_000, "count": count}),
            json!({"kind": "web_close", "at": "accepted", "count": 1}),
        ] {
            house.arm(fault).await?;
        }
        tokio::time::sleep(trial.lasts() / 2).await;
        house.struck().await
    };
    let cast = trial.cast().await?;
    let (promises, _) = trial.under_load(&cast, fault).await?;
    let findings = trial.judge(&cast, &promises).await?;
    let faults = house.struck().await?;
    let given_up = findings.given_up;
    Ok(Outcome::new(findings, faults).expect(given_up <= 1, "more were given up than WhatsApp never took"))
}

/// The shortest and the longest time that Meta is away with one kind of error; there are two.
const OUTAGE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(300));
/// How long for each message: ten minutes with the full number.
const OUTAGE_EACH: Duration = Duration::from_millis(30);

pub async fn meta_outage(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let outage = (OUTAGE_EACH * u32::try_from(trial.messages)?).clamp(OUTAGE.0, OUTAGE.1);
    let fault = async |_: &Cell<bool>| {
        for fault in [json!({"kind": "error_code", "code": 131_000}), json!({"kind": "error_code", "code": 131_016})] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            house.arm(fault).await?;
            tokio::time::sleep(outage).await;
            house.whatsapp.delete("/sim/faults").await?;
        }
        house.struck().await
    };
    let cast = trial.cast().await?;
    let (promises, faults) = trial.under_load(&cast, fault).await?;
    let findings = trial.judge(&cast, &promises).await?;
    let mut retried = 0;
    for tenant in tenants(&cast) {
        for event in house.events(tenant, "").await? {
            retried += usize::from(event.lane == "retry");
        }
    }
    let given_up = findings.given_up;
    Ok(Outcome::new(findings, faults)
        .figure("outage_seconds", 2 * outage.as_secs())
        .figure("retried", retried)
        .expect(given_up == 0, "an error is an answer: nothing was in doubt")
        .expect(retried == 0, format!("{retried} steps were those of messages that had paid with an attempt")))
}

pub async fn storm_of_receipts(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let fault = async |more: &Cell<bool>| {
        for fault in [
            json!({"kind": "duplicate_webhook", "status": "sent"}),
            json!({"kind": "reorder_webhooks", "status": "delivered", "delay_ms": 500}),
            json!({"kind": "duplicate_webhook", "status": "read"}),
            json!({"kind": "delay", "status": "sent", "delay_ms": 700}),
            json!({"kind": "web_delay", "status": "delivered", "delay_ms": 500}),
            json!({"kind": "web_reorder"}),
        ] {
            house.arm(fault).await?;
        }
        while more.get() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        house.struck().await
    };
    let cast = trial.cast().await?;
    let (promises, faults) = trial.under_load(&cast, fault).await?;
    let findings = trial.judge(&cast, &promises).await?;
    ensure!(house.struck().await? >= faults, "faults are counted, not forgotten");
    let again = house.told_again(&cast).await?;
    let unconfirmed = findings.unconfirmed;
    Ok(Outcome::new(findings, faults)
        .expect(again == 0, format!("{again} steps were told twice"))
        .expect(unconfirmed == 0, format!("{unconfirmed} messages were read and the ledger does not know")))
}
