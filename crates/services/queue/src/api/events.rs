//! `EventService`: the ledger's part. Following live is the gateway's.

use std::pin::Pin;

use barid_bus::tenant;
use barid_domain::EventId;
use barid_proto::{
    events::v1::Event,
    fault, ids,
    queue::v1::{ListEventsRequest, ListEventsResponse, SubscribeEventsRequest, event_service_server::EventService},
};
use futures::Stream;
use tonic::{Code, Request, Response, Status};

use super::{State, page_size};

#[tonic::async_trait]
impl EventService for State {
    async fn list_events(&self, request: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let after: Option<EventId> = if request.after.is_empty() { None } else { Some(ids::argument("after", &request.after)?) };
        let limit = u32::try_from(page_size(request.page_size, 100)).unwrap_or(100);
        Ok(Response::new(ListEventsResponse { events: self.store.events(tenant, after, limit).await? }))
    }

    type SubscribeEventsStream = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

    async fn subscribe_events(&self, _: Request<SubscribeEventsRequest>) -> Result<Response<Self::SubscribeEventsStream>, Status> {
        Err(fault(Code::Unimplemented, "STREAM_THROUGH_GATEWAY", "the gateway follows events; the queue lists them"))
    }
}
