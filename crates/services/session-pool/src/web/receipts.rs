//! Brings what connections tell of messages and people to the ledger: in batches over all sessions, in order, and again until it knows.

use std::time::Duration;

use barid_proto::queue::v1::{AliasPair, Receipt, ReportAliasesRequest, ReportReceiptsRequest};
use tokio::{sync::mpsc, time::Instant};

use crate::{clients::Ledger, pump};

/// What waits at most; connections then stop reading.
const WAITING: usize = 4096;
/// Most receipts of one call.
const BATCH: usize = 500;
/// How long the first one waits for others.
const GATHER: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) enum News {
    Receipt(Receipt),
    Alias(AliasPair),
}

#[derive(Clone)]
pub(super) struct Receipts(mpsc::Sender<News>);

impl Receipts {
    /// A way to tell, and the work of telling, which ends when nobody has anything to tell any more.
    pub(super) fn new(ledger: Ledger) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (sender, queue) = mpsc::channel(WAITING);
        (Self(sender), work(ledger, queue))
    }

    pub(super) async fn tell(&self, news: News) {
        if self.0.send(news).await.is_err() {
            tracing::error!("a receipt was not reported: the service ends");
        }
    }
}

async fn work(mut ledger: Ledger, mut queue: mpsc::Receiver<News>) {
    while let Some(first) = queue.recv().await {
        let mut news = vec![first];
        let until = Instant::now() + GATHER;
        while news.len() < BATCH
            && let Ok(Some(next)) = tokio::time::timeout_at(until, queue.recv()).await
        {
            news.push(next);
        }
        let (mut receipts, mut aliases) = (Vec::new(), Vec::new());
        for told in news {
            match told {
                News::Receipt(receipt) => receipts.push(receipt),
                News::Alias(alias) => aliases.push(alias),
            }
        }
        if !aliases.is_empty() {
            let count = aliases.len();
            let request = ReportAliasesRequest { aliases };
            let mut patience = Patience::default();
            while let Err(status) = ledger.report_aliases(request.clone()).await {
                if !patience.waits(count, &status).await {
                    break;
                }
            }
        }
        if !receipts.is_empty() {
            let count = receipts.len();
            let request = ReportReceiptsRequest { receipts };
            let mut patience = Patience::default();
            while let Err(status) = ledger.report_receipts(request.clone()).await {
                if !patience.waits(count, &status).await {
                    break;
                }
            }
        }
    }
}

/// Waits longer and longer between tries.
struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl Patience {
    /// Waits before another try; `false` when none would help.
    async fn waits(&mut self, count: usize, status: &tonic::Status) -> bool {
        if !pump::passes(status) {
            tracing::error!(count, %status, "the ledger does not take these receipts");
            return false;
        }
        tracing::warn!(waiting = count, %status, "receipts wait to be told");
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        true
    }
}
