//! Whom a session may write to now: spacing and first contacts of linked devices, and what Meta portfolios share.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use barid_domain::SessionId;
use barid_proto::queue::v1::ClaimedMessage;
use chrono::{DateTime, Utc};

use super::later;
use crate::{
    PacingConfig,
    breaker::{ReachOut, Refusal},
    pace::{Answer, FirstContacts, Limit, Portfolio, Recipients},
    store::{Limits, Way},
};

/// Recipients remembered for a session at most.
const REMEMBERED: usize = 4096;
/// A session that sent nothing for so long starts anew.
const IDLE: Duration = Duration::from_secs(25 * 3600);
/// How often it is written what is used up; that much is forgotten when a replica dies.
const TELL: Duration = Duration::from_secs(5);

pub(super) struct Gates {
    pacing: PacingConfig,
    devices: HashMap<SessionId, Gate>,
    portfolios: HashMap<String, (Portfolio, Duration)>,
    /// When it was last told what the next owners must know.
    told: Duration,
}

struct Gate {
    recipients: Recipients<u64>,
    first: FirstContacts,
    reach_out: ReachOut,
    used: Duration,
    /// Whether the next owner would not know all of it.
    untold: bool,
}

impl Gates {
    pub(super) fn new(pacing: PacingConfig) -> Self {
        Self { pacing, devices: HashMap::new(), portfolios: HashMap::new(), told: Duration::ZERO }
    }

    /// Messages an hour of a device of this age.
    pub(super) fn hourly(&self, linked: DateTime<Utc>, wall: DateTime<Utc>) -> Option<u32> {
        self.pacing.warm_up.most(age(linked, wall))
    }

    /// Whether a message may go now. When it may, it counts as sent.
    pub(super) fn pass(&mut self, session: SessionId, way: &Way, message: &ClaimedMessage, now: Duration, wall: DateTime<Utc>) -> Answer {
        let customer = hash(&message.recipient);
        match way {
            Way::Web(device) => {
                let most = device.linked.and_then(|linked| self.pacing.first_contacts.most(age(linked, wall)));
                let spacing = self.pacing.recipient_spacing;
                let (locked_until, locks) = device.limits.reach_out;
                let gate = self.devices.entry(session).or_insert_with(|| Gate {
                    recipients: Recipients::new(spacing, REMEMBERED),
                    first: FirstContacts::new(most, until(device.limits.first_contacts, wall), now),
                    reach_out: ReachOut::new(now + until(locked_until, wall), locks),
                    used: now,
                    untold: false,
                });
                gate.used = now;
                gate.first.set(most, now);
                let locked = Answer::after(gate.reach_out.wait(now), now, Limit::ReachOut);
                let first = if message.known_contact { Answer::Now } else { gate.first.ask(now).and(locked) };
                let answer = gate.recipients.ask(customer, now).and(first);
                if answer == Answer::Now {
                    gate.recipients.sent(customer, now);
                    if !message.known_contact {
                        gate.first.sent();
                        gate.untold = true;
                    }
                }
                answer
            }
            Way::Cloud { portfolio, .. } if !portfolio.is_empty() && self.pacing.portfolio_limit > 0 => {
                let limit = Some(self.pacing.portfolio_limit);
                let (users, used) = self.portfolios.entry(portfolio.clone()).or_insert_with(|| (Portfolio::new(limit), now));
                *used = now;
                let answer = users.ask(customer, now);
                if answer == Answer::Now {
                    users.sent(customer, now);
                }
                answer
            }
            Way::Cloud { .. } => Answer::Now,
        }
    }

    /// WhatsApp refused a message because the session may not write first; `first` when it did.
    pub(super) fn refused(&mut self, session: SessionId, first: bool, now: Duration) -> Option<Refusal> {
        let gate = self.devices.get_mut(&session)?;
        gate.untold = true;
        Some(gate.reach_out.refused(first, now))
    }

    /// WhatsApp took a message.
    pub(super) fn acknowledged(&mut self, session: SessionId, first: bool) {
        if let Some(gate) = self.devices.get_mut(&session) {
            let before = gate.reach_out.locks();
            gate.reach_out.succeeded(first);
            gate.untold |= gate.reach_out.locks() != before;
        }
    }

    /// A session has come to this replica: what was known of it when it was here before is old.
    pub(super) fn came(&mut self, session: SessionId) {
        self.devices.remove(&session);
    }

    /// What the next owners must know and do not yet, now and then; all of it at once when sessions go.
    pub(super) fn tell(&mut self, now: Duration, wall: DateTime<Utc>, at_once: bool) -> Vec<(SessionId, Limits)> {
        if !at_once && now.saturating_sub(self.told) < TELL {
            return Vec::new();
        }
        self.told = now;
        let tell = |(session, gate): (&SessionId, &mut Gate)| {
            if !std::mem::take(&mut gate.untold) {
                return None;
            }
            let reach_out = (later(wall, gate.reach_out.wait(now)), gate.reach_out.locks());
            Some((*session, Limits { first_contacts: later(wall, gate.first.whole_in(now)), reach_out }))
        };
        self.devices.iter_mut().filter_map(tell).collect()
    }

    /// Forgets what is of no more use.
    pub(super) fn prune(&mut self, now: Duration) {
        self.devices.retain(|_, gate| gate.untold || now.saturating_sub(gate.used) < IDLE);
        self.portfolios.retain(|_, (_, used)| now.saturating_sub(*used) < IDLE);
    }
}

/// A code for the history of a message that had to wait.
pub(super) fn reason(limit: Limit) -> &'static str {
    match limit {
        Limit::Pace => "paced",
        Limit::WarmUp => "warming_up",
        Limit::Recipient => "recipient_spacing",
        Limit::FirstContact => "first_contact_budget",
        Limit::ReachOut => "reach_out_locked",
        Limit::Portfolio => "portfolio_limit",
    }
}

fn age(linked: DateTime<Utc>, wall: DateTime<Utc>) -> Duration {
    (wall - linked).to_std().unwrap_or_default()
}

fn until(at: DateTime<Utc>, wall: DateTime<Utc>) -> Duration {
    (at - wall).to_std().unwrap_or_default()
}

fn hash(recipient: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    recipient.hash(&mut hasher);
    hasher.finish()
}
