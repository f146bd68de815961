//! Replicas of the session-pool that are there and cannot be heard.

use crate::chaos::cast::Via;
use crate::chaos::house::{PATIENCE, TIME_TO_LIVE};
use crate::chaos::proxy::Proxy;
use crate::chaos::trial::{Outcome, Trial};
use crate::up::DATABASE;
use anyhow::{Result, ensure};
use barid_testkit::eventually;
use serde_json::json;
use std::cell::Cell;
use std::time::Duration;

/// How long WhatsApp takes to answer, so that a send has a middle.
const ANSWER: Duration = Duration::from_millis(800);

pub async fn freeze(trial: &mut Trial<'_>) -> Result<Outcome> {
    let house = &trial.house;
    let cast = trial.cast().await?;
    let sessions = [Via::Cloud, Via::Web].map(|via| cast.iter().find(|with| with.business.via == via).map(|with| &with.business.session));
    let taken = Cell::new(0);
    let fault = async |_: &Cell<bool>| {
        for kind in ["delay", "web_delay"] {
            house.arm(json!({"kind": kind, "delay_ms": ANSWER.as_millis() as u64, "count": trial.messages / 4})).await?;
        }
        tokio::time::sleep(3 * ANSWER).await;
        let mut frozen = Vec::new();
        for session in sessions.into_iter().flatten() {
            let (owner, epoch) = house.owner(session).await?;
            frozen.push((session, owner, epoch));
        }
        for (_, owner, _) in &frozen {
            house.process(&owner.name)?.process().freeze()?;
        }
        tokio::time::sleep(3 * TIME_TO_LIVE).await;
        for (session, owner, epoch) in &frozen {
            let (other, later) = house.owner(session).await?;
            taken.set(taken.get() + usize::from(other.name != owner.name && later > *epoch));
        }
        for (_, owner, _) in &frozen {
            house.process(&owner.name)?.process().thaw()?;
        }
        // With many messages, answers would be late long after there was anything to see.
        house.whatsapp.delete("/sim/faults").await?;
        Ok(frozen.len())
    };
    let (promises, faults) = trial.under_load(&cast, fault).await?;
    let findings = trial.judge(&cast, &promises).await?;
    let taken = taken.get();
    Ok(Outcome::new(findings, faults)
        .figure("taken_over", taken)
        .expect(taken == faults, format!("{taken} of {faults} sessions of frozen replicas were taken over")))
}

/// How long a replica may take beyond two thirds of its time to live to fall silent: what is on the wire by then, and this machine.
const MARGIN: Duration = Duration::from_millis(500);

pub async fn cut(trial: &mut Trial<'_>) -> Result<Outcome> {
    let cast = trial.cast().await?;
    let state = &trial.house.state;
    let (ledger, bus) = (Proxy::to(state.port("postgres")).await?, Proxy::to(state.port("nats")).await?);
    let url = |role: &str| format!("postgres://barid_session_pool_{role}:{}@127.0.0.1:{}/{DATABASE}", state.secrets.roles, ledger.port);
    let variables = [
        ("BARID_SESSION_POOL__DATABASE__TENANT_URL".to_owned(), url("tenant")),
        ("BARID_SESSION_POOL__DATABASE__ENGINE_URL".to_owned(), url("engine")),
        ("BARID_SESSION_POOL__NATS__URL".to_owned(), format!("nats://127.0.0.1:{}", bus.port)),
    ];
    trial.house.one_more_pool(&variables).await?;
    let (house, late) = (&trial.house, Cell::new(0));
    // Everything goes over the line that will be cut.
    let other = house.process(&house.pools[0].name)?;
    other.process().stop(barid_testkit::process::Ending::Terminate, PATIENCE).await?;
    let fault = async |_: &Cell<bool>| {
        let before = house.accepted().await?;
        eventually(PATIENCE, || async {
            ensure!(house.accepted().await? > before + 20, "the replica does not send");
            Ok(())
        })
        .await?;
        ledger.cut();
        bus.cut();
        tokio::time::sleep(TIME_TO_LIVE * 2 / 3 + MARGIN).await;
        let silent = house.accepted().await?;
        tokio::time::sleep(TIME_TO_LIVE).await;
        late.set(house.accepted().await? - silent);
        other.process().start()?;
        house.until_ready(&house.pools[0].name).await?;
        eventually(PATIENCE, || async {
            ensure!(house.accepted().await? > silent, "nobody takes over");
            Ok(())
        })
        .await?;
        tokio::time::sleep(TIME_TO_LIVE).await;
        ledger.heal();
        bus.heal();
        Ok(1)
    };
    let (promises, faults) = trial.under_load(&cast, fault).await?;
    let findings = trial.judge(&cast, &promises).await?;
    let late = late.get();
    Ok(Outcome::new(findings, faults)
        .figure("sent_after_silence", late)
        .expect(late == 0, format!("{late} messages were sent after two thirds of the time to live")))
}
