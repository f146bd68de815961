//! Brings what Meta told to the ledger: what became of messages, and that customers wrote. A delivery leaves the inbox when the ledger has
//! it, and not before.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use barid_domain::{Clock, SessionId};
use barid_proto::{
    queue::v1::{Inbound as WireInbound, Receipt, ReceiptKind, ReportInboundRequest, ReportReceiptsRequest},
    timestamp,
};
use barid_runtime::Jobs;
use barid_whatsapp::cloud::webhook::{self, Status as MessageStatus, StatusKind};
use chrono::TimeDelta;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    clients::{Ledger, repeat},
    meta,
    store::{Delivery, Handed, Rest, Store},
    verdict::{self, Effect},
};

/// Deliveries taken at once.
const BATCH: u32 = 500;
/// Receipts of one call: far below what the bus carries.
const RECEIPTS: usize = 500;
/// Inbound messages of one call, each of which is a commit of its own in the ledger.
const INBOUND: usize = 100;
/// Looks into the inbox are transactions, and at least so far apart while batches are not full.
const GATHER: Duration = Duration::from_millis(20);
/// How often it is looked for deliveries of replicas that are gone.
const FREE: Duration = Duration::from_secs(2);
/// How often an idle inbox is looked into by itself.
const IDLE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Inbox {
    pub replica: Uuid,
    /// How long a replica must not have been heard of before others bring what it took.
    pub ttl: Duration,
    pub store: Store,
    pub ledger: Ledger,
    pub clock: Arc<dyn Clock>,
    /// Notified when something was stored.
    pub arrived: Arc<Notify>,
}

pub(crate) fn start(jobs: &Jobs, inbox: Inbox, handed: Handed) {
    jobs.spawn("inbox", inbox.run(handed, jobs.shutdown()));
}

/// What is in deliveries.
#[derive(Default)]
struct Contents {
    receipts: Vec<Receipt>,
    inbound: Vec<WireInbound>,
    /// Sessions to which customers wrote.
    used: BTreeSet<SessionId>,
    /// Sessions that shall rest, and why.
    rests: Vec<(usize, Rest, &'static str)>,
}

impl Contents {
    fn hear(&mut self, delivery: &Delivery, messages: impl IntoIterator<Item = WireInbound>) {
        let before = self.inbound.len();
        self.inbound.extend(messages);
        if self.inbound.len() > before {
            self.used.insert(delivery.session);
        }
    }
}

impl Inbox {
    async fn run(self, mut handed: Handed, shutdown: CancellationToken) {
        // When the next batch begins, and when the table is looked into.
        let (mut next, mut look, mut free) = (Instant::now(), Instant::now(), Instant::now());
        loop {
            let mut deliveries = Vec::new();
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(first) = handed.recv() => deliveries = first,
                () = self.arrived.notified() => look = Instant::now(),
                () = tokio::time::sleep_until(look) => {}
            }
            tokio::time::sleep_until(next).await;
            next = Instant::now() + GATHER;
            while deliveries.len() < BATCH as usize
                && let Ok(more) = handed.try_recv()
            {
                deliveries.extend(more);
            }
            Self::tell(self.carry(deliveries).await);
            if Instant::now() >= free {
                free = Instant::now() + FREE;
                if let Err(error) = self.store.free_deliveries(self.ttl).await {
                    tracing::warn!(%error, "what replicas took that are gone waits");
                }
            }
            if Instant::now() >= look {
                look = Instant::now() + IDLE;
                while !shutdown.is_cancelled() && Self::tell(self.turn().await) == BATCH as usize {}
            }
        }
        while let Ok(deliveries) = handed.try_recv() {
            Self::tell(self.carry(deliveries).await);
        }
    }

    /// How many deliveries were brought.
    fn tell(brought: Result<usize, Error>) -> usize {
        brought.unwrap_or_else(|error| {
            tracing::warn!(%error, "webhooks wait");
            0
        })
    }

    /// Brings a batch; says how many deliveries were taken.
    async fn turn(&self) -> Result<usize, Error> {
        let deliveries = self.store.take_deliveries(self.replica, BATCH).await?;
        self.carry(deliveries).await
    }

    /// Brings deliveries that were taken; says how many.
    async fn carry(&self, deliveries: Vec<Delivery>) -> Result<usize, Error> {
        let ids = |deliveries: &[Delivery]| deliveries.iter().map(|delivery| delivery.id).collect();
        if deliveries.is_empty() {
            return Ok(0);
        }
        let Err(error) = self.bring(&deliveries).await else {
            self.store.delivered(ids(&deliveries)).await?;
            return Ok(deliveries.len());
        };
        let alone = deliveries.len() == 1 || matches!(&error, Error::Refused(status) if repeat::may_pass(status));
        if alone {
            self.store.postpone(ids(&deliveries)).await?;
            return Err(error);
        }
        // One of them is at fault; the others need not wait for it.
        for delivery in deliveries.chunks(1) {
            match self.bring(delivery).await {
                Ok(()) => self.store.delivered(ids(delivery)).await?,
                Err(error) => {
                    tracing::error!(delivery = %delivery[0].id, session = %delivery[0].session, %error, "a webhook is not taken by the ledger");
                    self.store.postpone(ids(delivery)).await?;
                }
            }
        }
        Ok(deliveries.len())
    }

    async fn bring(&self, deliveries: &[Delivery]) -> Result<(), Error> {
        let contents = self.read(deliveries);
        for receipts in contents.receipts.chunks(RECEIPTS) {
            self.ledger.clone().report_receipts(ReportReceiptsRequest { receipts: receipts.to_vec() }).await?;
        }
        for inbound in contents.inbound.chunks(INBOUND) {
            self.ledger.clone().report_inbound(ReportInboundRequest { inbound: inbound.to_vec() }).await?;
        }
        if !contents.used.is_empty() {
            self.store.touch(contents.used.into_iter().collect()).await?;
        }
        for (index, rest, reason) in contents.rests {
            self.store.rest(deliveries[index].session, deliveries[index].tenant, rest, reason).await?;
        }
        Ok(())
    }

    fn read(&self, deliveries: &[Delivery]) -> Contents {
        let mut contents = Contents::default();
        for (index, delivery) in deliveries.iter().enumerate() {
            #[cfg(feature = "web")]
            if let Some(messages) = crate::web::unpack(&delivery.body) {
                contents.hear(delivery, messages);
                continue;
            }
            let changes = webhook::parse(&delivery.body).unwrap_or_else(|error| {
                // It was read once when it came.
                tracing::error!(delivery = %delivery.id, %error, "a stored webhook is none");
                Vec::new()
            });
            for change in changes {
                for status in change.statuses {
                    if let StatusKind::Failed(failure) = &status.kind
                        && let Some(rest) = self.rest(verdict::effect(failure))
                    {
                        contents.rests.push((index, rest.0, rest.1));
                    }
                    contents.receipts.extend(receipt(delivery, status));
                }
                contents.hear(delivery, change.inbound.into_iter().filter_map(|message| meta::wire(delivery, message)));
            }
        }
        contents
    }

    fn rest(&self, effect: Effect) -> Option<(Rest, &'static str)> {
        match effect {
            Effect::Pause { asked, shortest, reason } => {
                let by = TimeDelta::from_std(verdict::rest(asked, shortest, 0)).unwrap_or_default();
                Some((Rest::Until(self.clock.now() + by), reason))
            }
            Effect::Stop { reason } => Some((Rest::Stopped, reason)),
            Effect::Taken | Effect::Fine | Effect::ReachOut | Effect::None | Effect::BackOff => None,
        }
    }
}

fn receipt(delivery: &Delivery, status: MessageStatus) -> Option<Receipt> {
    if status.provider_id.chars().any(char::is_control) {
        tracing::warn!(delivery = %delivery.id, session = %delivery.session, "a receipt names an id that no message can have");
        return None;
    }
    let (kind, reason, retry) = match status.kind {
        StatusKind::Sent => (ReceiptKind::Sent, "", false),
        StatusKind::Delivered => (ReceiptKind::Delivered, "", false),
        StatusKind::Read => (ReceiptKind::Read, "", false),
        StatusKind::Failed(failure) => (ReceiptKind::Failed, failure.reason, verdict::is_passing(failure.action)),
        StatusKind::Other(_) => return None,
    };
    Some(Receipt {
        session_id: delivery.session.to_string(),
        provider_id: status.provider_id,
        message_id: status.message_id.unwrap_or_default(),
        kind: kind.into(),
        reason: reason.to_owned(),
        retry,
        time: Some(timestamp(status.timestamp)),
    })
}
