//! Clocks that jump.

use crate::chaos::house::{House, PATIENCE, SERVICES};
use crate::chaos::trial::{Outcome, Trial};
use anyhow::Result;
use barid_domain::{Clock, SystemClock};
use barid_testkit::eventually;
use std::cell::Cell;

/// Times that clocks jump ahead and back again, at least.
const FEWEST: usize = 2;

pub async fn jump(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    let cast = trial.cast().await?;
    let (session, before) = (&cast[0].business.session, Cell::new(0));
    let fault = async |more: &Cell<bool>| {
        before.set(eventually(PATIENCE, || house.owner(session)).await?.1);
        let mut jumps = 0;
        while more.get() || jumps < 2 * FEWEST {
            let back = jumps % 2 == 1;
            tokio::time::sleep(trial.pause() / 2).await;
            tell_all(house, back)?;
            jumps += 1;
        }
        // As many back as ahead.
        if jumps % 2 == 1 {
            tell_all(house, true)?;
            jumps += 1;
        }
        Ok(jumps)
    };
    let (promises, faults) = trial.under_load(&cast, fault).await?;
    let findings = trial.judge(&cast, &promises).await?;
    let ledger = house.ledger(&cast).await?;
    let now = SystemClock.now();
    let ahead = ledger.values().filter(|message| message.created.is_some_and(|created| created > now)).count();
    let expired = ledger.values().filter(|message| message.state == "EXPIRED").count();
    let (_, epoch) = house.owner(session).await?;
    Ok(Outcome::new(findings, faults)
        .figure("accepted_ahead", ahead)
        .expect(ahead > 0, "no message was accepted by a clock that was ahead")
        .expect(expired == 0, format!("{expired} messages expired, which live for two days"))
        .expect(epoch == before.get(), "leases do not go by the clock, and changed hands"))
}

/// Moves the clocks of all who have one: the gateway reads none.
fn tell_all(house: &House, back: bool) -> Result<()> {
    SERVICES.into_iter().filter(|service| *service != "gateway").try_for_each(|service| house.process(service)?.process().tell(back))
}
