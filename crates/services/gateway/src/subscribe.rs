//! A stream of a tenant's events: first what the ledger has since the last one known, then live. What is missed live is read up on the
//! ledger, so nothing is left out and nothing comes twice.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use barid_bus::Channel;
use barid_proto::{
    access::{PRINCIPAL_KEY, Principal},
    events::v1::{Event, Position},
    fault,
    queue::v1::{ListEventsRequest, event_service_client::EventServiceClient},
};
use futures::{Stream, stream};
use http::HeaderMap;
use prost::Message;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status, metadata::MetadataValue};

use crate::{auth::Auth, hub::Hub};

/// Events asked of the ledger at once.
const PAGE: i32 = 500;
/// How often a stream makes sure that its key still holds.
const RECHECK: Duration = Duration::from_secs(15);

struct Subscription {
    ledger: EventServiceClient<Channel>,
    principal: Principal,
    auth: Auth,
    headers: HeaderMap,
    live: broadcast::Receiver<Arc<Event>>,
    shutdown: CancellationToken,
    /// The last event given out: its id and place.
    last: Option<(String, Position)>,
    /// Whether the ledger may hold more than was read.
    behind: bool,
    read: VecDeque<Event>,
    recheck: tokio::time::Interval,
    ended: bool,
}

/// Events of the principal's tenant after the one with the id `after`; from now on when it is empty. An `after` that is no event of the
/// tenant is an error at once. The stream ends with an error when the key is revoked or the gateway stops.
pub(crate) async fn subscribe(
    channel: Channel,
    auth: Auth,
    headers: HeaderMap,
    hub: &Hub,
    principal: Principal,
    after: String,
    shutdown: CancellationToken,
) -> Result<impl Stream<Item = Result<Event, Status>> + Send + 'static, Status> {
    let mut recheck = tokio::time::interval(RECHECK);
    recheck.reset();
    let mut subscription = Subscription {
        ledger: EventServiceClient::new(channel).max_decoding_message_size(usize::MAX),
        principal,
        auth,
        headers,
        // Before the ledger is read: what happens in between comes twice and is told once.
        live: hub.subscribe(),
        shutdown,
        behind: !after.is_empty(),
        last: (!after.is_empty()).then(|| (after, Position::default())),
        read: VecDeque::new(),
        recheck,
        ended: false,
    };
    if subscription.behind {
        subscription.read_up().await?;
    }
    Ok(stream::unfold(subscription, |mut subscription| async move {
        if subscription.ended {
            return None;
        }
        let next = subscription.next().await;
        subscription.ended = next.is_err();
        Some((next, subscription))
    }))
}

impl Subscription {
    async fn next(&mut self) -> Result<Event, Status> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.last = Some((event.id.clone(), event.position.unwrap_or_default()));
                return Ok(event);
            }
            if self.behind {
                self.read_up().await?;
                continue;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {
                    return Err(fault(Code::Unavailable, "STOPPING", "this gateway stops; subscribe again after the last event you have"));
                }
                _ = self.recheck.tick() => {
                    // Only a refusal ends the stream; a tenant service that is away does not.
                    if let Err(status) = self.auth.principal(&self.headers).await && status.code() == Code::Unauthenticated {
                        return Err(status);
                    }
                }
                live = self.live.recv() => match live {
                    Ok(event) => if self.is_new(&event) {
                        self.read.push_back(Event::clone(&event));
                    },
                    Err(RecvError::Lagged(_)) if self.last.is_some() => self.behind = true,
                    Err(RecvError::Lagged(_)) => {
                        return Err(fault(Code::Aborted, "FELL_BEHIND", "events came faster than they were taken; list them and subscribe again"));
                    }
                    Err(RecvError::Closed) => return Err(Status::unavailable("the gateway stops")),
                },
            }
        }
    }

    fn is_new(&self, event: &Event) -> bool {
        let place = |position: Position| (position.generation, position.transaction, position.sequence);
        event.tenant_id == self.principal.tenant_id
            && self.last.as_ref().is_none_or(|(_, last)| place(event.position.unwrap_or_default()) > place(*last))
    }

    /// Reads the next page of the ledger; an empty one means that live events are next.
    async fn read_up(&mut self) -> Result<(), Status> {
        let after = self.last.as_ref().map(|(id, _)| id.clone()).unwrap_or_default();
        let mut request = Request::new(ListEventsRequest { tenant_id: String::new(), after, page_size: PAGE });
        request.metadata_mut().insert_bin(PRINCIPAL_KEY, MetadataValue::from_bytes(&self.principal.encode_to_vec()));
        self.read = self.ledger.list_events(request).await?.into_inner().events.into();
        self.behind = !self.read.is_empty();
        Ok(())
    }
}
