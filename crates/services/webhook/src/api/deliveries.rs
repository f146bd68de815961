//! `DeliveryService`.

use barid_bus::tenant;
use barid_domain::{DeliveryId, EndpointId};
use barid_proto::{
    Violations, ids, time,
    webhook::v1::{
        Delivery, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, ListDeliveriesResponse, RedeliverDeliveriesRequest,
        RedeliverDeliveriesResponse, delivery_service_server::DeliveryService,
    },
};
use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::State;
use crate::store::{Filter, Range};

const PAGE: u64 = 100;

#[tonic::async_trait]
impl DeliveryService for State {
    async fn list_deliveries(&self, request: Request<ListDeliveriesRequest>) -> Result<Response<ListDeliveriesResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let size = u64::try_from(request.page_size).ok().filter(|size| *size > 0).unwrap_or(PAGE);
        let filter = Filter {
            endpoint: (!request.endpoint_id.is_empty()).then(|| ids::argument("endpointId", &request.endpoint_id)).transpose()?,
            state: number(request.state())?,
            entity_id: (!request.entity_id.is_empty()).then_some(request.entity_id),
            after: moment("after", request.after)?,
            before: moment("before", request.before)?,
            page: page(&request.page_token)?,
        };
        let mut deliveries = self.store.deliveries(tenant, filter, size).await?;
        let more = deliveries.len() as u64 > size;
        deliveries.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let last = deliveries.last().filter(|_| more);
        Ok(Response::new(ListDeliveriesResponse {
            next_page_token: last.map(|delivery| delivery.id.clone()).unwrap_or_default(),
            deliveries,
        }))
    }

    async fn get_delivery(&self, request: Request<GetDeliveryRequest>) -> Result<Response<Delivery>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.store.delivery(tenant, id).await?))
    }

    async fn redeliver_deliveries(
        &self,
        request: Request<RedeliverDeliveriesRequest>,
    ) -> Result<Response<RedeliverDeliveriesResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let endpoint: EndpointId = ids::resource(&request.endpoint_id)?;
        let named = !request.delivery_ids.is_empty();
        if !request.page_token.is_empty() && request.before.is_none() {
            let says =
                "is needed with a pageToken; give the same stretch of time as before, or what was delivered again since would be once more";
            return Err(Violations::one("before", "required", says));
        }
        let ranged = request.after.is_some() || request.before.is_some() || !request.states.is_empty();
        let (count, more) = match (named, request.after) {
            (true, _) if !ranged => {
                let read = |(index, id): (usize, &String)| ids::argument(&format!("deliveryIds[{index}]"), id);
                let mut wanted = request.delivery_ids.iter().enumerate().map(read).collect::<Result<Vec<DeliveryId>, Status>>()?;
                wanted.sort();
                wanted.dedup();
                (self.store.redeliver(tenant, endpoint, wanted).await?, None)
            }
            (false, after @ Some(_)) => {
                let range = Range {
                    after: moment("after", after)?.unwrap_or_default(),
                    before: moment("before", request.before)?,
                    states: states(&request)?,
                    page: page(&request.page_token)?,
                };
                self.store.redeliver_range(tenant, endpoint, range).await?
            }
            _ => {
                let says = "give either `deliveryIds`, or `after` and what else tells a stretch of time";
                return Err(Violations::one("deliveryIds", "one_of", says));
            }
        };
        Ok(Response::new(RedeliverDeliveriesResponse {
            redelivered: u32::try_from(count).unwrap_or(u32::MAX),
            next_page_token: more.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }
}

/// As the table has it; none for no state.
fn number(state: DeliveryState) -> Result<Option<i16>, Status> {
    let number = i16::try_from(i32::from(state)).map_err(|_| Status::internal("a state is no number"))?;
    Ok((number != 0).then_some(number))
}

/// Which states of a stretch of time are delivered again.
fn states(request: &RedeliverDeliveriesRequest) -> Result<Vec<i16>, Status> {
    let mut wanted = Vec::new();
    for (index, state) in request.states().enumerate() {
        if matches!(state, DeliveryState::Pending | DeliveryState::Unspecified) {
            let says = "is not over; give DELIVERED, FAILED or SKIPPED";
            return Err(Violations::one(format!("states[{index}]"), "not_over", says));
        }
        wanted.extend(number(state)?);
    }
    if wanted.is_empty() {
        wanted.extend([number(DeliveryState::Failed)?, number(DeliveryState::Skipped)?].into_iter().flatten());
    }
    Ok(wanted)
}

fn moment(field: &str, given: Option<Timestamp>) -> Result<Option<DateTime<Utc>>, Status> {
    let outside = || Violations::one(field, "invalid_time", "lies outside the calendar; give a time such as 2026-03-10T12:00:00Z");
    given.map(|given| time(&given).ok_or_else(outside)).transpose()
}

fn page(token: &str) -> Result<Option<DeliveryId>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = |_| Violations::one("pageToken", "invalid_page_token", "is no token of this list; give the `nextPageToken` of a page");
    token.parse().map(Some).map_err(wrong)
}
