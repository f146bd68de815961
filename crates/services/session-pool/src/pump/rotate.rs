//! Gives slots to those that deserve them, and takes them from those that had their turn.

use std::{sync::Arc, time::Duration};

use barid_domain::SessionId;
use barid_proto::session_pool::v1::SessionState;
use bytes::Bytes;
use chrono::TimeDelta;
use prost::Message;
use tokio::time::Instant;

use super::{News, Pump, later, notices::OFFERED};
use crate::{
    Error,
    breaker::Verdict,
    choice::choose,
    link::{Ended, Link, Next},
    logins::Failure,
    replica::Standing,
    store::Rest,
};

/// How often it is asked who should be connected although nothing waits.
const DUE: Duration = Duration::from_secs(1);
/// How often it is told how the replica stands.
const TELL: Duration = Duration::from_secs(1);
/// Most of these at once.
const MOST_DUE: u32 = 500;
/// How long a replica that leaves waits for its connections to end.
const PARTING: Duration = Duration::from_secs(8);

impl Pump {
    /// Learns which sessions are wanted although no messages wait for them.
    pub(super) async fn look_for_wanted(&mut self, now: Duration) -> Result<(), Error> {
        if self.slots.due_looked.is_none_or(|looked| now.saturating_sub(looked) >= DUE) {
            let wall = self.parts.clock.now();
            self.board.set_offered(&self.parts.store.offered(MOST_DUE).await?, now, wall);
            if self.parts.dialer.is_some() {
                let sweep = TimeDelta::from_std(self.board.rules.sweep).unwrap_or(TimeDelta::MAX);
                let due = self.parts.store.due_devices(wall - sweep, MOST_DUE).await?;
                let orphans = self.parts.store.orphans(self.parts.patience.web, MOST_DUE).await?;
                let alive = self.alive();
                self.board.set_due(&due, &orphans, &alive, now, wall);
                self.slots.errands_stale = true;
            }
            self.slots.due_looked = Some(now);
        }
        if self.parts.dialer.is_some() && std::mem::take(&mut self.slots.errands_stale) {
            self.look_for_errands(now).await?;
        }
        Ok(())
    }

    /// One step of rotation.
    pub(super) async fn rotate(&mut self) -> Result<(), Error> {
        let Some(dialer) = self.parts.dialer.clone() else { return Ok(()) };
        self.conclude().await?;
        self.settle().await?;
        let (now, wall, balance, alive) = (self.parts.lease.now(), self.parts.clock.now(), self.balance(), self.alive().len());
        self.slots.budget.set_alive(alive, now);
        let candidates = self.board.candidates(now, wall, &balance);
        let room = self.slots.budget.room(now).min(self.slots.outage.room(now));
        let decision = choose(&candidates, wall, &self.board.rules, room);
        for session in decision.drain {
            self.board.drain_slot(session);
            self.slots.states.insert(session, SessionState::Draining);
        }
        for (_, link) in self.board.closable() {
            tokio::spawn(async move { link.close().await });
        }
        let unowned = self.board.unowned(&decision.warm);
        if !unowned.is_empty() {
            self.own(unowned, now).await?;
            self.fence().await?;
        }
        for session in decision.warm {
            let Some(call) = self.board.dial(session, wall) else { continue };
            self.slots.budget.spend();
            self.slots.outage.began();
            self.slots.logins += 1;
            self.slots.states.insert(session, SessionState::Warming);
            let (dialer, news, epoch) = (dialer.clone(), self.parts.news.0.clone(), call.epoch);
            tokio::spawn(async move {
                let told = match dialer.dial(call).await {
                    Ok(link) => News::Up { session, epoch, link },
                    Err(ended) => News::Down { session, epoch, ended },
                };
                if news.send(told).await.is_err() {
                    tracing::debug!(%session, "the pump is gone");
                }
            });
        }
        self.slots.why = decision.why;
        self.tell_status(now);
        Ok(())
    }

    /// Heartbeats and metrics take no more, and it is a text for every session.
    fn tell_status(&mut self, now: Duration) {
        if self.slots.told.is_some_and(|told| now.saturating_sub(told) < TELL) {
            return;
        }
        self.slots.told = Some(now);
        let mut replica = self.board.status(&self.slots.why, self.parts.clock.now());
        replica.id = self.parts.replica.to_string();
        (replica.logins, replica.failed_logins) = (self.slots.logins, self.slots.failed_logins);
        let takes = self.slots.reach.takes(now);
        self.parts.standing.send_replace(Standing { status: replica.encode_to_vec(), takes });
    }

    pub(super) fn up(&mut self, session: SessionId, epoch: u64, link: Arc<dyn Link>) {
        match self.board.up(session, epoch, link, self.parts.lease.now()) {
            Ok(()) => {
                tracing::debug!(%session, epoch, "connected");
                self.slots.outage.succeeded(session, self.parts.lease.now());
                self.slots.reach.succeeded();
                self.slots.states.insert(session, SessionState::Warm);
                self.slots.errands_stale = true;
            }
            Err(link) => {
                self.slots.outage.abandoned();
                tokio::spawn(async move { link.close().await });
            }
        }
        self.stale = true;
    }

    pub(super) fn down(&mut self, session: SessionId, epoch: u64, ended: Ended) {
        tracing::info!(%session, epoch, reason = ended.reason, "not connected");
        let was_login = self.board.down(session, ended.next, self.parts.clock.now(), self.parts.lease.now());
        if was_login && !matches!(ended.next, Next::BackOff(_)) {
            self.slots.outage.abandoned();
        }
        self.slots.states.insert(session, SessionState::Cold);
        self.slots.ended.push((session, epoch, ended));
        self.stale = true;
    }

    /// Draws the consequences of connections that ended.
    async fn conclude(&mut self) -> Result<(), Error> {
        while let Some((session, epoch, ended)) = self.slots.ended.last().cloned() {
            self.conclude_one(session, epoch, ended).await?;
            self.slots.ended.pop();
        }
        Ok(())
    }

    async fn conclude_one(&mut self, session: SessionId, epoch: u64, ended: Ended) -> Result<(), Error> {
        let now = self.parts.lease.now();
        let Some(tenant) = self.board.tenant(session) else { return Ok(()) };
        match ended.next {
            // What is owed a connection stays with a replica that is gone: whoever takes it connects it again, for the receipts and replies it
            // was waiting for. What was done is given up with all that is done.
            Next::Nothing if self.draining => return Ok(()),
            Next::Nothing => {}
            // Ours as before; it is connected again when something waits for it, and at once if it lingered.
            Next::Reconnect => return Ok(()),
            // Whoever has it by now keeps it: only our own claim ends.
            Next::LetGo => {}
            Next::Ours => {
                self.slots.failed_logins += 1;
                self.board.connection_failed(session, Failure::Network, rand::random(), now);
                return Ok(());
            }
            Next::BackOff(refused) => {
                self.slots.failed_logins += 1;
                let failure = if refused { Failure::Refused } else { Failure::Network };
                self.board.connection_failed(session, failure, rand::random(), now);
                let verdict = self.slots.outage.failed(session, rand::random(), now);
                let (takes, everywhere) = (self.slots.reach.takes(now), verdict != Verdict::Session);
                self.slots.reach.failed(session, everywhere, self.board.is_connected(), now);
                if takes && !self.slots.reach.takes(now) {
                    tracing::error!("sessions cannot be logged in from here; the others hand nothing over for a while");
                }
                if let Verdict::Everywhere { forgive } = verdict {
                    tracing::error!(sessions = forgive.len(), "WhatsApp Web cannot be reached from here; logins rest");
                    self.board.forgive(&forgive);
                }
                // Whoever has it knows how long it rests.
                return Ok(());
            }
            Next::Pause(rest) => {
                let until = later(self.parts.clock.now(), rest);
                self.rests.insert(session, (tenant, Rest::Until(until), ended.sentence.into()));
            }
            Next::PairAgain => self.parts.store.unlinked(tenant, session, &ended.sentence).await?,
            Next::Stop => {
                if !self.parts.store.owns(self.parts.replica, session, epoch).await? {
                    // Another replica of ours connected it: that is how it should be.
                    self.board.lost(session);
                    return Ok(());
                }
                tracing::error!(%session, %tenant, reason = ended.reason, "ALARM: a connection ended for a reason that only people can see to");
                self.rests.insert(session, (tenant, Rest::Stopped, ended.sentence.into()));
            }
        }
        self.slots.given_up.extend(self.board.give_up(session));
        Ok(())
    }

    /// Writes what connections left to write, and tells what others may take.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        self.write_rests().await?;
        let at_once = self.draining || !self.slots.given_up.is_empty();
        let limits = self.gates.tell(self.parts.lease.now(), self.parts.clock.now(), at_once);
        self.slots.limits.extend(limits);
        if self.slots.states.is_empty() && self.slots.given_up.is_empty() && self.slots.limits.is_empty() {
            return Ok(());
        }
        let states = self.slots.states.iter().map(|(session, state)| (*session, *state, self.board.visited(*session))).collect();
        let limits = self.slots.limits.iter().map(|(session, limits)| (*session, *limits)).collect();
        self.parts.store.settle(self.parts.replica, states, limits, self.slots.given_up.clone()).await?;
        self.slots.states.clear();
        self.slots.limits.clear();
        let given_up = std::mem::take(&mut self.slots.given_up);
        if given_up.iter().any(|one| one.offered) {
            self.parts.bus.notify(OFFERED, Bytes::new()).await;
        }
        Ok(())
    }

    /// Ends all connections now.
    pub(super) fn hang_up(&mut self) {
        for link in self.board.hang_up(self.parts.clock.now(), self.parts.lease.now()) {
            tokio::spawn(async move { link.close().await });
        }
    }

    /// Ends all connections before the replica leaves.
    pub(super) async fn leave_slots(&mut self) {
        let until = Instant::now() + PARTING;
        self.hang_up();
        while self.board.slots_used() > 0 {
            match tokio::time::timeout_at(until, self.parts.news.1.recv()).await {
                Ok(Some(news)) => self.hear(news),
                Ok(None) | Err(_) => break,
            }
            self.hang_up();
        }
        if let Err(error) = async {
            self.conclude().await?;
            self.slots.given_up.extend(self.board.finished());
            self.settle().await
        }
        .await
        {
            tracing::warn!(%error, "the states of some sessions are not written");
        }
    }
}
