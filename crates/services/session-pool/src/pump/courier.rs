//! Carries single messages to WhatsApp, each in a task of its own.

use std::{sync::Arc, time::Duration};

use barid_domain::{Clock, SessionId};
use barid_proto::{
    queue::v1::{ClaimedMessage, Failure, Outcome, outcome},
    timestamp,
};
use barid_whatsapp::cloud::{Client, Number};
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    link::{Ended, Link},
    ownership::Lease,
    verdict::{self, Effect},
    wire,
};

/// What the pump hears of messages under way, and of connections.
pub(crate) enum News {
    /// WhatsApp answered, or did not; `first` when the customer does not know the session.
    Sent { session: SessionId, first: bool, effect: Effect },
    /// The ledger knows the outcome.
    Reported { session: SessionId },
    /// A session is connected.
    Up { session: SessionId, epoch: u64, link: Arc<dyn Link> },
    /// A session is not connected, or not any more. Told once for each time that a connection was begun.
    Down { session: SessionId, epoch: u64, ended: Ended },
    /// An errand ended.
    Ran { errand: Uuid },
}

/// What a message goes out on.
#[derive(Clone)]
pub(crate) enum Line {
    Cloud(Number),
    Web(Arc<dyn Link>),
}

/// An outcome on its way to the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub session: SessionId,
    pub outcome: Outcome,
}

pub(crate) struct Courier {
    cloud: Client,
    lease: Lease,
    clock: Arc<dyn Clock>,
    reports: mpsc::Sender<Report>,
    news: mpsc::Sender<News>,
}

impl Courier {
    pub(crate) fn new(cloud: Client, lease: Lease, clock: Arc<dyn Clock>, reports: mpsc::Sender<Report>, news: mpsc::Sender<News>) -> Self {
        Self { cloud, lease, clock, reports, news }
    }

    /// Sends a message that was claimed at `claimed`, if the replica may still speak for the session.
    pub(crate) fn send(&self, session: SessionId, line: Line, message: ClaimedMessage, claimed: Duration) {
        if !self.lease.covers(claimed) {
            let report = self.report(session, &message, not_sent("owner_silent"));
            let reports = self.reports.clone();
            tokio::spawn(async move { hand_in(&reports, report).await });
            return;
        }
        let (cloud, clock, reports, news) = (self.cloud.clone(), self.clock.clone(), self.reports.clone(), self.news.clone());
        tokio::spawn(async move {
            let first = !message.known_contact;
            let mut outcome = Outcome { message_id: message.message_id.clone(), attempt: message.attempt, ..Outcome::default() };
            let (found, effect) = match wire::outgoing(message) {
                Some(out) => {
                    let id = out.message_id.clone();
                    let sent = match line {
                        Line::Cloud(number) => cloud.send(&number, &out).await,
                        Line::Web(link) => link.send(out).await,
                    };
                    if let Err(failure) = &sent {
                        tracing::info!(message = id, %session, action = ?failure.action, %failure, "not sent");
                    }
                    verdict::judge(sent, clock.now())
                }
                None => (outcome::Outcome::Dead(Failure { reason: "content_unreadable".to_owned(), not_before: None }), Effect::None),
            };
            outcome.outcome = Some(found);
            outcome.time = Some(timestamp(clock.now()));
            if news.send(News::Sent { session, first, effect }).await.is_err() {
                tracing::debug!(%session, "the pump is gone");
            }
            hand_in(&reports, Report { session, outcome }).await;
        });
    }

    /// Returns a message that must wait, its attempt uncounted.
    pub(crate) async fn postpone(&self, session: SessionId, message: &ClaimedMessage, reason: &str, until: DateTime<Utc>) {
        let failure = Failure { reason: reason.to_owned(), not_before: Some(timestamp(until)) };
        hand_in(&self.reports, self.report(session, message, outcome::Outcome::Returned(failure))).await;
    }

    /// Returns a message that shall not be sent after all, its attempt uncounted.
    pub(crate) async fn give_back(&self, session: SessionId, message: &ClaimedMessage) {
        hand_in(&self.reports, self.report(session, message, not_sent("session_not_ready"))).await;
    }

    fn report(&self, session: SessionId, message: &ClaimedMessage, outcome: outcome::Outcome) -> Report {
        let time = Some(timestamp(self.clock.now()));
        Report {
            session,
            outcome: Outcome { message_id: message.message_id.clone(), attempt: message.attempt, time, outcome: Some(outcome) },
        }
    }
}

fn not_sent(reason: &str) -> outcome::Outcome {
    outcome::Outcome::Returned(Failure { reason: reason.to_owned(), not_before: None })
}

async fn hand_in(reports: &mpsc::Sender<Report>, report: Report) {
    if let Err(error) = reports.send(report).await {
        // The ledger finds out by itself: a message without an outcome becomes uncertain.
        tracing::error!(message = error.0.outcome.message_id, "an outcome was not reported");
    }
}
