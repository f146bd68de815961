//! Brings what connections tell of messages and people to the ledger: in batches over all sessions, in order, and again until it knows.

use std::time::Duration;

use barid_proto::queue::v1::{AliasPair, Receipt, ReportAliasesRequest, ReportReceiptsRequest};
use barid_whatsapp::web::Hold;
use tokio::{sync::mpsc, time::Instant};
use tonic::Status;

use crate::clients::{Ledger, repeat};

/// What waits at most; connections then stop reading.
const WAITING: usize = 4096;
/// Most receipts of one call.
const BATCH: usize = 500;
/// Calls are transactions of the ledger, and at least so far apart while they are not full. A lone receipt waits for nobody, as its connection
/// writes nothing before it is kept.
const GATHER: Duration = Duration::from_millis(10);

pub(super) enum News {
    /// With what is released once the ledger has it, or never will.
    Receipt(Receipt, Option<Hold>),
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

async fn work(ledger: Ledger, mut queue: mpsc::Receiver<News>) {
    let mut next = Instant::now();
    while let Some(first) = queue.recv().await {
        let mut news = vec![first];
        while news.len() < BATCH
            && let Ok(Some(more)) = tokio::time::timeout_at(next, queue.recv()).await
        {
            news.push(more);
        }
        next = Instant::now() + GATHER;
        let (mut receipts, mut holds, mut aliases) = (Vec::new(), Vec::new(), Vec::new());
        for told in news {
            match told {
                News::Receipt(receipt, hold) => {
                    receipts.push(receipt);
                    holds.extend(hold);
                }
                News::Alias(alias) => aliases.push(alias),
            }
        }
        if !aliases.is_empty() {
            let (count, request) = (aliases.len(), ReportAliasesRequest { aliases });
            let told = repeat::until_taken("aliases", count, || {
                let (mut ledger, request) = (ledger.clone(), request.clone());
                async move { ledger.report_aliases(request).await }
            });
            heard("aliases", count, told.await);
        }
        if !receipts.is_empty() {
            let (count, request) = (receipts.len(), ReportReceiptsRequest { receipts });
            let told = repeat::until_taken("receipts", count, || {
                let (mut ledger, request) = (ledger.clone(), request.clone());
                async move { ledger.report_receipts(request).await }
            });
            heard("receipts", count, told.await);
            holds.iter().for_each(Hold::release);
        }
    }
}

fn heard<T>(what: &str, count: usize, told: Result<T, Status>) {
    if let Err(status) = told {
        tracing::error!(count, %status, "the ledger does not take these {what}");
    }
}
