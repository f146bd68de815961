//! PostgreSQL, NATS and Redis restarted, killed, emptied or away.

use crate::chaos::house::House;
use crate::chaos::listener::Listener;
use crate::chaos::trial::{Outcome, Trial};
use anyhow::{Context, Result, bail, ensure};
use barid_testkit::eventually;
use futures::{StreamExt, TryStreamExt, stream};
use std::cell::Cell;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long Redis is away.
const AWAY: Duration = Duration::from_secs(1);
/// Fewest times that prove anything.
const FEWEST: usize = 2;

/// What a server has between two strikes to be of use in.
pub const RESPITE: Duration = Duration::from_secs(3);

/// How long the next strike waits at most for something to be sent after the one before.
const ON_ITS_FEET: Duration = Duration::from_secs(20);

/// Does something to a server again and again, while messages come and at least [`FEWEST`] times.
async fn again_and_again(trial: &Trial<'_>, more: &Cell<bool>, act: impl AsyncFn() -> Result<()>) -> Result<usize> {
    let mut times = 0;
    tokio::time::sleep(trial.pause()).await;
    loop {
        act().await?;
        times += 1;
        if !more.get() && times >= FEWEST {
            return Ok(times);
        }
        let before = trial.house.accepted().await?;
        tokio::time::sleep(RESPITE).await;
        // Struck before it is on its feet it would never finish, and nothing more would be tried.
        let _ = eventually(ON_ITS_FEET, || async {
            ensure!(!more.get() || trial.house.accepted().await? > before);
            Ok(())
        })
        .await;
    }
}

pub async fn restart_nats(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    heard(trial, async |more| again_and_again(trial, more, async || house.nats()?.restart().await).await).await
}

pub async fn wipe_jetstream(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    let wipe = async || {
        house.nats()?.wipe_store().await?;
        house.nats()?.begin().await
    };
    heard(trial, async |more| again_and_again(trial, more, wipe).await).await
}

/// Runs a fault while somebody listens to a tenant's events, who must hear each of them once and in its turn.
pub async fn heard(trial: &Trial<'_>, fault: impl AsyncFnOnce(&Cell<bool>) -> Result<usize>) -> Result<Outcome> {
    let house = &trial.house;
    let cast = trial.cast().await?;
    // The first message of all, so that there is an event to begin after.
    house.hand_over(&cast[0], 0, 0).await?;
    let listener = Listener::new(house, &cast[0].business.tenant).await?;
    let work = async {
        let (promises, faults) = trial.under_load(&cast, fault).await?;
        let findings = trial.judge(&cast, &promises).await?;
        // The last events may still be on their way.
        let _ = eventually(trial.patience(), || async {
            ensure!(listener.compare().await? == (0, 0));
            Ok(())
        })
        .await;
        Ok::<_, anyhow::Error>((findings, faults))
    };
    let (findings, faults) = tokio::select! {
        done = work => done?,
        () = listener.listen() => bail!("nobody stops listening"),
    };
    let (missed, misplaced) = listener.compare().await?;
    let again = house.told_again(&cast).await?;
    Ok(Outcome::new(findings, faults)
        .figure("events_missed", missed)
        .figure("events_misplaced", misplaced)
        .figure("subscriber_cut_off", listener.cuts.get())
        .expect(missed == 0 && misplaced == 0, "a subscriber did not hear every event once and in its turn")
        .expect(again == 0, format!("{again} steps were told twice")))
}

pub async fn kill_postgres(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    let cast = trial.cast().await?;
    let kill = async || {
        house.postgres()?.kill().await?;
        house.postgres()?.begin().await
    };
    let (promises, faults) = trial.under_load(&cast, async |more| again_and_again(trial, more, kill).await).await?;
    let findings = trial.judge(&cast, &promises).await?;
    let again = stream::iter(&promises).map(async |promise| {
        let answer = house.hand_over(&cast[promise.conversation], promise.conversation, promise.place).await?;
        Ok::<_, anyhow::Error>(usize::from(answer.id != promise.id))
    });
    let changed: usize = again.buffer_unordered(16).try_fold(0, async |sum, changed| Ok(sum + changed)).await?;
    Ok(Outcome::new(findings, faults)
        .figure("changed_answers", changed)
        .expect(changed == 0, format!("{changed} keys answer with another id than before")))
}

pub async fn flush_redis(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    trial.run(async |more| again_and_again(trial, more, async || flush(house).await).await).await
}

async fn flush(house: &House) -> Result<()> {
    let redis = house.redis()?;
    let url = redis.url();
    let password = url.strip_prefix("redis://:").and_then(|rest| rest.split('@').next()).context("Redis has a password")?;
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).await?;
    stream.write_all(format!("AUTH {password}\r\nFLUSHALL\r\nQUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.matches("+OK").count() == 3, "Redis answers {answer}");
    Ok(())
}

pub async fn stop_redis(trial: &mut Trial<'_>) -> Result<Outcome> {
    let (house, trial) = (&trial.house, &*trial);
    let stop = async || {
        house.redis()?.stop().await?;
        tokio::time::sleep(AWAY).await;
        house.redis()?.begin().await
    };
    trial.run(async |more| again_and_again(trial, more, stop).await).await
}
