//! `EndpointService`.

use std::time::Duration;

use barid_bus::tenant;
use barid_domain::{EndpointId, EventId, TenantId};
use barid_proto::{
    Violations,
    events::v1::{Event, WebhookPayload, event::Payload},
    fault, ids, timestamp,
    webhook::v1::{
        CreateEndpointRequest, DeleteEndpointRequest, DisableEndpointRequest, EnableEndpointRequest, Endpoint, EndpointState,
        GetEndpointRequest, ListEndpointsRequest, ListEndpointsResponse, RotateSecretRequest, TestEndpointRequest, TestEndpointResponse,
        UpdateEndpointRequest, endpoint_service_server::EndpointService,
    },
};
use tonic::{Code, Request, Response, Status};

use super::State;
use crate::{
    Error, filter, registration,
    store::{State as Wanted, Trial},
    verdict::{self, Verdict},
};

/// A test answers before callers give up.
const PATIENCE: Duration = Duration::from_secs(10);

#[tonic::async_trait]
impl EndpointService for State {
    async fn create_endpoint(&self, request: Request<CreateEndpointRequest>) -> Result<Response<Endpoint>, Status> {
        let tenant = tenant(&request)?;
        let Some(endpoint) = request.into_inner().endpoint else { return Err(missing()) };
        let new = registration::check(endpoint, &self.carrier)?;
        Ok(Response::new(self.store.create_endpoint(tenant, new).await?))
    }

    async fn list_endpoints(&self, request: Request<ListEndpointsRequest>) -> Result<Response<ListEndpointsResponse>, Status> {
        let endpoints = self.store.endpoints(tenant(&request)?).await?;
        Ok(Response::new(ListEndpointsResponse { endpoints }))
    }

    async fn get_endpoint(&self, request: Request<GetEndpointRequest>) -> Result<Response<Endpoint>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.store.endpoint(tenant, id).await?))
    }

    async fn update_endpoint(&self, request: Request<UpdateEndpointRequest>) -> Result<Response<Endpoint>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let id: EndpointId = ids::resource(&request.id)?;
        let Some(changes) = request.endpoint else { return Err(missing()) };
        let (mask, carrier) = (request.update_mask.unwrap_or_default().paths, self.carrier.clone());
        let change = move |mut endpoint: Endpoint| {
            registration::merge(&mut endpoint, changes, &mask)?;
            Ok(registration::check(endpoint, &carrier)?)
        };
        Ok(Response::new(self.store.update_endpoint(tenant, id, change).await?))
    }

    async fn delete_endpoint(&self, request: Request<DeleteEndpointRequest>) -> Result<Response<()>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        self.store.delete_endpoint(tenant, id).await?;
        Ok(Response::new(()))
    }

    async fn test_endpoint(&self, request: Request<TestEndpointRequest>) -> Result<Response<TestEndpointResponse>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        let Ok(_turn) = self.tests.try_acquire() else {
            return Err(fault(Code::ResourceExhausted, "TOO_MANY_TESTS", "too many endpoints are tested at this moment; try again"));
        };
        Ok(Response::new(self.try_out(tenant, id).await?))
    }

    async fn rotate_secret(&self, request: Request<RotateSecretRequest>) -> Result<Response<Endpoint>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.store.rotate_secret(tenant, id).await?))
    }

    async fn disable_endpoint(&self, request: Request<DisableEndpointRequest>) -> Result<Response<Endpoint>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.store.set_endpoint(tenant, id, Wanted::Disabled).await?))
    }

    async fn enable_endpoint(&self, request: Request<EnableEndpointRequest>) -> Result<Response<Endpoint>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.store.set_endpoint(tenant, id, Wanted::Enabled).await?))
    }
}

impl State {
    /// Posts a test, once, and writes what came of it into the log.
    async fn try_out(&self, tenant: TenantId, id: EndpointId) -> Result<TestEndpointResponse, Error> {
        let endpoint = self.store.endpoint(tenant, id).await?;
        let (event, at): (EventId, _) = (self.store.mint(), self.store.now());
        let state = if endpoint.state() == EndpointState::Enabled { "enabled" } else { "disabled" };
        let told = Event {
            id: event.to_string(),
            tenant_id: tenant.to_string(),
            entity: "webhook".to_owned(),
            entity_id: id.to_string(),
            kind: "test".to_owned(),
            time: Some(timestamp(at)),
            position: None,
            payload: Some(Payload::Webhook(WebhookPayload { state: state.to_owned(), reason: endpoint.state_reason })),
        };
        let body = self.writer.write(&told).ok_or_else(|| Status::internal("a test cannot be written"))?;
        let parcel = self.store.parcel(tenant, id, told.id, body.clone()).await?;
        let exchange = self.carrier.clone().within(PATIENCE).carry(parcel, at.timestamp()).await;
        let delivered = verdict::judge(&exchange, at) == Verdict::Delivered;
        let trial = Trial { endpoint: id, event, event_type: filter::TEST, body, at, delivered, exchange };
        Ok(TestEndpointResponse { delivered, delivery: Some(self.store.log_trial(tenant, trial).await?) })
    }
}

fn missing() -> Status {
    Violations::one("endpoint", "required", "is required; describe the endpoint")
}
