//! One scenario on a Barid of its own: what it may do there, and what it hands back.

use super::cast::{Conversation, Via};
use super::check::{Findings, Promise};
use super::house::{House, PATIENCE};
use anyhow::{Result, ensure};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// From so many messages on they come as fast as the scenario has it.
const MANY: u32 = 10_000;
/// By how much longer all that is waited for may take, for each message: what a build without optimisations carries on two busy cores.
const EACH_TAKES: Duration = Duration::from_millis(20);
/// The longest pause between two strikes.
const PAUSE: Duration = Duration::from_secs(2);
/// Messages to one customer.
const EACH: usize = 10;

pub struct Trial<'a> {
    pub house: House,
    pub messages: usize,
    /// Messages a second where there are few, so that the faults meet them, and where there are many.
    pub slow: u32,
    pub pace: u32,
    pub say: &'a dyn Fn(String),
}

/// What a scenario found out.
#[derive(Debug, Default)]
pub struct Outcome {
    pub findings: Findings,
    /// How often the fault was injected.
    pub faults: usize,
    /// Figures of the scenario's own.
    pub figures: Map<String, Value>,
    /// What went wrong besides.
    pub troubles: Vec<String>,
}

impl Outcome {
    pub fn new(findings: Findings, faults: usize) -> Self {
        Self { findings, faults, ..Self::default() }
    }

    pub fn figure(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.figures.insert(name.to_owned(), value.into());
        self
    }

    /// Notes a trouble unless this holds.
    pub fn expect(mut self, holds: bool, trouble: impl Into<String>) -> Self {
        if !holds {
            self.troubles.push(trouble.into());
        }
        self
    }
}

/// How long so many messages may take to come to their ends.
pub fn patience_for(messages: usize) -> Duration {
    PATIENCE + EACH_TAKES * u32::try_from(messages).unwrap_or(u32::MAX)
}

impl Trial<'_> {
    /// Two businesses of each kind, and as many customers as the messages need.
    pub async fn cast(&self) -> Result<Vec<Conversation>> {
        self.cast_of(&[Via::Cloud, Via::Web, Via::Cloud, Via::Web]).await
    }

    pub async fn cast_of(&self, businesses: &[Via]) -> Result<Vec<Conversation>> {
        let conversations = (self.messages / EACH).clamp(2 * businesses.len(), 400);
        self.house.cast(businesses, conversations).await
    }

    /// Over how long the messages are handed over.
    pub fn lasts(&self) -> Duration {
        let messages = u32::try_from(self.messages).unwrap_or(u32::MAX);
        (Duration::from_secs(1) * messages / self.slow).min(Duration::from_secs(1) * messages.max(MANY) / self.pace)
    }

    /// How long it may take until everything has come to its end.
    pub fn patience(&self) -> Duration {
        patience_for(self.messages)
    }

    /// How long to wait between two strikes: so that several meet the load.
    pub fn pause(&self) -> Duration {
        PAUSE.min(self.lasts() / 4)
    }

    /// Hands over all messages while `fault` does its work. It is told whether more messages come, and gives back how often it struck.
    pub async fn under_load(
        &self,
        cast: &[Conversation],
        fault: impl AsyncFnOnce(&Cell<bool>) -> Result<usize>,
    ) -> Result<(Vec<Promise>, usize)> {
        let more = Cell::new(true);
        let load = async {
            let begun = Instant::now();
            let promises = self.house.send(cast, self.messages, self.lasts()).await;
            more.set(false);
            (self.say)(format!("accepted  {} a second", (self.messages as f64 / begun.elapsed().as_secs_f64()).round()));
            promises
        };
        let (promises, faults) = tokio::try_join!(load, fault(&more))?;
        (self.say)(format!("sent      {} messages, the fault struck {faults} times", promises.len()));
        ensure!(faults > 0, "the fault was never injected");
        Ok((promises, faults))
    }

    /// Everything held against everything, the figures included.
    pub async fn judge(&self, cast: &[Conversation], promises: &[Promise]) -> Result<Findings> {
        let findings = self.house.judge(cast, promises, self.patience()).await?;
        if findings.unsettled == 0 {
            self.house.until_counted(cast, self.patience()).await?;
        }
        Ok(findings)
    }

    /// The plain course of a scenario: messages under the fault, then the verdict.
    pub async fn run(&self, fault: impl AsyncFnOnce(&Cell<bool>) -> Result<usize>) -> Result<Outcome> {
        let cast = self.cast().await?;
        let (promises, faults) = self.under_load(&cast, fault).await?;
        Ok(Outcome::new(self.judge(&cast, &promises).await?, faults))
    }
}
