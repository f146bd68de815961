//! `barid sessions pair`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use barid_domain::{Clock, SystemClock};
use barid_proto::session_pool::v1::{
    AnswerPasskeyRequest, CancelPairingRequest, Pairing, PairingState, StartPairingRequest, pairing_service_client::PairingServiceClient,
};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::MissedTickBehavior;

use super::{passkey::Source, picture, view, watch};
use crate::{
    cli::Pair,
    client::{Client, explain},
    output::{Screen, plain, say, width},
};

pub(super) async fn run(pair: Pair) -> Result<()> {
    let source = Source::new(pair.passkey_answer.clone())?;
    let client = pair.server.connect().await?;
    let mut service = PairingServiceClient::new(client.connection.clone());
    let request = StartPairingRequest { tenant_id: client.tenant.clone(), id: pair.id.to_string(), by_code: pair.by_code };
    let started = service.start_pairing(request).await.map_err(|status| explain(&status))?.into_inner();
    let cancel = CancelPairingRequest { tenant_id: client.tenant.clone(), id: pair.id.to_string() };
    let desk = Desk { pair, client, screen: Screen::new(), last: started, source, answer: None, asked: String::new() };
    tokio::select! {
        ended = desk.follow() => ended,
        signal = barid_runtime::shutdown_signal() => {
            signal?;
            service.cancel_pairing(cancel).await.map_err(|status| explain(&status))?;
            bail!("not linked: the pairing was ended here");
        }
    }
}

/// Where a person links a number.
struct Desk {
    pair: Pair,
    client: Client,
    screen: Screen,
    last: Pairing,
    source: Source,
    /// The passkey's answer, while it is waited for.
    answer: Option<BoxFuture<'static, Result<String>>>,
    /// The options that the passkey was asked about last.
    asked: String,
}

impl Desk {
    async fn follow(mut self) -> Result<()> {
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news = watch::follow(&self.client, self.pair.id, self.last.revision);
        self.changed().await?;
        while !self.last.done {
            tokio::select! {
                pairing = news.recv() => {
                    self.last = pairing.context("the gateway tells no more of the pairing")?.map_err(|status| explain(&status))?;
                    self.changed().await?;
                }
                answer = waited_for(&mut self.answer) => {
                    self.answer = None;
                    self.hand_over(answer?).await?;
                }
                // While someone types, nothing is drawn over it.
                _ = clock.tick(), if self.screen.is_terminal() && self.answer.is_none() => self.show()?,
            }
        }
        match self.last.state() {
            PairingState::Paired => say(&format!("{} is linked.", self.pair.id)),
            _ => bail!(view::failure(&self.last)),
        }
    }

    /// Does what a new state asks for.
    async fn changed(&mut self) -> Result<()> {
        self.show()?;
        match (self.last.state(), &self.pair.png) {
            (PairingState::Scan, Some(file)) => picture::write(&self.client, self.pair.id, file).await,
            (PairingState::Passkey, _) if self.asked != self.last.passkey_options => {
                self.asked.clone_from(&self.last.passkey_options);
                self.screen.keep();
                say(&self.source.says())?;
                say(&plain(&self.asked))?;
                let source = self.source.clone();
                self.answer.get_or_insert_with(|| source.answer().boxed());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn show(&mut self) -> Result<()> {
        if self.last.done {
            return self.screen.erase();
        }
        let mut text = view::task(&self.last, self.screen.is_terminal())?;
        if self.screen.is_terminal() {
            let (rows, columns) = self.screen.size().unwrap_or((usize::MAX, usize::MAX));
            if self.last.state() == PairingState::Scan && (rows < text.lines().count() + 2 || columns < widest(&text)) {
                text.push_str("\nThe window is too small for the code: make it larger, or use --png FILE.");
            }
            text = format!("{text}\n{}", view::time_left(&self.last, SystemClock.now()));
        }
        self.screen.draw(&text)
    }

    async fn hand_over(&mut self, assertion: String) -> Result<()> {
        let request = AnswerPasskeyRequest { tenant_id: self.client.tenant.clone(), id: self.pair.id.to_string(), assertion };
        let answered = PairingServiceClient::new(self.client.connection.clone()).answer_passkey(request).await;
        answered.map_err(|status| explain(&status))?;
        say("The passkey's answer was handed over.")
    }
}

fn widest(text: &str) -> usize {
    text.lines().map(width).max().unwrap_or_default()
}

async fn waited_for(answer: &mut Option<BoxFuture<'static, Result<String>>>) -> Result<String> {
    match answer {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
