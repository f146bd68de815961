//! Tells the ledger how sends went: in batches, in order, and again until it knows.

use std::time::Duration;

use barid_proto::queue::v1::{Outcome, ReportOutcomesRequest};
use tokio::{sync::mpsc, time::Instant};

use super::courier::{News, Report};
use crate::clients::{Ledger, repeat};

/// Most outcomes of one report.
const BATCH: usize = 100;
/// Reports are transactions of the ledger, and at least so far apart while they are not full. A lone outcome waits for nobody.
const GATHER: Duration = Duration::from_millis(20);

/// Reports until nobody has anything to report any more.
pub(super) async fn run(ledger: Ledger, mut reports: mpsc::Receiver<Report>, news: mpsc::Sender<News>) {
    let mut next = Instant::now();
    while let Some(first) = reports.recv().await {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(Some(more)) = tokio::time::timeout_at(next, reports.recv()).await
        {
            batch.push(more);
        }
        next = Instant::now() + GATHER;
        let sessions: Vec<_> = batch.iter().map(|report| report.session).collect();
        tell(&ledger, batch.into_iter().map(|report| report.outcome).collect()).await;
        for session in sessions {
            if news.send(News::Reported { session }).await.is_err() {
                tracing::debug!(%session, "the pump is gone");
            }
        }
    }
}

async fn tell(ledger: &Ledger, outcomes: Vec<Outcome>) {
    let report = || {
        let (mut ledger, request) = (ledger.clone(), ReportOutcomesRequest { outcomes: outcomes.clone() });
        async move { ledger.report_outcomes(request).await }
    };
    let Err(status) = repeat::until_taken("outcomes", outcomes.len(), report).await else { return };
    if let [outcome] = outcomes.as_slice() {
        // Nothing that is repeated will make it welcome; the ledger ends the message as uncertain.
        return tracing::error!(message = outcome.message_id, attempt = outcome.attempt, %status, "the ledger does not take this outcome");
    }
    tracing::error!(%status, "the ledger refuses outcomes; they are told one by one");
    for outcome in outcomes {
        Box::pin(tell(ledger, vec![outcome])).await;
    }
}
