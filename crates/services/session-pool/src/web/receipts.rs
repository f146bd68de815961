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
pub(super) struct Receipts {
    receipts: mpsc::Sender<(Receipt, Option<Hold>)>,
    /// On a way of their own: they need a tenant each, and connections wait for receipts.
    aliases: mpsc::Sender<AliasPair>,
}

impl Receipts {
    /// A way to tell, and the work of telling, which ends when nobody has anything to tell any more.
    pub(super) fn new(ledger: Ledger) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (receipts, told) = mpsc::channel(WAITING);
        let (aliases, learnt) = mpsc::channel(WAITING);
        let work = async move {
            tokio::join!(tell_receipts(ledger.clone(), told), tell_aliases(ledger, learnt));
        };
        (Self { receipts, aliases }, work)
    }

    pub(super) async fn tell(&self, news: News) {
        let told = match news {
            News::Receipt(receipt, hold) => self.receipts.send((receipt, hold)).await.is_ok(),
            // Receipts come behind it. What finds no room is learnt again on another connection.
            News::Alias(alias) => !matches!(self.aliases.try_send(alias), Err(mpsc::error::TrySendError::Closed(_))),
        };
        if !told {
            tracing::error!("what a connection heard was not reported: the service ends");
        }
    }
}

/// The next batch; nothing when there is nothing more to come.
async fn batch<T>(queue: &mut mpsc::Receiver<T>, next: &mut Instant) -> Vec<T> {
    let mut batch: Vec<T> = queue.recv().await.into_iter().collect();
    while !batch.is_empty()
        && batch.len() < BATCH
        && let Ok(Some(more)) = tokio::time::timeout_at(*next, queue.recv()).await
    {
        batch.push(more);
    }
    *next = Instant::now() + GATHER;
    batch
}

async fn tell_receipts(ledger: Ledger, mut queue: mpsc::Receiver<(Receipt, Option<Hold>)>) {
    let mut next = Instant::now();
    loop {
        let (receipts, holds): (Vec<_>, Vec<_>) = batch(&mut queue, &mut next).await.into_iter().unzip();
        if receipts.is_empty() {
            return;
        }
        let (count, request) = (receipts.len(), ReportReceiptsRequest { receipts });
        let told = repeat::until_taken("receipts", count, || {
            let (mut ledger, request) = (ledger.clone(), request.clone());
            async move { ledger.report_receipts(request).await }
        });
        heard("receipts", count, told.await);
        holds.iter().flatten().for_each(Hold::release);
    }
}

async fn tell_aliases(ledger: Ledger, mut queue: mpsc::Receiver<AliasPair>) {
    let mut next = Instant::now();
    loop {
        let aliases = batch(&mut queue, &mut next).await;
        if aliases.is_empty() {
            return;
        }
        let (count, request) = (aliases.len(), ReportAliasesRequest { aliases });
        let told = repeat::until_taken("aliases", count, || {
            let (mut ledger, request) = (ledger.clone(), request.clone());
            async move { ledger.report_aliases(request).await }
        });
        heard("aliases", count, told.await);
    }
}

fn heard<T>(what: &str, count: usize, told: Result<T, Status>) {
    if let Err(status) = told {
        tracing::error!(count, %status, "the ledger does not take these {what}");
    }
}
