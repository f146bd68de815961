//! Claims messages and hands them to the courier, unless a limit has them wait.

use std::{collections::HashMap, time::Duration};

use barid_domain::{SessionId, TenantId};
use barid_proto::queue::v1::{ClaimRequest, ClaimResponse, SessionClaim};
use uuid::Uuid;

use super::{Pump, gates, later};
use crate::{Error, clients::repeat, pace::Answer, share::share};

/// Most messages of one claim: even the longest fit into one answer on the bus.
const CLAIM: u32 = 50;
/// Claims are transactions of the ledger, and at least so far apart while they are not full.
pub(super) const GATHER: Duration = Duration::from_millis(10);

/// A claim that is repeated until it is answered.
pub(super) struct Pending {
    request: ClaimRequest,
    failures: u32,
    /// Uptime of the next try.
    pub(super) next: Duration,
}

impl Pump {
    /// Claims as many messages as can be sent at once, shared between tenants, and sends them.
    pub(super) async fn claim(&mut self) -> Result<(), Error> {
        let now = self.parts.lease.now();
        if self.pending.is_none() && !self.draining && now >= self.next_claim {
            let wishes = self.board.wishes(now, self.parts.clock.now());
            let granted = share(&wishes, &self.board.held(), self.free().min(CLAIM));
            let sessions: Vec<SessionClaim> = granted
                .into_iter()
                .filter_map(|(session, max)| {
                    let epoch = self.board.epoch(session)?;
                    let is_web = self.board.is_web(session);
                    Some(SessionClaim { session_id: session.to_string(), epoch, max, windowed: !is_web, repeatable: is_web })
                })
                .collect();
            if sessions.is_empty() {
                return Ok(());
            }
            self.next_claim = now + GATHER;
            let request = ClaimRequest { claim_id: Uuid::new_v4().to_string(), sessions };
            self.pending = Some(Pending { request, failures: 0, next: now });
        }
        let Some(mut pending) = self.pending.take_if(|pending| pending.next <= now) else { return Ok(()) };
        match self.ledger.claim(pending.request.clone()).await {
            Ok(answer) => {
                self.claimed(&pending.request, answer.into_inner(), now).await;
                Ok(())
            }
            Err(status) => {
                if repeat::may_pass(&status) {
                    // It may have been carried out: only the same claim again tells.
                    pending.next = now + Duration::from_millis(50 << pending.failures.min(5));
                    pending.failures += 1;
                    self.pending = Some(pending);
                }
                Err(status.into())
            }
        }
    }

    async fn claimed(&mut self, request: &ClaimRequest, answer: ClaimResponse, claimed: Duration) {
        let (now, wall) = (self.parts.lease.now(), self.parts.clock.now());
        for session in answer.stale_sessions.iter().filter_map(|id| id.parse().ok()) {
            tracing::warn!(%session, "owned by another now");
            self.slots.given_up.extend(self.board.give_up(session));
        }
        let mut counts: HashMap<SessionId, u32> = HashMap::new();
        for message in answer.messages {
            let (Ok(session), Ok(tenant)) = (message.session_id.parse::<SessionId>(), message.tenant_id.parse::<TenantId>()) else {
                tracing::error!(message = message.message_id, "the ledger handed out a message of no session");
                continue;
            };
            *counts.entry(session).or_default() += 1;
            let line = self.board.began(session, tenant, message.epoch, now, rand::random()).filter(|_| !self.draining);
            let answer = match self.board.way(session).filter(|_| line.is_some()) {
                Some(way) => self.gates.pass(session, way, &message, now, wall),
                None => Answer::Now,
            };
            match line {
                Some(_) if let Answer::NotBefore { at, because } = answer => {
                    let until = later(wall, at.saturating_sub(now));
                    self.courier.postpone(session, &message, gates::reason(because), until).await;
                }
                Some(line) => self.courier.send(session, line, message, claimed),
                None => self.courier.give_back(session, &message).await,
            }
        }
        for claim in &request.sessions {
            let Ok(session) = claim.session_id.parse() else { continue };
            self.board.answered(session, claim.max, counts.get(&session).copied().unwrap_or_default(), now);
        }
    }
}
