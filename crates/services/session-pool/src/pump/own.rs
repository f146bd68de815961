//! Becomes the owner of sessions: first in the database, then in the ledger's fence.

use std::{collections::HashMap, time::Duration};

use barid_domain::SessionId;
use barid_proto::queue::v1::{FenceRequest, SessionEpoch};

use super::Pump;
use crate::{Error, balance::Replica};

/// Most sessions taken over in one turn.
const TAKE: usize = 200;

impl Pump {
    /// Becomes the owner of sessions on the Cloud API that need one: first here, then in the ledger's fence.
    pub(super) async fn take(&mut self) -> Result<(), Error> {
        let (now, wall, balance) = (self.parts.lease.now(), self.parts.clock.now(), self.balance());
        let mut wanted = self.board.takeable(now, wall, &balance);
        wanted.truncate(TAKE);
        if !wanted.is_empty() {
            self.own(wanted, now).await?;
        }
        self.fence().await
    }

    /// Replicas that are alive, as far as is known.
    pub(super) fn alive(&mut self) -> Vec<Replica> {
        let mut alive = self.parts.alive.borrow().clone();
        self.left.retain(|left| alive.iter().any(|replica| replica.id == *left));
        alive.retain(|replica| !self.left.contains(&replica.id));
        alive
    }

    pub(super) async fn own(&mut self, wanted: Vec<SessionId>, now: Duration) -> Result<(), Error> {
        let taken = self.parts.store.take(self.parts.replica, wanted.clone(), self.parts.patience).await?;
        let devices: Vec<SessionId> = taken.iter().map(|(session, _)| *session).filter(|session| self.board.is_web(*session)).collect();
        if !devices.is_empty() {
            // What the last owner wrote when it let them go.
            let mut senders = self.parts.store.senders(devices.clone()).await?;
            for session in devices {
                self.gates.came(session);
                self.board.set_sender(session, senders.remove(&session), now);
            }
        }
        // An owner that is alive beats several times before it is worth asking again.
        self.board.set_taken(&wanted, &taken, now + self.parts.config.heartbeat_ttl / 3);
        Ok(())
    }

    /// Tells the ledger the epochs of sessions that were taken.
    pub(super) async fn fence(&mut self) -> Result<(), Error> {
        let fencing = self.board.fencing();
        if fencing.is_empty() {
            return Ok(());
        }
        let epoch = |(session, epoch): &(SessionId, u64)| SessionEpoch { session_id: session.to_string(), epoch: *epoch };
        let answer = self.ledger.fence(FenceRequest { sessions: fencing.iter().map(epoch).collect() }).await?.into_inner();
        let standing: HashMap<String, u64> = answer.sessions.into_iter().map(|session| (session.session_id, session.epoch)).collect();
        for (session, epoch) in fencing {
            match standing.get(&session.to_string()) {
                Some(standing) if *standing == epoch => {
                    tracing::info!(%session, epoch, "owned");
                    self.board.owned(session, epoch);
                }
                Some(standing) => {
                    tracing::warn!(%session, epoch, standing, "another owner came first");
                    self.board.lost(session);
                    self.parts.store.let_go(self.parts.replica, session, epoch, *standing).await?;
                }
                None => self.slots.given_up.extend(self.board.give_up(session)),
            }
        }
        Ok(())
    }
}
