//! A connection at work: its events go to the ledger in their order, its end to the pump.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use barid_blob::Store as Blobs;
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    queue::v1::{AliasPair, Receipt, ReceiptKind},
    timestamp,
};
use barid_whatsapp::{
    Action, Failure, Outgoing, Sent,
    web::{self, Connection, Event, MediaPointer},
};

use super::{
    ended, inbound,
    receipts::{News as Told, Receipts},
};
use crate::{
    House,
    link::{Call, Link},
    pump::News,
    store::{Errand, ErrandKind},
};

/// Files of customers may be as large as WhatsApp lets them be.
const LARGEST: u64 = 100 << 20;

struct Served {
    connection: Arc<Connection>,
    blobs: Blobs,
}

/// Serves a connection until it ends.
pub(super) fn serve(connection: Connection, call: Call, house: &House, receipts: Receipts) -> Arc<dyn Link> {
    let connection = Arc::new(connection);
    let (events, news, store) = (connection.clone(), house.news.clone(), house.store.clone());
    let arrivals = super::Arrivals { store, arrived: house.arrived.clone(), session: call.session, tenant: call.tenant };
    tokio::spawn(async move {
        let mut closed = web::Closed::Asked;
        while let Some(event) = events.next_event().await {
            match event {
                Event::Closed(reason) => closed = reason,
                Event::Message(message) => arrivals.keep(vec![*message]).await,
                event => tell(&receipts, &call, vec![event]).await,
            }
        }
        if news.send(News::Down { session: call.session, epoch: call.epoch, ended: ended(&closed) }).await.is_err() {
            tracing::debug!(session = %call.session, "the pump is gone");
        }
    });
    Arc::new(Served { connection, blobs: house.blobs.clone() })
}

/// Hands events to the ledger; waits while it is behind.
pub(super) async fn tell(receipts: &Receipts, call: &Call, events: Vec<Event>) {
    tell_of(receipts, call.session, call.tenant, events).await;
}

pub(super) async fn tell_of(receipts: &Receipts, session: SessionId, tenant: TenantId, events: Vec<Event>) {
    for event in events {
        let told = match event {
            Event::Receipt(receipt) => {
                let kind = match receipt.kind {
                    web::ReceiptKind::Delivered => ReceiptKind::Delivered,
                    web::ReceiptKind::Read => ReceiptKind::Read,
                    web::ReceiptKind::Played => ReceiptKind::Played,
                };
                let one = |provider_id| Receipt {
                    session_id: session.to_string(),
                    provider_id,
                    kind: kind.into(),
                    time: Some(timestamp(receipt.time)),
                    ..Receipt::default()
                };
                let mut told: Vec<Told> = receipt.provider_ids.into_iter().map(|id| Told::Receipt(one(id), None)).collect();
                match told.last_mut() {
                    // They are told in their order.
                    Some(Told::Receipt(_, hold)) => *hold = Some(receipt.hold),
                    _ => receipt.hold.release(),
                }
                told
            }
            Event::Alias(alias) => {
                vec![Told::Alias(AliasPair { tenant_id: tenant.to_string(), phone: alias.phone, lid: alias.lid, time: None })]
            }
            Event::Undecryptable { provider_id, .. } => {
                tracing::info!(%session, message = provider_id, "a message could not be opened; its sender is asked again");
                vec![]
            }
            Event::Message(_) | Event::IdentityChanged(_) | Event::Named { .. } | Event::Closed(_) => vec![],
        };
        for told in told {
            receipts.tell(told).await;
        }
    }
}

#[async_trait]
impl Link for Served {
    async fn send(&self, out: Outgoing) -> Result<Sent, Failure> {
        self.connection.send(out).await
    }

    async fn run(&self, errand: &Errand) -> Result<Vec<u8>, &'static str> {
        match errand.kind {
            ErrandKind::Logout => {
                self.connection.logout().await;
                Ok(Vec::new())
            }
            ErrandKind::CheckNumbers => {
                let numbers: Vec<String> = serde_json::from_slice(&errand.request).map_err(|_| "malformed")?;
                let checks = self.connection.check_numbers(&numbers).await.map_err(|failure| failure.reason)?;
                let answers: Vec<(String, bool)> = checks.into_iter().map(|check| (check.number, check.exists)).collect();
                serde_json::to_vec(&answers).map_err(|_| "malformed")
            }
            ErrandKind::Media => {
                let pointer: MediaPointer = inbound::pointer(&errand.request).ok_or("malformed")?;
                let bytes = self.connection.download(&pointer, LARGEST).await.map_err(|failure| match failure.action {
                    Action::DeadLetter => "gone",
                    _ => failure.reason,
                })?;
                let digest = self.blobs.put(errand.tenant, bytes).await.map_err(|error| {
                    tracing::error!(errand = %errand.id, %error, "a file is not kept");
                    "store_unavailable"
                })?;
                Ok(digest.to_bytes().to_vec())
            }
        }
    }

    async fn close(&self) {
        self.connection.close().await;
    }

    fn silence(&self) -> Duration {
        self.connection.last_ack()
    }
}
